"""Does a latent space keep what is known of the cells: types, maturation, cell cycle, tissues?

The measures on labels are those of scib (Luecken 2022, doi 10.1038/s41592-021-01336-8). Maturation,
cell cycle and the types of one tissue are read from scores of published marker sets, computed from
counts and not from any latent space.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from harmonypy.lisi import compute_lisi
from scipy.sparse.csgraph import connected_components
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from emhniche.latent_batches import N_NEIGHBORS, neighbour_share
from emhniche.lineage import UNRESOLVED
from emhniche.lineage_cells import MATURATION
from emhniche.neighbors import leiden, nearest, shared_graph

MIN_LABELLED = 50
"""Fewest cells of a dataset with a published label for their purity."""

MIN_TYPE_CELLS = 10
"""Fewest cells of a type to be measured by itself."""

HOME_SHARE = 0.95
"""A label with this share of its cells in one tissue is that tissue's own."""

RARE_SHARE = 0.02
"""A type of at most this share of the labelled cells is rare."""

RARE_NEIGHBORS = 5
"""Neighbours that a rare cell is named by: few, as there are few of its kind."""

SCORE_NEIGHBORS = 15

MIN_SCORED = 100
"""Fewest cells of a lineage and dataset for the order of their scores."""

CARRIER_Z = 2.0
"""A cell carries a set whose score stands so many standard deviations above its random sets."""

MIN_FOLD = 3.0
"""A set is one of a tissue's own where so many times the other tissues' share of cells carry it."""

RESOLUTIONS = (0.1, 0.25, 0.5, 1.0, 2.0)

MAX_PARTITIONED = 5_000
"""Most labelled cells that are clustered and whose silhouette is taken; more are drawn from."""

LABEL_METRICS = (*("label_purity", "clisi", "rare_type_recall", "nmi", "ari", "label_silhouette"),)
"""Metrics that the published labels judge by."""

RESTRICTED = {
    "RPM": ("spleen", "monocyte_macrophage"),
    "RedPulp_stroma_Tcf21": ("spleen", "stroma"),
    "LepR_CAR_MSC": ("bone marrow", "stroma"),
}
"""Set -> the tissue that its cells live in, and the lineage they are of."""

RIVALS = {
    "monocyte_macrophage": (
        *("RPM", "cMono", "ncMono", "MZM_MMM", "EBI_macrophage", "M_MDSC", "VCAM1_macrophage"),
    ),
    "stroma": (
        *("LepR_CAR_MSC", "Osteolineage", "Fibroblast", "RedPulp_stroma_Tcf21", "FRC_TRC"),
        *("FDC_BRC", "MRC", "Pericyte_SMC_marrow", "Pericyte_SMC_spleen", "Chondrocyte"),
        *("Capsular_myofibroblast", "Mesothelium"),
    ),
}
"""Lineage -> its sets; a cell is of the one that scores highest in it."""


def type_metrics(points: np.ndarray, cells: pd.DataFrame) -> dict[str, tuple[float, int]]:
    """Measure how well cells of one type stay together.

    Parameters
    ----------
    points
        Cells x dimensions.
    cells
        One row a cell: ``dataset``, ``label`` (published cell type, empty for none) and ``type``.

    Returns
    -------
    dict
        Metric -> value and cells measured; NaN and 0 where nothing can be.
    """
    known = np.flatnonzero(cells["label"].to_numpy() != "")
    labels, found = cells["label"].to_numpy()[known], {}
    found["label_purity"] = _purity(points, cells)
    found["clisi"] = _clisi(points[known], labels)
    found["rare_type_recall"] = _rare_recall(points[known], labels)
    return found | _partition_agreement(points[known], labels)


def connectivity(points: np.ndarray, cells: pd.DataFrame) -> dict[str, tuple[float, int]]:
    """Measure whether the cells of one type hang together, whatever their batch.

    Parameters
    ----------
    points
        Cells x dimensions.
    cells
        One row a cell: ``type``.

    Returns
    -------
    dict
        ``graph_connectivity``: the share of a type's cells in its largest connected part of the
        neighbour graph, mean over types; and the cells of these types.
    """
    graph = shared_graph(points, n_neighbors=SCORE_NEIGHBORS)
    kinds, shares, n_cells = cells["type"].to_numpy(), [], 0
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        if len(rows) >= MIN_TYPE_CELLS and kind != UNRESOLVED:
            _, parts = connected_components(graph[rows][:, rows], directed=False)
            shares.append(np.bincount(parts).max() / len(rows))
            n_cells += len(rows)
    return {"graph_connectivity": (float(np.mean(shares)) if shares else float("nan"), n_cells)}


@dataclass(frozen=True)
class Order:
    """Scores that neighbours should share.

    Attributes
    ----------
    name
        Metric: ``maturation:<lineage>`` or ``cell_cycle``.
    parts
        Rows of the cells, apart by dataset and lineage.
    values
        All cells x scores.
    """

    name: str
    parts: list[np.ndarray]
    values: np.ndarray


def orders(cells: pd.DataFrame, scores: pd.DataFrame) -> list[Order]:
    """Return the scores that a latent space should keep in order.

    Parameters
    ----------
    cells
        One row a cell: ``dataset`` and ``type``.
    scores
        Cells x sets, in the same order; NaN where a set is not measured.

    Returns
    -------
    list of Order
        Maturation of each lineage that has early and late sets, and the cell cycle.
    """
    groups = cells.groupby(["dataset", "type"], observed=True).indices
    found = []
    for lineage, stages in MATURATION.items():
        ends = [[name for name in stages if stages[name] == end] for end in (1, -1)]
        if not all(set(names) & set(scores) for names in ends):
            continue
        late, early = (scores.reindex(columns=names).mean(axis=1) for names in ends)
        rows = [part for (_, kind), part in groups.items() if kind == lineage]
        found.append(_order(f"maturation:{lineage}", rows, (late - early).to_numpy()[:, None]))
    cycle = ["CellCycle_S", "CellCycle_G2M"]
    if set(cycle) <= set(scores):
        found.append(_order("cell_cycle", list(groups.values()), scores[cycle].to_numpy()))
    return [one for one in found if one.parts]


def order_kept(points: np.ndarray, order: Order) -> float:
    """Return how far a cell's score is that of its nearest.

    Parameters
    ----------
    points
        Cells x dimensions.
    order
        Scores, and the cells to look at.

    Returns
    -------
    float
        Spearman's correlation of a cell's score with the mean of its 15 nearest of its own dataset
        and lineage; mean over scores and, weighted by cells, over datasets and lineages.
    """
    values, weights = [], []
    for rows in order.parts:
        own = order.values[rows]
        near = own[nearest(points[rows], SCORE_NEIGHBORS)].mean(axis=1)
        pairs = [spearmanr(own[:, i], near[:, i]).statistic for i in range(own.shape[1])]
        values.append(np.mean(pairs))
        weights.append(len(rows))
    return float(np.average(values, weights=weights))


@dataclass(frozen=True)
class Restricted:
    """A type of one tissue, and the cells that it may not be merged with.

    Attributes
    ----------
    name
        Metric: ``apart:<set or label>``.
    carriers, others
        Rows of its cells, and of the cells of like lineage in other tissues that are not of it.
    """

    name: str
    carriers: np.ndarray
    others: np.ndarray


def restricted_types(cells: pd.DataFrame, scores: pd.DataFrame | None) -> list[Restricted]:
    """Find the types of one tissue: by published label, and by marker sets that name one.

    Parameters
    ----------
    cells
        One row a cell: ``dataset``, ``tissue``, ``label`` and ``type``.
    scores
        Cells x sets, standard deviations above random sets; None without.

    Returns
    -------
    list of Restricted
        Labels with 95 % of their cells in one tissue of several, and the sets of
        :data:`RESTRICTED` that mark :data:`MIN_FOLD` times the share of cells at home.
    """
    tissue, kinds = cells["tissue"].to_numpy(), cells["type"].to_numpy()
    found = []
    for (dataset, label), rows in cells.groupby(
        ["dataset", "label"], observed=True
    ).indices.items():
        homes, sizes = np.unique(tissue[rows], return_counts=True)
        if label == "" or sizes.max() < HOME_SHARE * len(rows):
            continue
        near = np.isin(kinds, np.unique(kinds[rows])) & (cells["dataset"] == dataset).to_numpy()
        others = near & (cells["label"] != label).to_numpy() & (tissue != homes[sizes.argmax()])
        found.append(Restricted(f"apart:{label}", rows, np.flatnonzero(others)))
    for name, (home, lineage) in RESTRICTED.items() if scores is not None else ():
        of_set = best_set(scores, RIVALS[lineage]) == name
        here, there = ((kinds == lineage) & own for own in (tissue == home, tissue != home))
        if here.any() and there.any() and of_set[here].mean() >= MIN_FOLD * of_set[there].mean():
            rows = map(np.flatnonzero, (of_set & here, ~of_set & there))
            found.append(Restricted(f"apart:{name}", *rows))
    return [one for one in found if min(len(one.carriers), len(one.others)) >= 2 * MIN_TYPE_CELLS]


def best_set(scores: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return the set that scores highest in each cell, empty below :data:`CARRIER_Z`."""
    rivals = scores.reindex(columns=list(names)).to_numpy(dtype=float)
    rivals = np.where(np.isfinite(rivals), rivals, -np.inf)
    best = np.asarray(names, dtype=object)[rivals.argmax(axis=1)]
    return np.where(rivals.max(axis=1) >= CARRIER_Z, best, "")


def kept_apart(points: np.ndarray, restricted: Restricted) -> float:
    """Return how far a type of one tissue is kept from its like in other tissues.

    Parameters
    ----------
    points
        Cells x dimensions.
    restricted
        The type, and the others.

    Returns
    -------
    float
        1 - the others' share of the nearest cells of the type, over their share by chance: 1 is
        apart, 0 merged.
    """
    rows = np.concatenate([restricted.carriers, restricted.others])
    own = np.repeat([True, False], [len(restricted.carriers), len(restricted.others)])
    share = neighbour_share(points[rows], own, n_neighbors=RARE_NEIGHBORS)[own].mean()
    return float(1 - share * (len(rows) - 1) / len(restricted.others))


def _order(name: str, parts: list[np.ndarray], values: np.ndarray) -> Order:
    whole = np.isfinite(values).all(axis=1)
    parts = [rows[whole[rows]] for rows in parts]
    varied = [rows for rows in parts if len(rows) >= MIN_SCORED and np.ptp(values[rows], 0).all()]
    return Order(name, varied, values)


def _purity(points: np.ndarray, cells: pd.DataFrame) -> tuple[float, int]:
    """Return the share of a cell's nearest labelled cells of its dataset that bear its label."""
    known = cells["label"].to_numpy() != ""
    shares = []
    for rows in cells.groupby("dataset", observed=True).indices.values():
        rows = rows[known[rows]]
        if len(rows) >= MIN_LABELLED:
            shares.append(1 - neighbour_share(points[rows], cells["label"].to_numpy()[rows]))
    return (np.concatenate(shares).mean(), sum(map(len, shares))) if shares else (np.nan, 0)


def _clisi(points: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
    n_labels = len(np.unique(labels))
    if n_labels < 2 or len(labels) < MIN_LABELLED:
        return float("nan"), 0
    perplexity = min(N_NEIGHBORS, (len(labels) - 1) // 3)
    lisi = compute_lisi(points, pd.DataFrame({"label": labels}), ["label"], perplexity)
    return float((n_labels - np.median(lisi)) / (n_labels - 1)), len(labels)


def _rare_recall(points: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
    """Return the share of cells of rare types that most of their nearest name, mean over types."""
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    rare = np.flatnonzero((sizes >= MIN_TYPE_CELLS) & (sizes <= RARE_SHARE * len(labels)))
    if not len(rare):
        return float("nan"), 0
    named = (codes[nearest(points, RARE_NEIGHBORS)] == codes[:, None]).mean(axis=1) > 0.5
    recalls = [named[codes == one].mean() for one in rare]
    return float(np.mean(recalls)), int(sizes[rare].sum())


def _partition_agreement(points: np.ndarray, labels: np.ndarray) -> dict[str, tuple[float, int]]:
    """Return NMI and ARI of the Leiden partition that fits the labels best, and the silhouette."""
    names = ("nmi", "ari", "label_silhouette")
    if len(labels) < MIN_LABELLED or len(np.unique(labels)) < 2:
        return dict.fromkeys(names, (float("nan"), 0))
    drawn = np.arange(len(labels))
    if len(drawn) > MAX_PARTITIONED:
        drawn = np.sort(np.random.default_rng(0).choice(drawn, MAX_PARTITIONED, replace=False))
    points, labels = points[drawn], labels[drawn]
    graph = shared_graph(points, n_neighbors=SCORE_NEIGHBORS)
    cuts = [leiden(graph, resolution=one, seed=0, n_iterations=2) for one in RESOLUTIONS]
    agreement = [normalized_mutual_info_score(labels, cut) for cut in cuts]
    best = int(np.argmax(agreement))
    values = (
        agreement[best],
        adjusted_rand_score(labels, cuts[best]),
        (silhouette_score(points, labels) + 1) / 2,
    )
    return {name: (float(value), len(labels)) for name, value in zip(names, values, strict=True)}
