#!/usr/bin/env bash
# Build images as .sif files, without a registry and without a recipe that runs as root in a container:
#   envs/build.sh FOLDER PURPOSE...        (core, scvi-gpu, report; docs/containers.md)
# A Debian root file system (mmdebstrap) takes the packages of the purpose from uv.lock; apptainer packs it.
# What went in is part of the file's name, so what is there already is not built again. Needs root, Debian's
# package mmdebstrap, uv and apptainer. The last lines printed are what envs/images.yaml takes.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=trixie
python=3.13 # of that Debian
# the mirror of Debian that apt uses here, unless another is named
mirror=${EMH_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sed -n '/debian$/{p;q}')}
# quick to pack and to read
squash="-comp zstd -Xcompression-level 1"

say() { printf 'build: %s\n' "$*" >&2; }

folder=${1:?usage: envs/build.sh FOLDER PURPOSE...}
shift
[ "$(id -u)" = 0 ] || { say "needs root: a root file system holds files of root"; exit 1; }
# a pyenv shim is on PATH also where it leads nowhere
uv=
for candidate in uv .tools/uv/bin/uv "$HOME/.local/bin/uv"; do
    if [ -z "$uv" ] && "$candidate" --version >/dev/null 2>&1; then uv=$candidate; fi
done
[ -n "$uv" ] || { say "uv is not here; make setup brings it"; exit 1; }
[ -n "$mirror" ] || { say "apt knows no mirror of Debian here; name one in EMH_DEBIAN_MIRROR"; exit 1; }
for purpose in "$@"; do
    # PyPI's torch for Linux brings CUDA, so an image without it is built by envs/install.sh alone
    [ "$purpose" != scvi-cpu ] || { say "scvi-cpu can't be built here: use its Containerfile"; exit 1; }
done
for tool in mmdebstrap apptainer; do
    command -v "$tool" >/dev/null || { say "$tool is not here"; exit 1; }
done
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d "$folder/.build.XXXXXXXX")
trap 'rm -rf "$work"' EXIT

# bash is essential in Debian; no apt, no compiler, no documentation
base_root() {
    base=$folder/root-$suite-$(sha256sum envs/build.sh | cut -c1-12)
    [ -d "$base" ] && return
    say "root file system: Debian $suite"
    mmdebstrap --quiet --mode=root --format=directory --variant=essential \
        --include=python3,python-is-python3,ca-certificates,libstdc++6,passwd \
        --aptopt='Apt::Install-Recommends "false"' --dpkgopt='force-unsafe-io' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$work/base" "$mirror" >&2
    chroot "$work/base" /usr/sbin/useradd --create-home emh
    : >"$work/base/etc/resolv.conf"
    mv -T "$work/base" "$base"
}

build() {
    local purpose=$1 key image root=$work/$1
    "$uv" export --quiet --frozen --no-dev --no-emit-project --output-file "$work/constraints.txt" >/dev/null
    sed -i '/^#/d' "$work/constraints.txt"
    key=$(cat "envs/$purpose/packages.txt" "$work/constraints.txt" envs/build.sh | sha256sum | cut -c1-12)
    image=$folder/emh-niche-$purpose-$key.sif
    if [ ! -f "$image" ]; then
        base_root
        say "$purpose: packages of uv.lock"
        cp -a "$base" "$root"
        packages=$root/usr/local/lib/python$python/dist-packages
        # docrep, which scvi-tools needs, is a little Python without a wheel
        "$uv" pip install --quiet --no-config --target "$packages" --python-version "$python" \
            --only-binary :all: --no-binary docrep \
            --constraint "$work/constraints.txt" --requirement "envs/$purpose/packages.txt"
        rm -rf "$packages/bin"
        chroot "$root" python -m compileall -q -j 0 "/usr/local/lib/python$python/dist-packages" \
            "/usr/lib/python$python" >"$work/compile.log" 2>&1 || true # files for other Pythons are among them
        printf '%s %s\n' "$purpose" "$key" >"$root/etc/emh-niche-image"
        say "$purpose: packing"
        apptainer --silent build --mksquashfs-args "$squash" "$work/$purpose.sif" "$root"
        rm -rf "$root"
        mv "$work/$purpose.sif" "$image"
    fi
    printf '%s:\n  image: %s\n  digest: ""\n' "$purpose" "$image"
}

for purpose in "$@"; do
    [ -f "envs/$purpose/packages.txt" ] || { say "no purpose '$purpose'; see envs"; exit 1; }
    build "$purpose"
done
