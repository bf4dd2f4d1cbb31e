#!/bin/sh
# Make .venv hold exactly what uv.lock names, on a machine that has nothing but some Python 3:
# finds uv, or installs it into .tools/; finds a Python >= 3.12, or lets uv fetch one.
# With the word `cellxgene`: the environment of CELLxGENE's validator, in .tools/cellxgene.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

runs() { "$@" >/dev/null 2>&1; }

# A pyenv shim is on PATH also where it leads nowhere, so whatever is found must prove that it runs.
find_uv() {
    for candidate in uv .tools/uv/bin/uv "$HOME/.local/bin/uv"; do
        if runs "$candidate" --version; then
            command -v "$candidate"
            return
        fi
    done
    say "no uv here; installing it into .tools/uv"
    for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 /usr/bin/python3; do
        if runs "$python" -m venv --clear .tools/uv && .tools/uv/bin/pip install --quiet uv >&2; then
            echo .tools/uv/bin/uv
            return
        fi
        rm -rf .tools/uv
        if runs "$python" -m pip --version &&
            "$python" -m pip install --quiet --target .tools/uv uv >&2; then
            echo .tools/uv/bin/uv
            return
        fi
    done
    if runs pipx --version &&
        PIPX_HOME="$PWD/.tools/pipx" PIPX_BIN_DIR="$PWD/.tools/uv/bin" pipx install uv >&2; then
        echo .tools/uv/bin/uv
        return
    fi
    say "uv could not be installed: no python3 with venv or pip, and no pipx"
    say "install uv by hand (https://docs.astral.sh/uv/getting-started/installation/), then try again"
    return 1
}

good_python() {
    runs "$1" -c 'import bz2, ctypes, lzma, sqlite3, ssl, sys; sys.exit(not (3, 12) <= sys.version_info < (3, 15))'
}

# Prints nothing when there is none.
find_python() {
    for version in 3.12 3.13 3.14; do
        if full=$(pyenv latest "$version" 2>/dev/null) && prefix=$(pyenv prefix "$full" 2>/dev/null); then
            candidates="$prefix/bin/python"
        else
            candidates=
        fi
        for candidate in $candidates "python$version"; do
            if good_python "$candidate"; then
                "$candidate" -c 'import sys; print(sys.executable)'
                return
            fi
        done
    done
    if good_python python3; then
        python3 -c 'import sys; print(sys.executable)'
    fi
}

uv=$(find_uv)
if [ -z "${UV_PYTHON:-}" ]; then
    UV_PYTHON=$(find_python)
    if [ -z "$UV_PYTHON" ]; then
        say "no Python >= 3.12 here; uv fetches one"
        UV_PYTHON=3.12
    fi
fi
export UV_PYTHON
say "$("$uv" --version), Python $UV_PYTHON"
if [ "${1:-}" = cellxgene ]; then
    "$uv" venv --quiet --clear .tools/cellxgene
    "$uv" pip install --quiet --python .tools/cellxgene --requirement envs/cellxgene/requirements.txt
else
    "$uv" sync --frozen --compile-bytecode
fi
