"""What did killed jobs leave behind?

Files are written under a temporary name and renamed when they are whole (:mod:`emhniche.io`), so a
job that is killed leaves its temporary file. Nothing reads it.
"""

import re
import time
from pathlib import Path

TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.[A-Za-z0-9]+)?")
"""Names that :func:`emhniche.io.atomic_path` writes to: ``.<stem>.<8 characters><suffix>``."""

AGE = 24 * 3600
"""Seconds since the last change after which no job can be at work on a file. Two calls of Snakemake
may make different files of one run at the same time, and each begins by removing leftovers."""


def leftovers(folder: str | Path) -> list[Path]:
    """List the temporary files under a folder.

    Parameters
    ----------
    folder
        Results of a run; it may not be there yet.

    Returns
    -------
    list of pathlib.Path
        Files that a job began and did not finish, or is writing. A download that was broken off
        (``.<name>.part``) is none: the next run goes on with it.
    """
    return sorted(path for path in Path(folder).rglob(".*") if _is_temporary(path))


def remove_leftovers(folder: str | Path) -> int:
    """Remove the temporary files under a folder that nothing has written to for :data:`AGE`.

    Parameters
    ----------
    folder
        Results of a run.

    Returns
    -------
    int
        Number of files removed.
    """
    now = time.time()
    found = [path for path in leftovers(folder) if now - path.stat().st_mtime > AGE]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _is_temporary(path: Path) -> bool:
    return TEMPORARY.fullmatch(path.name) is not None and path.is_file()
