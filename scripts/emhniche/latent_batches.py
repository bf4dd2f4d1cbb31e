"""How well do the batches of a latent space mix?

Measures of batch removal as scib defines them (Luecken 2022, doi 10.1038/s41592-021-01336-8),
written out here: its package scib-metrics needs jax, a second framework beside torch. scib's
silhouette of batches is left out: it calls spaces mixed whose neighbours are not. Cell types are
those that quality control gave each cell by its markers, which knew no latent space.
"""

import numpy as np
import pandas as pd
from harmonypy.lisi import compute_lisi
from scipy.stats import chi2

from emhniche.lineage import UNRESOLVED
from emhniche.neighbors import nearest

N_NEIGHBORS = 30

MIN_BATCH_CELLS = 150
"""Fewest cells of a batch for its mixing with another."""

MIN_PART = 20
"""Fewest cells of a batch within one cell type."""

ALPHA = 0.05
"""Level of the test of one neighbourhood in kBET."""


def batch_metrics(points: np.ndarray, cells: pd.DataFrame) -> dict[str, tuple[float, int]]:
    """Measure how well batches mix.

    Parameters
    ----------
    points
        Cells x dimensions.
    cells
        One row a cell: ``batch``, ``dataset`` and ``type`` (cell type).

    Returns
    -------
    dict
        Metric -> value and cells measured; NaN and 0 where nothing can be.

    References
    ----------
    iLISI: Korsunsky 2019, doi 10.1038/s41592-019-0619-0. kBET and the regression on components:
    Buettner 2019, doi 10.1038/s41592-018-0254-1.
    """
    found = {
        "ilisi": _ilisi(points, cells["batch"]),
        "kbet": _by_type(_kbet, points, cells),
        "batch_variance_left": _variance_left(points, cells["batch"]),
    }
    for name, rows in batch_pairs(cells):
        groups = cells["batch"].to_numpy()[rows]
        found[f"batch_mixing:{name}"] = chance_ratio(points[rows], groups), len(rows)
    return found


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


def chance_ratio(points: np.ndarray, groups: np.ndarray) -> float:
    """Share of other-group neighbours over the share expected by chance.

    Parameters
    ----------
    points
        Cells x dimensions.
    groups
        Group of each cell, two or more.

    Returns
    -------
    float
        1 is mixed as by chance, 0 apart.
    """
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    expected = 1 - (sizes[codes] - 1) / (len(groups) - 1)
    return float(neighbour_share(points, groups).sum() / expected.sum())


def batch_pairs(cells: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """Return ``a|b`` and the rows of each pair of large batches of one dataset."""
    pairs = []
    batches, datasets = cells["batch"].to_numpy(), cells["dataset"].to_numpy()
    for dataset in np.unique(datasets):
        names, sizes = np.unique(batches[datasets == dataset], return_counts=True)
        names = names[sizes >= MIN_BATCH_CELLS]
        for number, one in enumerate(names):
            for other in names[number + 1 :]:
                rows = np.flatnonzero((datasets == dataset) & np.isin(batches, [one, other]))
                pairs.append((f"{one}|{other}", rows))
    return pairs


def neighbourhood_p_values(found: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Test whether the groups in each neighbourhood have their share of all cells.

    Parameters
    ----------
    found
        Neighbourhoods x cells, row numbers.
    groups
        Group of every cell.

    Returns
    -------
    numpy.ndarray
        One p-value a neighbourhood, by Pearson's chi-square with a degree of freedom less than
        groups.
    """
    names, codes = np.unique(groups, return_inverse=True)
    share = np.bincount(codes) / len(codes)
    counts = np.stack([(codes[found] == one).sum(axis=1) for one in range(len(names))], axis=1)
    expected = found.shape[1] * share
    return chi2.sf(((counts - expected) ** 2 / expected).sum(axis=1), len(names) - 1)


def typed_rows(cells: pd.DataFrame) -> list[np.ndarray]:
    """Return, for each cell type, the rows of those batches that hold enough of it.

    A type in one batch only says nothing of mixing and is left out, as are cells without a type.
    """
    parts = []
    for kind, rows in cells.groupby("type", observed=True).indices.items():
        if kind == UNRESOLVED:
            continue
        batches = cells["batch"].iloc[rows]
        kept = rows[(batches.map(batches.value_counts()) >= MIN_PART).to_numpy()]
        if cells["batch"].iloc[kept].nunique() > 1:
            parts.append(kept)
    return parts


def _by_type(measure, points: np.ndarray, cells: pd.DataFrame) -> tuple[float, int]:
    """Return the mean of a measure over cell types, and their cells."""
    parts = typed_rows(cells)
    if not parts:
        return float("nan"), 0
    batches = cells["batch"].to_numpy()
    values = [measure(points[rows], batches[rows]) for rows in parts]
    return float(np.mean(values)), sum(len(rows) for rows in parts)


def _ilisi(points: np.ndarray, batches: pd.Series) -> tuple[float, int]:
    n_batches = batches.nunique()
    if n_batches < 2 or len(points) < 4:
        return float("nan"), 0
    perplexity = min(N_NEIGHBORS, (len(points) - 1) // 3)
    lisi = compute_lisi(points, batches.to_frame("batch"), ["batch"], perplexity)
    return float((np.median(lisi) - 1) / (n_batches - 1)), len(points)


def _kbet(points: np.ndarray, batches: np.ndarray) -> float:
    """Share of neighbourhoods whose batches have their share of the cells."""
    size = int(np.clip(len(points) / len(np.unique(batches)) / 4, 10, 70))
    found = nearest(points, min(size, len(points) - 1))
    return float((neighbourhood_p_values(found, batches) >= ALPHA).mean())


def _variance_left(points: np.ndarray, batches: pd.Series) -> tuple[float, int]:
    """Share of the variance that the batches do not explain: 1 - the regression's R2."""
    if batches.nunique() < 2:
        return float("nan"), 0
    means = pd.DataFrame(points).groupby(batches.to_numpy()).transform("mean").to_numpy()
    total = ((points - points.mean(axis=0)) ** 2).sum()
    return float(((points - means) ** 2).sum() / total), len(points)
