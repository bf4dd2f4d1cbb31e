import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from umap.umap_ import fuzzy_simplicial_set

from emhniche import gpu_neighbors, graph
from emhniche.errors import InputError
from emhniche.graph import find_neighbors, join, neighbor_graph
from emhniche.partitions import SHARE, candidates


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)


def test_weights_are_those_of_umap(points):
    distance, rows = NearestNeighbors(n_neighbors=15).fit(points).kneighbors(points)
    expected, _, _ = fuzzy_simplicial_set(
        points, 15, np.random.RandomState(0), "euclidean", knn_indices=rows, knn_dists=distance
    )
    assert abs(neighbor_graph(points, n_neighbors=15) - expected).max() < 1e-4


def test_equal_distances_go_by_row_and_every_order_of_threads_gives_them():
    # a grid: every point has many neighbours at the same distance
    grid = np.stack(np.meshgrid(*[np.arange(7.0)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)
    found = find_neighbors(grid, 9)
    apart = np.linalg.norm(grid[:, None] - grid[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (found.rows == np.argsort(apart, axis=1, kind="stable")[:, :9]).all()
    np.testing.assert_allclose(found.distances, np.sort(apart, axis=1)[:, :9])


def test_many_duplicates_get_other_cells_and_finite_weights(points):
    same = np.concatenate([points[:50], np.repeat(points[:1], 200, axis=0)])
    found = find_neighbors(same, 10)
    assert not (found.rows == np.arange(len(same))[:, None]).any()
    assert (found.rows[50] == [0, *range(51, 60)]).all()
    weights = join(found)
    assert np.isfinite(weights.data).all()
    assert weights.data.max() <= 1
    assert (abs(weights - weights.T)).max() < 1e-6
    assert np.isfinite(neighbor_graph(np.zeros((30, 2)), n_neighbors=5).data).all()


@pytest.mark.parametrize("n_neighbors", [15, 30, 60])
def test_the_graph_of_a_subsample_is_that_of_its_cells_alone(points, n_neighbors):
    joined = n_neighbors - 1
    found = find_neighbors(points, candidates(joined))
    for seed in range(5):
        size = round(SHARE * len(points))
        keep = np.sort(np.random.default_rng(seed).choice(len(points), size, replace=False))
        alone = neighbor_graph(points[keep], n_neighbors=n_neighbors)
        assert (join(found.within(keep, joined)) != alone).nnz == 0


def test_the_index_finds_nearly_all_neighbours_and_repeats(points, monkeypatch):
    exact = find_neighbors(points, 10)
    monkeypatch.setattr(graph, "EXACT_LIMIT", 100)
    found, again = (find_neighbors(points, 10) for _ in range(2))
    assert (found.rows == again.rows).all()
    shared = [len(set(a) & set(b)) for a, b in zip(exact.rows, found.rows, strict=True)]
    assert np.mean(shared) > 9.9
    assert not (found.rows == np.arange(400)[:, None]).any()


def as_cuda(monkeypatch, name):
    """Let torch show a CUDA device; the search is computed by the device of that name."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    search = gpu_neighbors._search
    monkeypatch.setattr(gpu_neighbors, "_search", lambda *given: search(*given[:2], name))


def test_a_gpu_s_search_ends_in_the_same_neighbours_at_any_number_of_cells(points, monkeypatch):
    # blocks that do not divide the cells, duplicates, a cloud far from the origin
    cells = np.concatenate([points, points[:40], points[:100] / 100 + 50]).astype(np.float32)
    exact = find_neighbors(cells, 10)
    as_cuda(monkeypatch, "cpu")
    monkeypatch.setattr(gpu_neighbors, "BLOCK_BYTES", 8 * len(cells) * 7)
    for limit in (graph.EXACT_LIMIT, 100):
        monkeypatch.setattr(graph, "EXACT_LIMIT", limit)
        found = find_neighbors(cells, 10, accelerator="cuda")
        assert (found.rows == exact.rows).all()
        assert (found.distances == exact.distances).all()


def test_a_gpu_that_is_missing_or_fails_ends_in_one_line(points, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        InputError, match=r"cluster\.accelerator: cuda is asked for and this machine"
    ):
        find_neighbors(points, 10, accelerator="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(gpu_neighbors, "_search", full)
    with pytest.raises(InputError, match=r"cuda failed \(CUDA out of memory\.\); use cpu"):
        find_neighbors(points, 10, accelerator="cuda")
    monkeypatch.setattr(gpu_neighbors, "_search", lambda *_: int("a mistake of ours"))
    with pytest.raises(ValueError, match="a mistake of ours"):
        find_neighbors(points, 10, accelerator="cuda")
