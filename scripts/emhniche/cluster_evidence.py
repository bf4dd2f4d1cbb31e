"""How are the cells of a lineage clustered, and what do donors say of one cluster?

Two witnesses, each with the donor as unit: how frequent the cluster is, from libraries that were
not sorted, and how far its cells exceed the reference's cells of the lineage in a signature. What
random gene sets show in the same cluster stands beside the second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from emhniche.neighbors import leiden, nearest, shared_graph
from emhniche.partitions import names_by_size
from emhniche.residual import Covariate, gene_rates, standardised
from emhniche.witnesses import CASE, CONTROL, REFERENCE

MAX_CELLS = 20_000
"""Cells that are clustered; further ones join the cluster of their nearest neighbours."""

GENES_AT_ONCE = 100
"""Genes whose counts are dense together."""

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
    rows = spread_sample(code, MAX_CELLS)
    space = _find_space(cells.take(rows), code[rows])
    points = space.place(cells, rows)
    graph = shared_graph(points, n_neighbors=N_NEIGHBORS)
    own = leiden(graph, resolution=RESOLUTION, seed=seed)
    if len(rows) == len(code):
        return own
    found = np.empty(len(code), dtype=object)
    found[rows] = own
    others = np.setdiff1d(np.arange(len(code)), rows)
    found[others] = _nearest_cluster(space.place(cells, others), points, own)
    return names_by_size(found.astype(int))


def spread_sample(code: np.ndarray, most: int) -> np.ndarray:
    """Choose cells so that no library has more than it must: small ones keep all of theirs.

    Parameters
    ----------
    code
        Library of each cell, as integers from 0.
    most
        How many cells at most.

    Returns
    -------
    numpy.ndarray
        Positions of the chosen cells, rising; all where there are no more than `most`. Within a
        library they are evenly spaced.
    """
    size = np.bincount(code)
    if size.sum() <= most:
        return np.arange(len(code))
    quota, left = np.zeros(len(size), dtype=int), most
    for rank, library in enumerate(np.argsort(size, kind="stable")):
        quota[library] = min(size[library], left // (len(size) - rank))
        left -= quota[library]
    chosen = []
    for library, many in enumerate(quota):
        own = np.flatnonzero(code == library)
        chosen.append(own[np.linspace(0, len(own), many, endpoint=False).astype(int)])
    return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class _Space:
    """Genes with their rates, and axes (genes x dimensions): where a cell lies among others."""

    genes: list[str]
    rates: np.ndarray
    axes: np.ndarray

    def place(self, cells: LineageCells, rows: np.ndarray) -> np.ndarray:
        """Return the cells `rows` x dimensions, float32; the counts of some genes at a time."""
        points = np.zeros((len(rows), self.axes.shape[1]), dtype=np.float32)
        for start in range(0, len(self.genes), GENES_AT_ONCE):
            some = slice(start, start + GENES_AT_ONCE)
            counts = cells.of(self.genes[some], rows)
            points += standardised(counts, cells.depth[rows], self.rates[some]) @ self.axes[some]
        return points


def _find_space(cells: LineageCells, code: np.ndarray) -> _Space:
    """Choose the genes that vary most within libraries, and their principal components."""
    names = sorted(g for g, n in cells.cells_with_gene.items() if n >= MIN_CLUSTER_CELLS)
    blocks = [names[i : i + N_GENES] for i in range(0, len(names), N_GENES)]
    spread = np.concatenate([_spread(_standard(cells, block), code) for block in blocks])
    chosen = [names[i] for i in sorted(np.argsort(-spread, kind="stable")[:N_GENES])]
    z = _standard(cells, chosen)
    sums, size = _sums(z, code)
    within = (z.T @ z).astype(float) - sums.T @ (sums / size)
    span = [max(0, len(chosen) - N_DIMENSIONS), len(chosen) - 1]
    axes = linalg.eigh(within, subset_by_index=span)[1]
    rates = gene_rates(cells.of(chosen), cells.depth, np.ones(len(z)))
    return _Space(chosen, rates, axes.astype(z.dtype))


def _nearest_cluster(points: np.ndarray, clustered: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the commonest cluster among the nearest clustered cells; of equals, the larger."""
    number = own.astype(int)
    near = number[nearest(points, N_NEIGHBORS, among=clustered)]
    votes = np.zeros((len(points), number.max() + 1), dtype=np.int16)
    for column in near.T:
        votes[np.arange(len(points)), column] += 1
    return votes.argmax(axis=1)


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
    others = both.sum().sum() - both.sum()
    frequent = (np.minimum(both.sum(), others) >= settings.min_cells).to_numpy()
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


def compare_residuals(table: pd.DataFrame, settings: Settings) -> dict[str, dict]:
    """Test of each cluster whether its cells carry more of a signature than the reference's do.

    Parameters
    ----------
    table
        One row a cell: ``donor``, ``role``, ``cluster``, ``residual``, ``supported``.
    settings
        ``min_donors`` is what an arm needs.

    Returns
    -------
    dict of dict
        For each cluster ``signature_effect`` (mean residual of the cluster's supported cells over
        case donors, less that of all supported cells of the lineage over reference donors),
        one-sided ``signature_p`` (Welch) and ``signature_control_p`` against inflamed donors; or
        ``code`` and ``reason``.
    """
    case = table[table["role"] == CASE]
    supported = case["supported"].astype(float).groupby(case["cluster"]).mean()
    inside = case[case["supported"]].groupby(["cluster", "donor"])["residual"].agg(["mean", "size"])
    inside = inside.loc[inside["size"] >= MIN_CLUSTER_CELLS, "mean"]
    whole = {arm: lineage_means(table, arm) for arm in (REFERENCE, CONTROL)}
    return {
        name: _compare_cluster(
            supported.get(name, 1.0),
            inside[inside.index.get_level_values("cluster") == name].to_numpy(),
            whole,
            settings,
        )
        for name in sorted(set(table["cluster"]))
    }


def _compare_cluster(
    supported: float, values: np.ndarray, whole: Mapping[str, pd.Series], settings: Settings
) -> dict:
    """Test the means of one cluster in case donors against the lineage's in other donors."""
    if supported < MIN_SUPPORTED:
        return {
            "code": "case_unsupported",
            "reason": "Most case cells of the cluster lie outside the maturation of the reference "
            "cells, so nothing says how they would score if healthy.",
        }
    if len(values) < settings.min_donors:
        return {
            "code": "too_few_case_donors",
            "reason": f"{len(values)} case donors have {MIN_CLUSTER_CELLS} cells of the cluster, "
            f"{settings.min_donors} are needed to see how donors differ.",
        }
    found = {"signature_effect": float(values.mean() - whole[REFERENCE].mean())}
    for arm, name in ((REFERENCE, "signature_p"), (CONTROL, "signature_control_p")):
        if len(whole[arm]) >= settings.min_donors:
            tested = stats.ttest_ind(values, whole[arm], equal_var=False, alternative="greater")
            found[name] = float(tested.pvalue)
    return found


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
        cells.of(pool, rows),
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
