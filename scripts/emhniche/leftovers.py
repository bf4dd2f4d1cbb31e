"""What did killed jobs leave behind?

Files and folders are written under a temporary name and renamed when they are whole
(:mod:`emhniche.io`), so a job that is killed leaves what it was writing. Nothing reads it.
"""

import re
import shutil
import time
from pathlib import Path

TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.[A-Za-z0-9]+)?")
"""Names that :mod:`emhniche.io` writes to: ``.<stem>.<8 characters><suffix>``."""

AGE = 24 * 3600
"""Seconds since the last change after which no job can be at work on it. Two calls of Snakemake
may make different files of one run at the same time, and each begins by removing leftovers."""


def leftovers(folder: str | Path) -> list[Path]:
    """List the temporary files and folders under a folder.

    Parameters
    ----------
    folder
        Results of a run; it may not be there yet.

    Returns
    -------
    list of pathlib.Path
        What a job began and did not finish, or is writing. A download that was broken off
        (``.<name>.part``) is none: the next run goes on with it.
    """
    return sorted(path for path in Path(folder).rglob(".*") if TEMPORARY.fullmatch(path.name))


def remove_leftovers(folder: str | Path) -> int:
    """Remove temporary files and folders that nothing has written to for :data:`AGE`.

    Parameters
    ----------
    folder
        Results of a run.

    Returns
    -------
    int
        Number of files and folders removed.
    """
    now = time.time()
    found = [path for path in leftovers(folder) if now - _last_change(path) > AGE]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(found)


def _last_change(path: Path) -> float:
    """Return when a file, or a folder or anything in it, was last written to."""
    try:
        return max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
    except FileNotFoundError:  # another run has just given it its name
        return time.time()
