"""How is the map of cells laid out on a GPU?

RAPIDS cuML lays out the graph that the clusters were cut from. It is given all that decides the map
on the CPU: the graph, the positions that umap-learn begins with, the curve, the number of passes
and the rate of negative samples.
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from emhniche.device_errors import DEVICE_ERROR, device_line
from emhniche.errors import InputError
from emhniche.rapids import SETTING

FEW_CELLS = 10_000
"""Up to this many cells the layout makes 500 passes over the graph, above 200; as in UMAP."""


def lay_out_on_device(
    embed: Callable,
    points: np.ndarray,
    graph: sparse.csr_matrix,
    *,
    start: np.ndarray,
    curve: tuple[float, float],
    seed: int,
) -> np.ndarray:
    """Lay a graph out on a GPU.

    Parameters
    ----------
    embed
        Result of :func:`emhniche.rapids.find_cuml`.
    points
        Cells x dimensions of the space that the graph is of.
    graph
        Cells x cells, weights of the neighbour graph.
    start
        Cells x 2, positions to begin with.
    curve
        ``a`` and ``b`` of the weight ``1 / (1 + a d^(2b))`` that two cells at a distance ``d`` on
        the plane have.
    seed
        Seed of the negative samples.

    Returns
    -------
    numpy.ndarray
        Cells x 2.

    Raises
    ------
    InputError
        When the device fails.

    References
    ----------
    Nolet CJ et al. (2021) Bringing UMAP closer to the speed of light with GPU acceleration.
    Proceedings of the AAAI Conference on Artificial Intelligence 35:418.
    doi 10.1609/aaai.v35i1.16118
    """
    try:
        return embed(
            points,
            graph.tocoo(),
            n_components=2,
            initial_alpha=1.0,
            a=curve[0],
            b=curve[1],
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=500 if graph.shape[0] <= FEW_CELLS else 200,
            init=start,
            random_state=seed,
            # what cuML does by itself after a spectral start, and does not know of one it is given:
            # its faster kernel can throw single cells far out
            force_serial_epochs=True,
        )
    except Exception as error:
        if not isinstance(error, MemoryError) and not DEVICE_ERROR.search(str(error)):
            raise
        raise InputError(
            f"{SETTING} failed ({device_line(error)}); use cpu, or mend the device"
        ) from error
