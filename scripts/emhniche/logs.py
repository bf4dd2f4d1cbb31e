"""One log for each job, and one line for a user's mistake."""

import logging
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
        With status 1 when the block raises :class:`InputError`; its message is the last line of the
        log and of standard error. Any other exception is logged with its traceback and raised.
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
    place = surroundings()
    logger.info("%(system)s, Python %(python)s, image %(image)s", place)
    try:
        yield logger
        logger.info("done")
    except InputError as error:
        logger.error("%s", error)
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception:
        logger.exception("failed")
        raise
    finally:
        root.removeHandler(handler)
        handler.close()
