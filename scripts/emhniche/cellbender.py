"""What does CellBender say of a library: which droplets hold a cell, and how much of it is soup?

CellBender (Fleming 2023, Nat Methods, doi 10.1038/s41592-023-01943-7) learns both from all droplets
of the raw matrix. It runs as a program of its own, since it keeps its state beside its output. Its
corrected counts are not used: the counts of this pipeline stay raw, and a gene that the soup
explains is flagged.
"""

import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from emhniche.droplets import (
    EMPTY_BELOW,
    MIN_EMPTY,
    empty_droplets,
    read_profile,
    write_profile,
)
from emhniche.errors import InputError
from emhniche.io import read_table, write_table

DROPLET_COLUMNS = ["barcode", "cell_probability", "ambient"]
"""Columns of ``cellbender_droplets.parquet``."""

_N_LINES = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """What CellBender says of one library.

    Attributes
    ----------
    droplets
        The droplets that it looked at: :data:`DROPLET_COLUMNS`, ``cell_probability`` and
        ``ambient`` (share of the counts that is soup) in [0, 1].
    profile
        Share of the soup that each gene makes, indexed by gene.
    """

    droplets: pd.DataFrame
    profile: pd.Series


def run_cellbender(
    path: str | Path, *, epochs: int, accelerator: str, threads: int
) -> Estimate | None:
    """Run CellBender on one library.

    Parameters
    ----------
    path
        Raw counts (``.h5ad``) with all droplets.
    epochs
        Passes over the droplets.
    accelerator
        ``auto`` (a CUDA device where there is one), ``gpu`` or ``cpu``.
    threads
        Threads on the CPU.

    Returns
    -------
    Estimate or None
        None where the file holds called cells, from which nothing can be learned of the soup.

    Raises
    ------
    InputError
        When CellBender is not installed or ends with an error, or a GPU is asked for and there is
        none.
    """
    counts = ad.read_h5ad(path)
    if not empty_droplets(counts.X).any():
        logger.warning(
            "not run: CellBender needs all droplets, and fewer than %d, or not most, of these %d "
            "barcodes hold fewer than %d counts",
            MIN_EMPTY,
            counts.n_obs,
            EMPTY_BELOW,
        )
        return None
    if importlib.util.find_spec("cellbender") is None:
        raise InputError(
            "config: ambient.method: cellbender is asked for and is not installed here; install "
            "it (pip install cellbender) or run with --sdm apptainer or conda"
        )
    options = ["--epochs", str(epochs), "--cpu-threads", str(threads)]
    if _uses_cuda(accelerator):
        options.append("--cuda")
    with tempfile.TemporaryDirectory() as folder:
        _run(Path(path).resolve(), Path(folder), options)
        return read_output(Path(folder) / "out.h5", counts)


def read_output(path: str | Path, counts: ad.AnnData) -> Estimate:
    """Read CellBender's output.

    Parameters
    ----------
    path
        The ``.h5`` that ``cellbender remove-background`` wrote.
    counts
        What it was given.

    Returns
    -------
    Estimate
    """
    with h5py.File(path) as store:
        of_droplet = store["droplet_latents"]
        places = of_droplet["barcode_indices_for_latents"][:]
        droplets = pd.DataFrame(
            {
                "barcode": counts.obs_names[places],
                "cell_probability": of_droplet["cell_probability"][:].astype(float),
                "ambient": np.clip(of_droplet["background_fraction"][:], 0.0, 1.0).astype(float),
            }
        )
        share = store["global_latents/ambient_expression"][:].astype(float)
    return Estimate(droplets, pd.Series(share / share.sum(), index=counts.var_names))


def write_estimate(estimate: Estimate | None, droplets: str | Path, profile: str | Path) -> None:
    """Write both tables of an estimate; tables without rows where there is none."""
    empty = pd.DataFrame(columns=DROPLET_COLUMNS)
    write_table(empty if estimate is None else estimate.droplets, droplets)
    write_profile(None if estimate is None else estimate.profile, profile)


def read_estimate(droplets: str | Path, profile: str | Path) -> Estimate | None:
    """Read what :func:`write_estimate` wrote."""
    table = read_table(droplets)
    if table.empty:
        return None
    return Estimate(table, read_profile(profile))


def _uses_cuda(accelerator: str) -> bool:
    import torch

    found = torch.cuda.is_available()
    if accelerator == "gpu" and not found:
        raise InputError(
            "config: ambient.cellbender.accelerator: gpu is asked for and this machine shows no "
            "CUDA device; use auto or cpu"
        )
    return found and accelerator != "cpu"


def _run(counts: Path, folder: Path, options: list[str]) -> None:
    """Run the program in `folder`, where it leaves ``out.h5``; its lines go to the log."""
    command = [sys.executable, "-m", "cellbender.base_cli", "remove-background"]
    command += ["--input", str(counts), "--output", "out.h5", *options]
    # the folder of the rules' scripts holds names of packages
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    last: list[str] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        for line in program.stdout:
            logger.info("%s", line.rstrip())
            last = [*last, line.strip()][-_N_LINES:]
    if program.returncode or not (folder / "out.h5").exists():
        raise InputError(
            f"{counts}: CellBender ended with status {program.returncode}: {' '.join(last)}; see "
            "the log, or set ambient.method: soup"
        )
