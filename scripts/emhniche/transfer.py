"""Which name have the nearest named cells, and does a cell lie among them at all?

Cells take the name that most of their nearest named cells have. How far a cell may lie from them is
learned from the named cells: each library is laid beside the others as if it were new, and of the
cells near each name, all but the farthest :data:`FARTHEST` set the limit. So about that share of
new cells of known kinds is flagged too.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

NEAREST = 15
"""Named cells that a cell is compared with."""

FARTHEST = 0.05
"""Share of the named cells themselves that lie beyond their limit."""

MIN_OWN_LIMIT = 100
"""Cells near a name, from which it has a limit of its own; fewer take the limit of all."""


@dataclass(frozen=True)
class Reference:
    """Named cells, and how far from them others may lie.

    Attributes
    ----------
    points
        Cells x dimensions.
    labels
        Name of each cell.
    limits
        Name -> largest mean distance to the nearest named cells.
    limit
        The same over all names.
    """

    points: np.ndarray
    labels: np.ndarray
    limits: dict[str, float]
    limit: float


def learn(points: np.ndarray, labels: np.ndarray, libraries: np.ndarray) -> Reference:
    """Learn from named cells how far from them a cell of their kinds lies.

    Parameters
    ----------
    points
        Cells x dimensions.
    labels
        Name of each cell.
    libraries
        Library of each cell. Each is compared with all others; cells of a name of which the others
        hold fewer than :data:`NEAREST` are compared with the other cells of their own library.

    Returns
    -------
    Reference
        What :func:`transfer` needs.
    """
    distance, near = np.zeros(len(points)), np.empty(len(points), dtype=object)
    for name in np.unique(libraries):
        inside = libraries == name
        held, sizes = np.unique(labels[~inside], return_counts=True)
        elsewhere = np.isin(labels, held[sizes >= NEAREST])
        for wanted, among in ((elsewhere, ~inside), (~elsewhere, inside)):
            own, others = np.flatnonzero(inside & wanted), np.flatnonzero(among)
            if len(own):
                found = _search(points[own], points[others], itself=among is inside)
                distance[own] = found[0].mean(axis=1)
                near[own] = _most_frequent(labels[others][found[1]])[0]
    limits = {
        str(name): float(np.quantile(distance[near == name], 1 - FARTHEST))
        for name in np.unique(labels)
        if (near == name).sum() >= MIN_OWN_LIMIT
    }
    return Reference(points, labels, limits, float(np.quantile(distance, 1 - FARTHEST)))


def transfer(reference: Reference, points: np.ndarray) -> pd.DataFrame:
    """Give cells the name of their nearest named cells.

    Parameters
    ----------
    reference
        Result of :func:`learn`.
    points
        Cells x dimensions, in the same space.

    Returns
    -------
    pandas.DataFrame
        ``label``, ``share`` (of the nearest named cells that have it), ``distance`` (mean, to
        them), ``limit`` and ``in_reference`` (the distance is within the limit).
    """
    distance, rows = _search(points, reference.points)
    label, share = _most_frequent(reference.labels[rows])
    mean = distance.mean(axis=1)
    limit = np.array([reference.limits.get(one, reference.limit) for one in label])
    table = pd.DataFrame({"label": label, "share": share, "distance": mean, "limit": limit})
    return table.assign(in_reference=mean <= limit)


def _search(
    points: np.ndarray, among: np.ndarray, *, itself: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and row numbers (points x neighbours) of the nearest of `among`."""
    many = min(NEAREST + itself, len(among))
    finder = NearestNeighbors(n_neighbors=many, algorithm="brute").fit(among.astype(float))
    distance, rows = finder.kneighbors(points.astype(float))
    return distance[:, itself:], rows[:, itself:]


def _most_frequent(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each row the most frequent label (of equals the first by name) and its share."""
    names, code = np.unique(labels.astype(str), return_inverse=True)
    code = code.reshape(labels.shape)
    votes = np.zeros((len(labels), len(names)))
    np.add.at(votes, (np.arange(len(labels))[:, None], code), 1)
    best = votes.argmax(axis=1)
    return names[best], votes.max(axis=1) / labels.shape[1]
