import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emhniche.graph import neighbor_graph
from emhniche.neighbors import leiden, nearest, shared_graph


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2, 3], [120, 90, 60, 30])
    centres = rng.normal(0, 8, (4, 6))
    return (centres[truth] + rng.normal(size=(300, 6))).astype(np.float32), truth


def test_nearest_are_the_nearest_and_never_the_point_itself(blobs):
    points, _ = blobs
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (nearest(points, 5) == np.argsort(distance, axis=1, kind="stable")[:, :5]).all()


def test_many_equal_points_still_get_other_points():
    found = nearest(np.zeros((20, 3), dtype=np.float32), 4)
    assert found.shape == (20, 4)
    assert not (found == np.arange(20)[:, None]).any()


@pytest.mark.parametrize("build", [neighbor_graph, shared_graph])
def test_planted_groups_come_back_named_by_size(blobs, build):
    points, truth = blobs
    graph = build(points, n_neighbors=10)
    assert abs(graph - graph.T).max() < 1e-6
    names = leiden(graph, resolution=0.1, seed=0)
    assert adjusted_rand_score(truth, names) == 1.0
    assert (np.unique(names, return_counts=True)[1] == [120, 90, 60, 30]).all()


def test_graph_and_partition_repeat(blobs):
    points, _ = blobs
    graphs = [neighbor_graph(points, n_neighbors=10) for _ in range(2)]
    assert (graphs[0] != graphs[1]).nnz == 0
    assert (
        leiden(graphs[0], resolution=2, seed=5) == leiden(graphs[1], resolution=2, seed=5)
    ).all()
