"""How are the cells of a lineage clustered, and what do donors say of one cluster?

Two witnesses, each with the donor as unit: how frequent the cluster is, from libraries that were
not sorted, and how far its cells exceed the reference's cells of the lineage in a signature. What
random gene sets show in the same cluster stands beside the second.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import linalg, sparse, stats

from emhniche.assessment import MIN_SUPPORTED, Settings
from emhniche.gate import (
    RANDOM_QUANTILE,
    draw_sets,
    matched_genes,
    set_membership,
    set_residuals,
)
from emhniche.lineage_cells import LineageCells
from emhniche.moderation import moderated_test
from emhniche.neighbors import leiden, neighbor_graph
from emhniche.residual import Covariate, gene_rates, standardised
from emhniche.witnesses import CASE, CONTROL, REFERENCE

N_GENES, N_DIMENSIONS, N_NEIGHBORS, RESOLUTION = 1000, 10, 15, 1.0
"""Genes that vary most, their principal components, neighbours of a cell, resolution of Leiden."""

MIN_CLUSTER_CELLS = 5
"""Supported cells of a cluster that a donor needs to say how much of a signature they carry."""

SHORT = {REFERENCE: "reference", CONTROL: "control", CASE: "case"}
"""What an arm is called in the names of columns."""

PRIOR_CELLS = 0.5
"""Cells added to a cluster and to all others, so that odds are finite."""


def cluster_cells(cells: LineageCells, *, seed: int) -> np.ndarray:
    """Cluster the cells of a lineage by the genes that vary between cells of the same library.

    Counts are standardised as for the score. Genes and components are chosen by how cells of one
    donor's library differ, so that what only tells libraries apart has no axis; then the cells are
    placed as they are. Nothing is aligned: an integration may take away a state that cases alone
    have, and centring would move all other cells of a donor that has it.

    Parameters
    ----------
    cells
        The cells.
    seed
        Seed of graph and partition.

    Returns
    -------
    numpy.ndarray
        Name of each cell's cluster, ``"0"`` for the largest; the same in any order of the input.
    """
    library = cells.obs["donor"].astype(str) + " " + cells.obs["batch"].astype(str)
    code = pd.factorize(library, sort=True)[0]
    names = sorted(g for g, n in cells.cells_with_gene.items() if n >= MIN_CLUSTER_CELLS)
    blocks = [names[i : i + N_GENES] for i in range(0, len(names), N_GENES)]
    spread = np.concatenate([_spread(_standard(cells, block), code) for block in blocks])
    chosen = sorted(np.argsort(-spread, kind="stable")[:N_GENES])
    z = _standard(cells, [names[i] for i in chosen])
    sums, size = _sums(z, code)
    within = (z.T @ z).astype(float) - sums.T @ (sums / size)
    span = [max(0, len(chosen) - N_DIMENSIONS), len(chosen) - 1]
    axes = linalg.eigh(within, subset_by_index=span)[1]
    graph = neighbor_graph(z @ axes.astype(z.dtype), n_neighbors=N_NEIGHBORS, seed=seed)
    return leiden(graph, resolution=RESOLUTION, seed=seed, n_iterations=-1)


def _standard(cells: LineageCells, genes: Sequence[str]) -> np.ndarray:
    """Return counts in standard deviations around what depth predicts, cells x genes."""
    counts = cells.of(genes)
    rates = gene_rates(counts, cells.depth, np.ones(len(counts)))
    return standardised(counts, cells.depth, rates)


def _spread(values: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Return the sum of squares of each column around the means of the groups."""
    sums, size = _sums(values, code)
    return np.einsum("ij,ij->j", values, values, dtype=float) - (sums**2 / size).sum(axis=0)


def _sums(values: np.ndarray, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of each group, groups x columns, and the sizes of the groups as a column."""
    cells = np.arange(len(code))
    member = sparse.csr_matrix((np.ones(len(code), np.float32), (code, cells)))
    return (member @ values).astype(float), np.bincount(code)[:, None].astype(float)


def compare_shares(table: pd.DataFrame, settings: Settings) -> pd.DataFrame | str:
    """Test whether case donors hold more of each cluster, in libraries that were not sorted.

    Parameters
    ----------
    table
        One row a cell: ``donor``, ``role``, ``cluster``, ``unsorted``.
    settings
        ``min_cells`` is what a donor needs in all and a cluster over all donors, ``min_donors``
        what an arm needs.

    Returns
    -------
    pandas.DataFrame or str
        Indexed by cluster: ``share_reference``, ``share_control``, ``share_case``,
        ``composition_effect`` (log2 odds), one-sided ``composition_p``, and
        ``composition_control_p`` against inflamed donors; p is missing where the cluster is too
        small. A sentence instead, where too few donors have unsorted libraries.
    """
    counted = table[table["unsorted"] & (table["role"] != "")]
    held = pd.crosstab(counted["donor"], counted["cluster"])
    held = held[held.sum(axis=1) >= settings.min_cells]
    role = counted.drop_duplicates("donor").set_index("donor")["role"].reindex(held.index)
    number = role.value_counts()
    for arm in (REFERENCE, CASE):
        if number.get(arm, 0) < settings.min_donors:
            return (
                f"{number.get(arm, 0)} {arm} donors have {settings.min_cells} cells of the lineage "
                f"in libraries that were not sorted, {settings.min_donors} are needed to compare "
                "how frequent a cluster is."
            )
    held = held.reindex(columns=sorted(set(table["cluster"]), key=int), fill_value=0)
    whole = held.sum(axis=1).to_numpy(float)[:, None]
    odds = np.log2((held + PRIOR_CELLS) / (whole - held + PRIOR_CELLS))
    found = pd.DataFrame(index=held.columns)
    for arm in (REFERENCE, CONTROL, CASE):
        found[f"share_{SHORT[arm]}"] = (held / whole)[role == arm].mean()
    both = held[role.isin([REFERENCE, CASE])]
    frequent = (both.sum() >= settings.min_cells).to_numpy()
    against = {"composition": REFERENCE, "composition_control": CONTROL}
    for name, arm in against.items():
        if number.get(arm, 0) >= settings.min_donors:
            found[f"{name}_effect"], found[f"{name}_p"] = _more(odds, role, arm, frequent)
    return found


def _more(
    odds: pd.DataFrame, role: pd.Series, against: str, frequent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return effect and one-sided p of case donors against those of another arm."""
    effect, p = np.full((2, odds.shape[1]), np.nan)
    chosen = role.isin([against, CASE])
    case = (role[chosen] == CASE).to_numpy(float)
    if frequent.any():
        matrix = np.column_stack([np.ones(len(case)), case])
        tested = moderated_test(odds.loc[chosen, frequent].to_numpy(), matrix)
        effect[frequent] = tested[0]
        p[frequent] = np.where(tested[0] > 0, tested[3] / 2, 1 - tested[3] / 2)
    return effect, p


def compare_residuals(table: pd.DataFrame, cluster: str, settings: Settings) -> dict:
    """Test whether a cluster's cells carry more of a signature than the reference's cells do.

    Parameters
    ----------
    table
        One row a cell: ``donor``, ``role``, ``cluster``, ``residual``, ``supported``.
    cluster
        The cluster.
    settings
        ``min_donors`` is what an arm needs.

    Returns
    -------
    dict
        ``signature_effect`` (mean residual of the cluster's supported cells over case donors, less
        that of all supported cells of the lineage over reference donors), one-sided ``signature_p``
        (Welch) and ``signature_control_p`` against inflamed donors; or ``code`` and ``reason``.
    """
    case = table[(table["cluster"] == cluster) & (table["role"] == CASE)]
    if len(case) and case["supported"].mean() < MIN_SUPPORTED:
        return {
            "code": "case_unsupported",
            "reason": "Most case cells of the cluster lie outside the maturation of the reference "
            "cells, so nothing says how they would score if healthy.",
        }
    values = cluster_means(table, cluster)
    if len(values) < settings.min_donors:
        return {
            "code": "too_few_case_donors",
            "reason": f"{len(values)} case donors have {MIN_CLUSTER_CELLS} cells of the cluster, "
            f"{settings.min_donors} are needed to see how donors differ.",
        }
    found = {}
    for arm, name in ((REFERENCE, "signature_p"), (CONTROL, "signature_control_p")):
        lineage = lineage_means(table, arm)
        if len(lineage) >= settings.min_donors:
            found[name] = float(
                stats.ttest_ind(values, lineage, equal_var=False, alternative="greater").pvalue
            )
    effect = float(values.mean() - lineage_means(table, REFERENCE).mean())
    return found | {"signature_effect": effect}


def cluster_means(table: pd.DataFrame, cluster: str) -> pd.Series:
    """Return the mean residual of the cluster's cells in each case donor that has enough."""
    chosen = (table["cluster"] == cluster) & (table["role"] == CASE) & table["supported"]
    by_donor = table.loc[chosen, "residual"].groupby(table.loc[chosen, "donor"])
    return by_donor.mean()[by_donor.size() >= MIN_CLUSTER_CELLS]


def lineage_means(table: pd.DataFrame, arm: str) -> pd.Series:
    """Return the mean residual of all supported cells of the lineage in each donor of an arm."""
    chosen = (table["role"] == arm) & table["supported"]
    return table.loc[chosen, "residual"].groupby(table.loc[chosen, "donor"]).mean()


def random_bars(
    cells: LineageCells,
    table: pd.DataFrame,
    clusters: Sequence[str],
    genes: Sequence[str],
    covariates: Sequence[Covariate],
    excluded: set[str],
    settings: Settings,
) -> list[tuple[float, float]]:
    """Return the effect of a signature in clusters, and what 95 % of random sets stay below.

    As for the gate, all sets are fitted alike on all reference cells.

    Parameters
    ----------
    cells
        Cells of the lineage.
    table
        As for :func:`compare_residuals`, in the order of `cells`.
    clusters
        Names of the clusters.
    genes
        Genes of the signature.
    covariates
        Covariates of the cells.
    excluded
        Genes that random sets may not hold.
    settings
        ``n_random`` and ``seed`` of the sets.

    Returns
    -------
    list of tuple of float
        Effect and bar of each cluster.
    """
    candidates = matched_genes(cells.rates, genes, excluded)
    sets = [list(genes), *draw_sets(candidates, settings.n_random, settings.seed)]
    pool, membership = set_membership(sets)
    rows = np.flatnonzero(table["role"].isin([REFERENCE, CASE]) & table["supported"])
    chosen = table.iloc[rows]
    weights = np.array([_effect_weights(chosen, cluster) for cluster in clusters])
    residuals = set_residuals(
        cells.of(pool)[rows],
        membership,
        [Covariate(c.name, c.counts[rows], c.stage) for c in covariates],
        cells.depth[rows],
        pd.factorize(chosen["donor"], sort=True)[0],
        (chosen["role"] == REFERENCE).to_numpy(),
    )
    effects = np.hstack([weights @ residual for _, residual in residuals])
    high = np.quantile(effects[:, 1:], RANDOM_QUANTILE, axis=1)
    return list(zip(effects[:, 0].tolist(), high.tolist(), strict=True))


def _effect_weights(table: pd.DataFrame, cluster: str) -> np.ndarray:
    """Weight cells so that the sum of their residuals is the effect of :func:`compare_residuals`.

    `table` holds supported cells of reference and case donors only.
    """
    weights = np.zeros(len(table))
    inside = (table["role"] == CASE) & (table["cluster"] == cluster)
    for chosen, sign, least in (
        (inside, 1, MIN_CLUSTER_CELLS),
        (table["role"] == REFERENCE, -1, 1),
    ):
        size = chosen.groupby(table["donor"]).transform("sum")
        counted = (chosen & (size >= least)).to_numpy()
        donors = table.loc[counted, "donor"].nunique()
        weights[counted] = sign / size[counted] / donors
    return weights
