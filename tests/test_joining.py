"""Clusters that subsamples trade cells between are joined; others are not."""

import numpy as np
import pytest

from emhniche.joining import choose, join_dissolving, overlap
from emhniche.partitions import Cut


def cut(resolution: float, names: np.ndarray, drawn: list[np.ndarray]) -> Cut:
    """Return a cut whose subsamples are drawn of all cells."""
    rows = np.arange(len(names))
    return Cut(resolution, names.astype(str), [names], [(rows, one) for one in drawn])


def sizes(*cells: int) -> np.ndarray:
    return np.repeat(np.arange(len(cells)), cells)


def shifted(names: np.ndarray, first: int, second: int, share: float) -> np.ndarray:
    """Return a partition in which part of one cluster lies in another."""
    moved = names.copy()
    own = np.flatnonzero(names == first)
    moved[own[: round(share * len(own))]] = second
    return moved


WHOLE = sizes(100, 60, 40)
"""A coarse partition: a gradient of 100 cells and two types."""
FINE = np.concatenate([sizes(50, 50), 2 + sizes(60, 40)])
"""The gradient in halves."""
HALVES = [shifted(FINE, 0, 1, 0.6), shifted(FINE, 1, 0, 0.6)] * 5
"""The border within the gradient lies elsewhere in each subsample."""


def test_halves_of_a_gradient_are_joined_as_the_coarser_resolution_has_them():
    found = join_dissolving([cut(0.2, WHOLE, [WHOLE] * 10), cut(1.0, FINE, HALVES)], 1)
    assert (found.names == WHOLE.astype(str)).all()
    assert found.table["n_joined"].tolist() == [2, 1, 1]
    assert found.table["n_cells"].tolist() == [100, 60, 40]
    assert found.table[["found_again", "jaccard"]].to_numpy().tolist() == [[1, 1]] * 3


def test_types_that_are_found_again_are_not_joined_though_a_coarser_resolution_has_them_as_one():
    coarse = sizes(100, 100)
    cuts = [cut(0.2, coarse, [coarse] * 10), cut(1.0, FINE, [FINE] * 10)]
    found = join_dissolving(cuts, 1)
    assert found.table["n_joined"].tolist() == [1, 1, 1, 1]
    assert found.table["jaccard"].tolist() == [1, 1, 1, 1]


def test_a_cluster_that_dissolves_is_not_joined_with_one_that_takes_none_of_its_cells():
    """Cells of 2 go to 0 in half of the subsamples; the coarser resolution has 2 with 1."""
    fine, coarse = sizes(100, 60, 40), sizes(100, 100)
    dissolved = shifted(fine, 2, 0, 1.0)
    cuts = [cut(0.2, coarse, [coarse] * 10), cut(1.0, fine, [fine, dissolved] * 5)]
    found = join_dissolving(cuts, 1)
    assert found.table["n_joined"].tolist() == [1, 1, 1]
    assert found.table["found_again"].tolist() == [1, 1, 0.5]


def test_nothing_is_joined_where_the_union_is_found_no_more_surely():
    coarse = [shifted(WHOLE, 0, 1, 0.6), shifted(WHOLE, 0, 2, 0.6)] * 5
    halves = [shifted(FINE, 0, 1, 0.2), shifted(FINE, 1, 0, 0.2)] * 5
    found = join_dissolving([cut(0.2, WHOLE, coarse), cut(1.0, FINE, halves)], 1)
    assert found.table["n_joined"].tolist() == [1, 1, 1, 1]


def test_the_first_resolution_has_nothing_to_join():
    found = join_dissolving([cut(1.0, FINE, HALVES)], 0)
    assert (found.names == np.array(["1", "2", "0", "3"])[FINE]).all()
    assert found.table["n_joined"].tolist() == [1, 1, 1, 1]
    assert (found.table.set_index("cluster").loc[["1", "2"], "jaccard"] < 0.7).all()


def test_a_resolution_whose_dissolving_clusters_are_joined_is_taken_for_its_other_types():
    """The coarse one merges two types, the fine one cuts a gradient: joined, it has both right."""
    truth, coarse = sizes(100, 60, 40), sizes(100, 100)
    tried = [cut(0.2, coarse, [coarse] * 10), cut(1.0, FINE, HALVES)]
    clusters = [join_dissolving(tried, number) for number in range(2)]
    taken, curve = choose(clusters, n_neighbors=14)
    assert taken == 1
    assert curve["verdict"].tolist() == ["stable", "stable"]
    assert (clusters[1].names == truth.astype(str)).all()


def test_one_cluster_and_crumbs_are_never_chosen():
    whole, halves, crumbs = sizes(100), sizes(50, 50), np.arange(100)
    cuts = [
        cut(0.1, whole, [whole]),
        cut(1.0, halves, [np.where(np.arange(100) % 2, halves, 2)]),
        cut(9.0, crumbs, [crumbs]),
    ]
    tried = [join_dissolving([one], 0) for one in cuts]
    taken, curve = choose(tried, n_neighbors=14)
    assert taken == 1
    assert curve["verdict"].tolist() == ["degenerate", "unstable", "degenerate"]
    assert choose([tried[0], tried[2]], n_neighbors=14)[0] == 0


def test_halves_of_one_cloud_are_joined_to_nothing_but_the_cloud():
    whole, halves = sizes(100), sizes(50, 50)
    drawn = [shifted(halves, 0, 1, 0.6), shifted(halves, 1, 0, 0.6)] * 5
    found = join_dissolving([cut(0.1, whole, [whole] * 10), cut(1.0, halves, drawn)], 1)
    assert set(found.names) == {"0"}
    assert choose([found], n_neighbors=14)[1]["verdict"].tolist() == ["degenerate"]


def test_the_index_is_with_the_most_similar_cluster_and_0_where_no_cell_was_drawn():
    names, others = sizes(4, 6, 2), np.array([0] * 3 + [1] * 7)
    rows = np.arange(10)
    found = join_dissolving([Cut(1.0, names.astype(str), [names], [(rows, others)])], 0)
    jaccard = found.table.set_index("cluster")["jaccard"]
    assert jaccard.tolist() == pytest.approx([6 / 7, 3 / 4, 0])


def test_overlap_counts_the_cells_of_two_partitions():
    assert overlap(np.array([0, 0, 1]), np.array([2, 0, 0])).tolist() == [[1, 0, 1], [1, 0, 0]]
