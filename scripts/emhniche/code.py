"""Has the code of a rule changed since its results were made?

Snakemake sees a change of a rule's script, but not of the modules that the script imports. So each
rule carries the digest of all of them as a parameter, and a change of one reruns what hangs on it.
Comments, docstrings and layout do not count.
"""

import ast
import hashlib
import os
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = "emhniche"
SCRIPTS = Path(__file__).resolve().parents[1]


@cache
def code_digest(script: str, scripts: Path = SCRIPTS) -> str:
    """Return a digest of a script and of all modules of this package that it imports.

    Parameters
    ----------
    script
        Name of the script, without ``.py``.
    scripts
        Folder of the scripts, with the package beside them.

    Returns
    -------
    str
        16 hexadecimal digits. Equal for equal code, whatever its comments say; a package's data
        files (templates) count too.
    """
    files = _imported(scripts / f"{script}.py", scripts)
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(scripts).as_posix().encode())
        digest.update(_meaning(file))
    return digest.hexdigest()[:16]


def put_first(scripts: str | Path) -> None:
    """Let the jobs of this process import the package from one folder, whatever is installed.

    Parameters
    ----------
    scripts
        Folder of the scripts, with the package beside them. It becomes the first of ``PYTHONPATH``,
        which jobs inherit.
    """
    others = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(scripts), *others]))


def show_to_containers(paths: Iterable[str | Path]) -> None:
    """Let the containers of this process and of its jobs see files that lie elsewhere.

    Apptainer shows a container the working directory only.

    Parameters
    ----------
    paths
        Folders, and files, whose folders are meant; with those that links lead to. They are added
        to ``APPTAINER_BIND``, which jobs inherit. What does not exist is left out.
    """
    known = [one for one in os.environ.get("APPTAINER_BIND", "").split(",") if one]
    for path in map(str, paths):
        for place in (os.path.abspath(path), os.path.realpath(path)):
            folder = place if os.path.isdir(place) else os.path.dirname(place)
            inside = Path(folder).is_relative_to(Path.cwd()) or folder == os.sep
            if os.path.isdir(folder) and not inside:
                known.append(folder)
    os.environ["APPTAINER_BIND"] = ",".join(dict.fromkeys(known))


def git_commit(repository: str | Path) -> str | None:
    """Return the commit of a checkout, with ``+changes`` when files differ; None without git.

    Parameters
    ----------
    repository
        Folder of the Snakefile.
    """
    commit = _git(repository, "rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}+changes" if _git(repository, "status", "--porcelain", "-uno") else commit


def _git(repository: str | Path, *words: str) -> str | None:
    """Return what git prints; None when it is not there or fails."""
    command = ["git", "-C", str(repository), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _imported(start: Path, scripts: Path) -> set[Path]:
    """Return a file, and all files of the package that it imports, directly or not."""
    found, left = set(), [start]
    while left:
        file = left.pop()
        if file in found:
            continue
        found.add(file)
        if file.name == "__init__.py":
            found |= _data_files(file.parent)
        if file.suffix == ".py":
            left += _imports(file, scripts)
    return found


def _data_files(package: Path) -> set[Path]:
    """Return what is no Python in a package: templates, styles, what pages run."""
    folders = [one for one in package.iterdir() if one.is_dir()]
    own = [one for one in folders if not (one / "__init__.py").exists()]
    files = {file for folder in own for file in folder.rglob("*") if file.is_file()}
    return {file for file in files if file.suffix != ".pyc"}


def _imports(file: Path, scripts: Path) -> list[Path]:
    """Return the files of the package that one file imports."""
    names = set()
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = []
    for name in names:
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        for end in range(1, len(parts) + 1):
            place = scripts.joinpath(*parts[:end])
            files += [
                one for one in (place.with_suffix(".py"), place / "__init__.py") if one.is_file()
            ]
    return files


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _meaning(file: Path) -> bytes:
    """Return what a file says: of Python its syntax without docstrings, else its bytes."""
    if file.suffix != ".py":
        return file.read_bytes()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            del body[0]
    return ast.dump(tree).encode()


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
