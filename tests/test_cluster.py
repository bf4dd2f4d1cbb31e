import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from emhniche.cluster import cluster_cells

SETTINGS = {
    "n_neighbors": 15,
    "resolution": 0.2,
    "n_iterations": -1,
    "stability_factors": [1.0, 8.0],
    "stability_seeds": 3,
    "seed": 0,
}


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], [150, 100, 50])
    points = rng.normal(0, 6, (3, 8))[truth] + rng.normal(size=(300, 8))
    latent = pd.DataFrame(points, columns=[f"dim_{number}" for number in range(8)])
    latent.insert(0, "cell_id", [f"s:{number}" for number in range(300)])
    return latent, truth, cluster_cells(latent, **SETTINGS)


def test_planted_groups_are_found(planted):
    latent, truth, found = planted
    assert adjusted_rand_score(truth, found.clusters["cluster"]) == 1.0
    assert found.clusters["cell_id"].equals(latent["cell_id"])


def test_the_layout_keeps_the_groups_apart(planted):
    _, truth, found = planted
    layout = found.umap[["umap_1", "umap_2"]].to_numpy()
    centres = np.array([layout[truth == group].mean(axis=0) for group in range(3)])
    nearest = np.linalg.norm(layout[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == truth).mean() > 0.98


def test_stability_is_one_where_groups_are_clear_and_lower_where_they_are_cut_up(planted):
    _, _, found = planted
    by_resolution = found.stability.groupby("resolution")["ari_to_final"].mean()
    assert by_resolution.iloc[0] == 1.0
    assert by_resolution.iloc[1] < 0.9


def test_everything_repeats(planted):
    latent, _, found = planted
    again = cluster_cells(latent, **SETTINGS)
    assert found.clusters.equals(again.clusters)
    assert found.umap.equals(again.umap)
    assert found.stability.equals(again.stability)
    assert (found.graph != again.graph).nnz == 0
