"""What does a release hold?

The files of the checked-out commit, the lock of its packages among them, and the sum of each, in
one archive; beside it the sum of the archive. The same commit gives the same bytes.
"""

import gzip
import hashlib
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from emhniche.errors import InputError
from emhniche.io import atomic_path, write_text

ROOT = Path(__file__).resolve().parents[2]
SUMS = "SHA256SUMS"
"""Sum and name of each file, as ``sha256sum --check`` takes them."""


def pack(root: Path, folder: Path) -> Path:
    """Write the archive of the checked-out commit and its sum.

    Parameters
    ----------
    root
        A git checkout of the pipeline.
    folder
        Where to write ``emh-niche-<version>.tar.gz`` and ``emh-niche-<version>.tar.gz.sha256``.

    Returns
    -------
    pathlib.Path
        The archive.

    Raises
    ------
    InputError
        Where `root` is no checkout, or a tracked file is not as it is committed.
    """
    try:
        changed = _git(root, "status", "--porcelain", "--untracked-files=no").decode().split("\n")
    except (OSError, subprocess.CalledProcessError):
        raise InputError(f"{root}: a release is packed from a git checkout") from None
    if changed[0]:
        raise InputError(
            f"{root}: {changed[0][3:]} is not as it is committed; commit it or take the change back"
        )
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    name = f"emh-niche-{version}"
    with tempfile.TemporaryDirectory() as beside:
        sums = Path(beside) / SUMS
        sums.write_text(_sums(root), encoding="utf-8")
        tar = _git(root, "archive", f"--prefix={name}/", f"--add-file={sums}", "HEAD")
    archive = folder / f"{name}.tar.gz"
    with atomic_path(archive) as temporary:
        # no time in it: the same commit gives the same bytes
        temporary.write_bytes(gzip.compress(tar, mtime=0))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    write_text(f"{digest}  {archive.name}\n", folder / f"{archive.name}.sha256")
    return archive


def _sums(root: Path) -> str:
    """Return the lines of :data:`SUMS`: every file of the commit."""
    rows = []
    for entry in _git(root, "ls-tree", "-r", "-z", "HEAD").decode().split("\0"):
        if entry:
            about, path = entry.split("\t")
            mode, _, blob = about.split()
            if mode != "120000":
                digest = hashlib.sha256(_git(root, "cat-file", "blob", blob)).hexdigest()
                rows.append(f"{digest}  {path}\n")
    return "".join(sorted(rows, key=lambda row: row[66:]))


def _git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=True).stdout


if __name__ == "__main__":
    try:
        print(pack(ROOT, ROOT / "dist"))
    except InputError as error:
        sys.exit(f"error: {error}")
