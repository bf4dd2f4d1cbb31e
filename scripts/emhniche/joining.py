"""Which clusters of a partition dissolve, and which of them are one when they are joined?

Leiden's resolution is one number for all cells, and gradients fall apart at one that discrete cell
types need. So clusters that subsamples trade cells between are joined where a coarser resolution
has them as one and the joined cluster is found again more surely: the sum, over clusters, of the
mean Jaccard index less :data:`SOLID` must rise. Of all resolutions the one with the highest sum is
then taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from emhniche.cluster_limits import FOUND, OFTEN
from emhniche.partitions import Cut, names_by_size

SOLID = 0.75
"""Mean Jaccard index above which a cluster counts for its resolution, and below which against it:
Hennig (2007) calls a cluster of 0.75 or more valid and stable. docs/cluster.md has 0.7 and 0.8."""

TRADED = 0.1
"""Share of a cluster's cells that subsamples must put with another one, on average, for the two to
be joined; ours. It keeps apart what only lies in one cluster of a coarser resolution."""

MAX_SMALL = 0.05
"""More of the cells than this in clusters no larger than a neighbourhood: crumbs, no clusters."""

CURVE_COLUMNS = ["resolution", "n_clusters", "n_stable", "found_again", "score", "verdict"]
CLUSTER_COLUMNS = ["cluster", "n_cells", "n_joined", "found_again", "jaccard"]


@dataclass(frozen=True)
class Clusters:
    """The clusters of one resolution, those that dissolve joined.

    Attributes
    ----------
    resolution
        Leiden resolution.
    names
        Cluster of each cell, by size: ``"0"`` is the largest.
    table
        One row a cluster: ``cluster``, ``n_cells``, ``n_joined`` (clusters of Leiden's that it is
        made of), ``found_again`` (share of the subsamples that have it again: a cluster there with
        a Jaccard index of :data:`FOUND` or more with it) and ``jaccard`` (mean index with the most
        similar cluster of each subsample). Those of a joined cluster are of the subsamples at the
        coarser resolution that has it as one.
    """

    resolution: float
    names: np.ndarray
    table: pd.DataFrame


class _Group(NamedTuple):
    """Leiden's clusters that are one, and the best Jaccard index in each subsample."""

    members: tuple[int, ...]
    again: np.ndarray

    @property
    def score(self) -> float:
        return float(self.again.mean()) - SOLID


class _Coarser(NamedTuple):
    """Cells of each cluster (row) in each cluster of a coarser resolution: of all, and drawn."""

    whole: np.ndarray
    drawn: list[np.ndarray]


def join_dissolving(cuts: Sequence[Cut], number: int) -> Clusters:
    """Join clusters of one resolution that dissolve, as coarser ones have them together.

    Step by step the union with the highest gain is made, until none has any. A union is of
    clusters that lie, by the largest share of their cells, in one cluster of a coarser resolution,
    and that trade cells: subsamples put :data:`TRADED` of the cells of one with the other (or
    through others of them). Its gain is what it adds to the sum of the mean Jaccard index less
    :data:`SOLID`.

    Parameters
    ----------
    cuts
        One a resolution, rising.
    number
        Position of the resolution whose clusters are asked for. The first has none to join, and so
        has a single one that was set.

    Returns
    -------
    Clusters
        The clusters, with how surely each is found again.

    References
    ----------
    Hennig C (2007) Cluster-wise assessment of cluster stability. Comput Stat Data Anal 52:258-271.
    doi:10.1016/j.csda.2006.11.025 (the Jaccard index over subsamples; the joining is ours).
    """
    cut = cuts[number]
    codes = cut.names.astype(int)
    own = [overlap(codes[rows], names) for rows, names in cut.drawn]
    groups = [_Group((one,), _again(own, (one,))) for one in range(codes.max() + 1)]
    traded = _traded(own, len(groups))
    coarser = [
        _Coarser(
            overlap(codes, other.names.astype(int)),
            [overlap(codes[rows], names) for rows, names in other.drawn],
        )
        for other in reversed(cuts[:number])
    ]
    while found := max(_unions(groups, coarser, traded), key=lambda one: one[0], default=None):
        gain, parts, union = found
        if gain <= 0:
            break
        groups = [one for one in groups if one not in parts] + [union]
    return _named(cut.resolution, codes, groups)


def _unions(
    groups: list[_Group], coarser: list[_Coarser], traded: np.ndarray
) -> Iterator[tuple[float, list[_Group], _Group]]:
    """Yield the gain, the parts and the whole of each union that a coarser resolution suggests."""
    trade = _trade(groups, traded)
    for level in coarser:
        home = np.array([level.whole[list(one.members)].sum(axis=0).argmax() for one in groups])
        for parent in np.unique(home):
            for together in _connected(np.flatnonzero(home == parent), trade):
                parts = [groups[number] for number in together]
                members = tuple(sorted(one for part in parts for one in part.members))
                union = _Group(members, _again(level.drawn, members))
                yield union.score - sum(part.score for part in parts), parts, union


def _trade(groups: list[_Group], traded: np.ndarray) -> np.ndarray:
    """Tell which groups trade cells, groups x groups."""
    member = np.zeros((len(groups), len(traded)), dtype=int)
    for number, one in enumerate(groups):
        member[number, list(one.members)] = 1
    return member @ (traded >= TRADED) @ member.T > 0


def _connected(numbers: np.ndarray, trade: np.ndarray) -> list[np.ndarray]:
    """Return the sets of two groups or more that trade cells, directly or through others."""
    if len(numbers) < 2:
        return []
    n_sets, of_group = connected_components(trade[np.ix_(numbers, numbers)], directed=False)
    sets = [numbers[of_group == one] for one in range(n_sets)]
    return [one for one in sets if len(one) > 1]


def overlap(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Count the cells that clusters of two partitions share.

    Parameters
    ----------
    codes, others
        Cluster of each cell in the two partitions, integers from 0.

    Returns
    -------
    numpy.ndarray
        Clusters of the one x clusters of the other, cells. Clusters beyond the highest code that
        was drawn have no row; :func:`join_dissolving` asks for none of them.
    """
    shape = (codes.max() + 1, others.max() + 1)
    return np.bincount(codes * shape[1] + others, minlength=shape[0] * shape[1]).reshape(shape)


def _again(drawn: list[np.ndarray], members: tuple[int, ...]) -> np.ndarray:
    """Return of each subsample the Jaccard index of the most similar cluster with a union."""
    best = []
    for cells in drawn:
        there = [one for one in members if one < len(cells)]  # of the last none may be drawn
        both = cells[there].sum(axis=0)
        either = both.sum() + cells.sum(axis=0) - both
        best.append(float((both / either).max()))
    return np.array(best)


def _traded(drawn: list[np.ndarray], n: int) -> np.ndarray:
    """Return the share of `n` clusters' cells that lie with another one's, the larger both ways.

    A cluster of a subsample is that one's of whose cells it holds most.
    """
    shares = np.zeros((n, n))
    for cells in drawn:
        given = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
        np.add.at(shares[: len(cells)].T, cells.argmax(axis=0), given.T)
    shares /= len(drawn)
    return np.maximum(shares, shares.T)


def _named(resolution: float, codes: np.ndarray, groups: list[_Group]) -> Clusters:
    """Name the joined clusters by size, and say how surely each is found again."""
    group_of = np.empty(codes.max() + 1, dtype=int)
    for number, one in enumerate(groups):
        group_of[list(one.members)] = number
    joined = group_of[codes]
    names = names_by_size(joined)
    rows = []
    for number, one in enumerate(groups):
        cells = np.flatnonzero(joined == number)
        found = float((one.again >= FOUND).mean())
        jaccard = float(one.again.mean())
        rows.append((names[cells[0]], len(cells), len(one.members), found, jaccard))
    table = pd.DataFrame(rows, columns=CLUSTER_COLUMNS)
    order = table["cluster"].astype(int).argsort()
    return Clusters(resolution, names, table.iloc[order].reset_index(drop=True))


def choose(tried: Sequence[Clusters], *, n_neighbors: int) -> tuple[int, pd.DataFrame]:
    """Choose the resolution whose clusters are found again.

    Parameters
    ----------
    tried
        One a resolution, rising.
    n_neighbors
        A cluster of no more cells is a crumb.

    Returns
    -------
    chosen : int
        Position of the clusters with the highest score, of those that are not degenerate; the
        first (coarsest) where all are.
    curve : pandas.DataFrame
        One row a resolution: ``resolution``, ``n_clusters``, ``n_stable`` (clusters found again in
        :data:`OFTEN` of the subsamples), ``found_again`` (mean over cells of their cluster's
        share), ``score`` (sum over clusters of the mean Jaccard index less :data:`SOLID`: what is
        found again counts for the resolution, what dissolves against it) and ``verdict``
        (``stable`` where ``found_again`` is :data:`OFTEN` or more, ``unstable``, or ``degenerate``:
        one cluster, or more than :data:`MAX_SMALL` of the cells in crumbs).
    """
    curve = pd.DataFrame([_judge(one, n_neighbors) for one in tried], columns=CURVE_COLUMNS)
    possible = curve[curve["verdict"] != "degenerate"]
    return int((possible if len(possible) else curve.head(1))["score"].idxmax()), curve


def _judge(one: Clusters, n_neighbors: int) -> tuple:
    """Return a row of the curve."""
    cells = one.table["n_cells"]
    found = float((one.table["found_again"] * cells).sum() / cells.sum())
    verdict = "stable" if found >= OFTEN else "unstable"
    if len(one.table) == 1 or cells[cells <= n_neighbors].sum() > MAX_SMALL * cells.sum():
        verdict = "degenerate"
    stable = int((one.table["found_again"] >= OFTEN).sum())
    score = float((one.table["jaccard"] - SOLID).sum())
    return one.resolution, len(one.table), stable, found, score, verdict


def tree(tried: Sequence[Clusters]) -> pd.DataFrame:
    """Say where the cells of each cluster lie at the next resolution.

    Parameters
    ----------
    tried
        One a resolution, rising.

    Returns
    -------
    pandas.DataFrame
        ``resolution``, ``cluster``, ``next_resolution``, ``next_cluster``, ``n_cells``.
    """
    parts = []
    for one, following in pairwise(tried):
        table = pd.DataFrame({"cluster": one.names, "next_cluster": following.names})
        table = table.groupby(["cluster", "next_cluster"]).size().reset_index(name="n_cells")
        parts.append(table.assign(resolution=one.resolution, next_resolution=following.resolution))
    columns = ["resolution", "cluster", "next_resolution", "next_cluster", "n_cells"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
