"""One log for each job, and one line for a user's mistake."""

import errno
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emhniche.errors import InputError
from emhniche.surroundings import surroundings


@contextmanager
def job_log(path: str | Path) -> Iterator[logging.Logger]:
    """Send log messages, warnings and errors of a job to `path`; end cleanly on bad input.

    The first line says what the job runs on, and in which image.

    Parameters
    ----------
    path
        Log file of the job (``snakemake.log[0]``).

    Yields
    ------
    logging.Logger
        The logger of the package.

    Raises
    ------
    SystemExit
        With status 1 when the block raises :class:`InputError`, or the disk is full; a message of
        one line is the last of the log and of standard error. Any other exception is logged with
        its traceback and raised.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    logger = logging.getLogger("emhniche")
    hooks = sys.excepthook, sys.unraisablehook
    # what HDF5 cannot flush to a full disk would fill standard error with tracebacks
    sys.excepthook = lambda kind, error, trace: logger.warning("ignored: %s", error)
    sys.unraisablehook = lambda ignored: logger.warning("ignored: %s", ignored.exc_value)
    place = surroundings()
    logger.info("%(system)s, Python %(python)s, image %(image)s", place)
    try:
        yield logger
        logger.info("done")
    except InputError as error:
        _say(logger, str(error))
        raise SystemExit(1) from None
    except Exception as error:
        if disk_is_full(error):
            _say(
                logger,
                f"{Path(path).stem}: no space left on the disk; nothing half-written is kept: free "
                "some and start the same command again",
            )
            sys.stderr.flush()
            # HDF5 would try again to write what it holds, and end by a segmentation fault
            os._exit(1)
        logger.exception("failed")
        raise
    finally:
        sys.excepthook, sys.unraisablehook = hooks
        root.removeHandler(handler)
        handler.close()


def disk_is_full(error: BaseException | None) -> bool:
    """Tell whether an exception, or one that it came from, means a full disk or quota.

    Libraries that write with their own code (HDF5, Arrow, torch) say so in the text only.

    Parameters
    ----------
    error
        The exception.
    """
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        if re.search(r"No space left on device|Disk quota exceeded", str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _say(logger: logging.Logger, message: str) -> None:
    logger.error("%s", message)
    print(f"error: {message}", file=sys.stderr)
