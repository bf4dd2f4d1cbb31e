"""Which cells can be the nearest of each cell, searched among all of them on a GPU?

An index is approximate; a GPU compares every cell with every other one in the time that the index
takes to be built. Distances are computed in double precision, as the exact search on the CPU
computes them, so both end in the same neighbours (:mod:`emhniche.graph` orders them).
"""

import logging

import numpy as np
import torch

from emhniche.devices import device_failure
from emhniche.errors import InputError

BLOCK_BYTES = 2**30
"""Device memory that one block of distances takes."""

logger = logging.getLogger(__name__)


def nearest_on_device(points: np.ndarray, many: int, device: str) -> np.ndarray:
    """Return the nearest cells of each cell, itself among them, by comparing all with all.

    Parameters
    ----------
    points
        Cells x dimensions.
    many
        How many.
    device
        What torch calls the device; it must compute in double precision.

    Returns
    -------
    numpy.ndarray
        Cells x `many`, row numbers, nearest first but for rounding.

    Raises
    ------
    InputError
        When there is no such device, or it fails.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "config: cluster.accelerator: cuda is asked for and this machine shows none; use cpu"
        )
    try:
        return _search(points, many, device)
    except Exception as error:
        failure = device_failure(error)
        if failure is None:
            raise
        raise InputError(
            f"config: cluster.accelerator: {device} failed ({failure}); use cpu, or mend the device"
        ) from error


def _search(points: np.ndarray, many: int, device: str) -> np.ndarray:
    cells = torch.as_tensor(np.asarray(points, dtype=float), device=device)
    norms = cells.square().sum(dim=1)
    at_once = max(1, BLOCK_BYTES // (8 * len(cells)))
    found = np.empty((len(cells), many), dtype=np.int64)
    for start in range(0, len(cells), at_once):
        own = slice(start, start + at_once)
        # the cell's own norm is the same for all others, so their order needs it not
        squares = torch.addmm(norms[None], cells[own], cells.T, alpha=-2)
        found[own] = squares.topk(many, dim=1, largest=False).indices.cpu().numpy()
    logger.info("neighbours of %d cells were searched among all on %s", len(cells), device)
    return found
