"""Did integration mix what should mix, and may it have erased what should not?

Libraries of one tissue, condition and gate are replicates: within a cell type their cells should
lie among each other. Their neighbourhoods are tested for differential abundance, as Milo does
between conditions (Dann 2022, doi 10.1038/s41587-021-01033-z), written out here: its ports milopy
and pertpy bring heavy stacks, and two replicates leave no dispersion to estimate.

Where no batch holds cells of both tissues, a method that takes batches out takes out whatever all
cells of a tissue share as well. No measure on the latent space can tell how much; it can be said.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from emhniche.latent_batches import MIN_PART, N_NEIGHBORS, chance_ratio, neighbourhood_p_values
from emhniche.lineage import UNRESOLVED
from emhniche.metrics import MAX_CELLS, described, placed
from emhniche.neighbors import nearest

FDR = 0.1
"""Share of false discoveries among the neighbourhoods called uneven (Milo's default)."""

MAX_INDEX_CELLS = 500
"""Most neighbourhoods of one cell type that are tested."""

WELL_MIXED = 0.8
"""Mixing over that of shuffled cells, from which on replicates are called mixed."""

UNCORRECTED = ("pca",)
"""Methods that take no batch out."""

MIXING_COLUMNS = [
    *("method", "dataset", "compared", "within", "cell_type", "status", "n_cells", "n_groups"),
    *("mixing", "ceiling", "n_neighbourhoods", "uneven"),
]


def mixing_table(
    latents: Mapping[str, pd.DataFrame], obs: pd.DataFrame, *, batch_key: str, seed: int
) -> pd.DataFrame:
    """Measure within each cell type how replicate libraries mix, and how tissues do.

    Parameters
    ----------
    latents
        Method -> ``cell_id`` and dimensions.
    obs
        Cells, as :func:`emhniche.metrics.integration_metrics` takes them, with ``condition`` and
        ``enrichment``.
    batch_key
        Column with the batch.
    seed
        Seed of the draw, of the neighbourhoods and of the shuffled control.

    Returns
    -------
    pandas.DataFrame
        One row a method, dataset, group and cell type (that of quality control, by markers):

        - ``compared``: ``replicates`` (batches of one tissue, condition and enrichment, which
          ``within`` names) or ``tissues`` (of one dataset).
        - ``status``: ``tested``, or ``not_testable`` where fewer than two groups hold
          :data:`emhniche.latent_batches.MIN_PART` cells of the type.
        - ``n_cells``, ``n_groups``: cells, and the batches or tissues that they are of.
        - ``mixing``: share of neighbours of another group, over the share by chance. ``ceiling``:
          the same for shuffled cells.
        - ``n_neighbourhoods``, ``uneven``: of replicates, neighbourhoods of 30 cells tested, and
          the share with differential abundance at 10 % false discoveries.
    """
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(len(obs))[:MAX_CELLS])
    obs = obs.iloc[drawn]
    cells = described(obs, batch_key)
    replicates = obs[["tissue", "condition", "enrichment"]].astype(str).agg("; ".join, axis=1)
    spaces = placed(latents, obs.index)
    rows = []
    for compared, within, groups in (
        ("replicates", replicates, cells["batch"]),
        ("tissues", pd.Series("all", cells.index), cells["tissue"]),
    ):
        keys = [cells["dataset"], within, cells["type"]]
        for (dataset, name, kind), members in cells.groupby(keys, observed=True).indices.items():
            if kind == UNRESOLVED or _alone(cells, groups, within, members[0]):
                continue
            order = rng.permutation(len(members))
            for method, points in spaces.items():
                found = _mixing(points[members], groups.to_numpy()[members], order, compared)
                rows.append((method, dataset, compared, name, kind, *found))
    table = pd.DataFrame(rows, columns=MIXING_COLUMNS)
    keys = ["method", "dataset", "compared", "within", "cell_type"]
    return table.sort_values(keys, kind="stable").reset_index(drop=True)


def _alone(cells: pd.DataFrame, groups: pd.Series, within: pd.Series, row: int) -> bool:
    """Tell whether a dataset has one group only there, so that nothing is to be compared."""
    same = (cells["dataset"] == cells["dataset"].iloc[row]) & (within == within.iloc[row])
    return groups[same.to_numpy()].nunique() < 2


def _mixing(points: np.ndarray, groups: np.ndarray, order: np.ndarray, compared: str) -> tuple:
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    kept = sizes[codes] >= MIN_PART
    n_groups = int((sizes >= MIN_PART).sum())
    if n_groups < 2:
        return "not_testable", len(groups), len(names), np.nan, np.nan, 0, np.nan
    shuffled = points[order][kept]
    points, groups = points[kept], groups[kept]
    values = [chance_ratio(space, groups) for space in (points, shuffled)]
    uneven = (0, np.nan)
    if compared == "replicates":
        uneven = uneven_neighbourhoods(points, groups, order[order < len(points)])
    return "tested", len(points), n_groups, *values, *uneven


def uneven_neighbourhoods(
    points: np.ndarray, groups: np.ndarray, order: np.ndarray
) -> tuple[int, float]:
    """Test neighbourhoods for differential abundance of groups.

    Parameters
    ----------
    points
        Cells x dimensions.
    groups
        Group of each cell.
    order
        Rows, in the order in which cells become the centre of a neighbourhood.

    Returns
    -------
    n_neighbourhoods
        How many were tested.
    uneven
        Share of them below a spatial false discovery rate of :data:`FDR`: neighbourhoods that
        overlap count less, by the distance to their last cell (Lun 2017, doi 10.1038/nmeth.4295).
    """
    centres = order[:MAX_INDEX_CELLS]
    size = min(N_NEIGHBORS, len(points) - 1)
    found = nearest(points, size)[centres]
    p_values = neighbourhood_p_values(found, groups)
    reach = np.linalg.norm(points[found[:, -1]] - points[centres], axis=1)
    weights = 1 / np.maximum(reach, np.finfo(np.float32).tiny)
    return len(centres), float((spatial_fdr(p_values, weights) <= FDR).mean())


def spatial_fdr(p_values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Adjust p-values by Benjamini and Hochberg's procedure with a weight each (Lun 2017)."""
    order = np.argsort(p_values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    adjusted = np.minimum.accumulate((p_values[order] / share)[::-1])[::-1]
    result = np.empty_like(p_values, dtype=float)
    result[order] = np.minimum(adjusted, 1)
    return result


def verdicts(
    mixing: pd.DataFrame, metrics: pd.DataFrame, obs: pd.DataFrame, *, batch_key: str
) -> pd.DataFrame:
    """Say of each method, in a sentence each, what integration did and what it can have undone.

    Parameters
    ----------
    mixing
        Result of :func:`mixing_table`.
    metrics
        Result of :func:`emhniche.metrics.integration_metrics`.
    obs
        Cells: ``dataset``, ``tissue`` and the batch column.
    batch_key
        Column with the batch.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``check`` (``replicates``, ``aliasing``, ``restricted``), ``code`` and
        ``sentence``.
    """
    rows = []
    for method in metrics["method"].unique():
        own = mixing[(mixing["method"] == method) & (mixing["status"] == "tested")]
        rows.append((method, "replicates", *_replicates(own[own["compared"] == "replicates"])))
        rows.append((method, "aliasing", *_aliasing(obs, batch_key, method, own)))
        apart = metrics["metric"].str.startswith("apart:") & (metrics["method"] == method)
        apart &= ~metrics["supervised"].astype(bool)
        rows.append((method, "restricted", *_restricted(metrics[apart])))
    return pd.DataFrame(rows, columns=["method", "check", "code", "sentence"])


def _replicates(rows: pd.DataFrame) -> tuple[str, str]:
    if rows.empty:
        return "not_testable", (
            "No two libraries of one tissue, condition and gate share a cell type, so nothing "
            "shows whether libraries mix."
        )
    share = rows["mixing"] / rows["ceiling"]
    poor = int((share < WELL_MIXED).sum())
    level = np.average(share, weights=rows["n_cells"])
    uneven = np.average(rows["uneven"], weights=rows["n_neighbourhoods"])
    text = (
        f"Replicate libraries mix to {100 * level:.0f} % of what chance would give within a cell "
        f"type ({len(rows) - poor} of {len(rows)} types and groups at {100 * WELL_MIXED:.0f} % or "
        f"more); {100 * uneven:.0f} % of the neighbourhoods hold more cells of one library than "
        "chance allows."
    )
    return ("mixed" if level >= WELL_MIXED else "apart"), text


def _aliasing(
    obs: pd.DataFrame, batch_key: str, method: str, rows: pd.DataFrame
) -> tuple[str, str]:
    tissues = obs["tissue"].astype(str).unique()
    if len(tissues) < 2:
        return "one_tissue", "One tissue: no difference between tissues can have been erased."
    held = obs.groupby(obs[batch_key].astype(str))["tissue"].agg(
        lambda one: one.astype(str).nunique()
    )
    if (held > 1).any():
        return "bridged", (
            f"{(held > 1).sum()} of {len(held)} batches hold cells of more than one tissue, which "
            "tells tissue from batch."
        )
    if method in UNCORRECTED:
        return "aliased_uncorrected", (
            "No batch holds cells of more than one tissue; nothing is corrected here, so tissues "
            "lie apart by batch as well as by biology."
        )
    text = (
        "No batch holds cells of more than one tissue: what all cells of a tissue share cannot be "
        "told from batch and can have been taken out of this latent space. Compare tissues by "
        "counts, not by this map or its distances."
    )
    tissue = rows[rows["compared"] == "tissues"]
    erased = tissue[tissue["mixing"] / tissue["ceiling"] >= WELL_MIXED]
    if len(erased):
        text += (
            f" Tissues lie among each other in {len(erased)} of {len(tissue)} cell types "
            f"({', '.join(sorted(set(erased['cell_type'])))})."
        )
    return "aliased", text


def _restricted(rows: pd.DataFrame) -> tuple[str, str]:
    rows = rows[rows["value"].notna()]
    if rows.empty:
        return "not_testable", (
            "No type of one tissue has cells of its lineage in the other tissue to be merged with."
        )
    half = (rows["floor"] + rows["ceiling"]) / 2
    merged = [name.removeprefix("apart:") for name in rows.loc[rows["value"] < half, "metric"]]
    if merged:
        return "merged", (
            f"Merged with cells of another tissue: {', '.join(merged)}, although found in one "
            "tissue only. Integration went too far for them."
        )
    names = ", ".join(name.removeprefix("apart:") for name in rows["metric"])
    return "apart", f"Types of one tissue are kept apart: {names}."
