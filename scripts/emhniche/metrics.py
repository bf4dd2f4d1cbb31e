"""Is a latent space any good? Each number stands between its floor and its ceiling.

A metric alone means little: the floor is what a latent space without information scores (the cells'
positions shuffled), the ceiling what a perfect one would.
"""

import numpy as np
import pandas as pd

from emhniche.io import CELL_ID
from emhniche.neighbors import nearest

N_NEIGHBORS = 30

MIN_LABELLED = 50
"""Fewest cells of a dataset with a published label for their purity."""

MIN_BATCH_CELLS = 150
"""Fewest cells of a batch for its mixing with another."""


def integration_metrics(
    latents: dict[str, pd.DataFrame], obs: pd.DataFrame, *, batch_key: str, seed: int
) -> pd.DataFrame:
    """Measure each method's latent space, with the controls that give the numbers a scale.

    Parameters
    ----------
    latents
        Method -> ``cell_id`` and dimensions.
    obs
        Cells, indexed by ``cell_id``: ``sample``, ``dataset``, the batch column and ``label``
        (published cell type, empty for none). Labels are used here only and never in training.
    batch_key
        Column with the batch.
    seed
        Seed of the shuffled control.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``metric``, ``value``, ``floor``, ``ceiling``, ``n`` (cells):

        - ``label_purity``: among the nearest labelled cells of the same dataset, the share with the
          cell's own published label. Floor: shuffled. Ceiling: 1.
        - ``batch_mixing:<a>|<b>``: for two batches of one dataset, the other batch's share of the
          nearest cells of the two, divided by its share of the cells. 1 is mixed as by chance
          (ceiling, from the shuffled control), 0 apart (floor). Only replicates should mix.
        - ``active_dimensions``: dimensions whose variance over the cells is above 0.01 of the
          largest. Ceiling: all.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(obs))
    rows = []
    for method, table in latents.items():
        points = table.set_index(CELL_ID).reindex(obs.index).to_numpy(dtype=np.float32)
        shuffled = points[order]
        rows.append((method, *_label_purity(points, shuffled, obs)))
        rows += [(method, *row) for row in _mixing(points, shuffled, obs, batch_key)]
        variance = points.var(axis=0)
        active = float((variance > 0.01 * variance.max()).sum())
        rows.append((method, "active_dimensions", active, 1.0, float(points.shape[1]), len(obs)))
    columns = ["method", "metric", "value", "floor", "ceiling", "n"]
    return pd.DataFrame(rows, columns=columns)


def neighbour_share(
    points: np.ndarray, groups: np.ndarray, *, n_neighbors: int = N_NEIGHBORS
) -> np.ndarray:
    """Share of each point's nearest neighbours that are of another group.

    Parameters
    ----------
    points
        Cells x dimensions.
    groups
        Group of each cell.
    n_neighbors
        Neighbours looked at.

    Returns
    -------
    numpy.ndarray
        One share a cell, in [0, 1].
    """
    found = nearest(points, min(n_neighbors, len(points) - 1))
    return (groups[found] != groups[:, None]).mean(axis=1)


def _label_purity(
    points: np.ndarray, shuffled: np.ndarray, obs: pd.DataFrame
) -> tuple[str, float, float, float, int]:
    labelled = (obs["label"].astype(str) != "").to_numpy()
    purity, control, n_cells = 0.0, 0.0, 0
    for _, group in obs[labelled].groupby("dataset", observed=True):
        if len(group) < MIN_LABELLED:
            continue
        rows = obs.index.get_indexer(group.index)
        labels = group["label"].astype(str).to_numpy()
        purity += (1 - neighbour_share(points[rows], labels)).sum()
        control += (1 - neighbour_share(shuffled[rows], labels)).sum()
        n_cells += len(group)
    if not n_cells:
        return "label_purity", float("nan"), float("nan"), 1.0, 0
    return "label_purity", purity / n_cells, control / n_cells, 1.0, n_cells


def _mixing(
    points: np.ndarray, shuffled: np.ndarray, obs: pd.DataFrame, batch_key: str
) -> list[tuple[str, float, float, float, int]]:
    rows = []
    batches = obs[batch_key].astype(str).to_numpy()
    datasets = obs["dataset"].astype(str).to_numpy()
    for dataset in np.unique(datasets):
        names, sizes = np.unique(batches[datasets == dataset], return_counts=True)
        names = names[sizes >= MIN_BATCH_CELLS]
        for number, one in enumerate(names):
            for other in names[number + 1 :]:
                pair = np.flatnonzero((datasets == dataset) & np.isin(batches, [one, other]))
                values = [_chance_ratio(space[pair], batches[pair]) for space in (points, shuffled)]
                rows.append((f"batch_mixing:{one}|{other}", values[0], 0.0, values[1], len(pair)))
    return rows


def _chance_ratio(points: np.ndarray, groups: np.ndarray) -> float:
    """Observed share of other-group neighbours over the share expected by chance."""
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    expected = 1 - (sizes[codes] - 1) / (len(groups) - 1)
    return float(neighbour_share(points, groups).sum() / expected.sum())
