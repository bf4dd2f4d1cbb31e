"""How much of a GPU did a job use? Snakemake's benchmark files know of processor and memory only.

The driver's own program is asked once a second while the job runs, so it is the whole device that
is seen, with whatever else runs on it, and what lasts less than a second can be missed.
"""

import csv
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 1.0
"""Between two questions."""

ASKED = ("index", "name", "memory.total", "memory.used", "utilization.gpu")
"""What the driver is asked of each device; memory in MiB, utilisation in per cent."""

logger = logging.getLogger(__name__)


@contextmanager
def gpu_use(path: str | Path | None, accelerator: str) -> Iterator[None]:
    """Write what the job in the block used of each Nvidia GPU that it could see.

    Parameters
    ----------
    path
        Table to be written: ``device`` (its number), ``name``, ``memory_mb`` (that it has),
        ``peak_used_mb`` (most that was taken at once), ``mean_utilisation_percent`` and ``asked``
        (how often). None is written where the driver tells nothing, and one of an earlier job goes.
    accelerator
        What the job may use; nobody asks the driver for ``cpu``.
    """
    if path is None:
        yield
        return
    Path(path).unlink(missing_ok=True)
    answers: list[list[str]] = []
    done = threading.Event()
    asking = threading.Thread(target=_ask, args=(answers, done), daemon=True)
    if accelerator != "cpu":
        asking.start()
    try:
        yield
    finally:
        done.set()
        if asking.ident:
            asking.join()
        if answers:
            _write(answers, path)


def _ask(answers: list[list[str]], done: threading.Event) -> None:
    """Ask the driver until the job is done, or until it does not answer."""
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        command.append(f"--id={visible}")
    if visible == "" or shutil.which(command[0]) is None:
        return
    while True:
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            logger.info("the driver does not tell what is used of the GPU: %s", error)
            return
        answers += csv.reader(said.stdout.splitlines(), skipinitialspace=True)
        if done.wait(SECONDS):
            return


def _write(answers: list[list[str]], path: str | Path) -> None:
    import pandas as pd

    from emhniche import io

    told = pd.DataFrame(answers, columns=ASKED)
    # what a device cannot tell is no number ("[N/A]")
    told[list(ASKED[2:])] = told[list(ASKED[2:])].apply(pd.to_numeric, errors="coerce")
    of_devices = told.groupby(["index", "name"], sort=False)
    used = of_devices.agg(
        memory_mb=("memory.total", "max"),
        peak_used_mb=("memory.used", "max"),
        mean_utilisation_percent=("utilization.gpu", "mean"),
        asked=("name", "size"),
    ).round(1)
    used = used.reset_index().rename(columns={"index": "device"})
    for row in used.itertuples():
        logger.info(
            "GPU %s (%s): %g of %g MB at its peak, %g %% busy in the mean",
            *(row.device, row.name, row.peak_used_mb, row.memory_mb, row.mean_utilisation_percent),
        )
    io.write_table(used, path)
