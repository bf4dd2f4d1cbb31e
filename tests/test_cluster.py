import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from emhniche.cluster import cluster_cells
from emhniche.errors import InputError
from emhniche.layout import lay_out
from emhniche.partitions import rand_index

SETTINGS = {
    "n_neighbors": 15,
    "resolutions": [0.1, 0.3, 4.0],
    "n_seeds": 4,
    "n_subsamples": 10,
    "accelerator": "cpu",
    "seed": 0,
}


def table(points: np.ndarray) -> pd.DataFrame:
    latent = pd.DataFrame(points, columns=[f"dim_{number}" for number in range(points.shape[1])])
    latent.insert(0, "cell_id", [f"s:{number}" for number in range(len(points))])
    return latent


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], [150, 100, 50])
    latent = table(rng.normal(0, 6, (3, 8))[truth] + rng.normal(size=(300, 8)))
    return latent, truth, cluster_cells(latent, **SETTINGS)


def test_planted_groups_are_found_at_the_resolution_that_gives_them_again(planted):
    latent, truth, found = planted
    assert adjusted_rand_score(truth, found.clusters["cluster"]) == 1.0
    assert found.clusters["cell_id"].equals(latent["cell_id"])
    taken = found.resolutions[found.resolutions["chosen"]].iloc[0]
    assert (taken["resolution"] < 4, taken["verdict"], taken["n_stable"]) == (True, "stable", 3)
    assert (found.of_clusters() == 1).all()
    assert found.of_clusters().index.tolist() == ["0", "1", "2"]


def test_cut_up_groups_are_not_found_again(planted):
    latent, _, found = planted
    alone = cluster_cells(latent, **(SETTINGS | {"resolutions": [4.0]}))
    last = alone.resolutions.iloc[0]
    assert last["n_clusters"] > 10
    assert last["found_again"] < 0.5
    assert last["score"] < 0
    again = found.stability.groupby("resolution")["ari_to_final"].mean()
    assert again.iloc[0] == 1.0
    assert again.iloc[-1] < 0.5


def test_cut_up_groups_are_joined_where_a_coarser_resolution_has_them(planted):
    _, _, found = planted
    last = found.found_again[found.found_again["resolution"] == 4.0]
    assert len(last) < last["n_joined"].sum() / 3
    assert found.resolutions.iloc[-1]["score"] < found.resolutions.iloc[0]["score"]


def test_a_cloud_without_groups_is_said_to_have_none():
    cloud = table(np.random.default_rng(2).normal(size=(500, 8)))
    found = cluster_cells(cloud, **(SETTINGS | {"resolutions": [0.5, 1.0, 2.0]}))
    taken = found.resolutions[found.resolutions["chosen"]].iloc[0]
    assert taken["verdict"] == "unstable"
    assert taken["score"] < 0
    assert found.of_clusters().mean() < 0.5


def test_another_seed_gives_the_same_clusters_with_the_same_names(planted):
    latent, _, found = planted
    other = cluster_cells(latent, **(SETTINGS | {"seed": 77}))
    assert found.clusters.equals(other.clusters)


def test_a_set_resolution_is_taken_and_judged_all_the_same(planted):
    latent, _, _ = planted
    found = cluster_cells(latent, **(SETTINGS | {"resolutions": [2]}))
    assert found.resolutions["chosen"].tolist() == [True]
    assert found.resolutions["verdict"].iloc[0] != "stable"
    assert found.tree.empty


def test_few_cells_are_one_cluster_rather_than_crumbs():
    few = table(np.random.default_rng(3).normal(size=(10, 4)))
    assert cluster_cells(few, **SETTINGS).clusters["cluster"].nunique() == 1


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_the_rand_index_is_that_of_scikit_learn(shared):
    rng = np.random.default_rng(3)
    one = rng.integers(0, 6, 400)
    other = np.where(rng.random(400) < shared, one, rng.integers(0, 9, 400))
    expected = adjusted_rand_score(one, other)
    assert rand_index(one.astype(str), other) == pytest.approx(expected, abs=1e-12)
    assert rand_index(one, one.astype(str)) == 1


def test_the_rand_index_of_one_group_or_single_cells():
    together, apart = np.zeros(5, dtype=int), np.arange(5)
    for one, other in ((together, together), (apart, apart), (together, apart)):
        assert rand_index(one, other) == adjusted_rand_score(one, other)


def test_the_tree_keeps_every_cell(planted):
    _, truth, found = planted
    assert (found.tree.groupby("resolution")["n_cells"].sum() == len(truth)).all()
    sizes = found.found_again.set_index(["resolution", "cluster"])["n_cells"]
    into = found.tree.groupby(["next_resolution", "next_cluster"])["n_cells"].sum()
    assert (into == sizes.reindex(into.index)).all()


def test_the_layout_keeps_the_groups_apart_and_repeats(planted):
    latent, truth, found = planted
    place, again = (lay_out(latent, found.graph, accelerator="cpu", seed=0) for _ in range(2))
    assert place.equals(again)
    layout = place[["umap_1", "umap_2"]].to_numpy()
    centres = np.array([layout[truth == group].mean(axis=0) for group in range(3)])
    nearest = np.linalg.norm(layout[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == truth).mean() > 0.98


@pytest.mark.parametrize("threads", [1, 2])
def test_everything_repeats_with_any_number_of_processes(planted, threads):
    latent, _, found = planted
    again = cluster_cells(latent, **SETTINGS, threads=threads)
    for name in ("clusters", "stability", "resolutions", "found_again", "tree"):
        assert getattr(found, name).equals(getattr(again, name))
    assert (found.graph != again.graph).nnz == 0


def test_coordinates_that_are_no_numbers_end_in_one_line(planted):
    latent, _, _ = planted
    with pytest.raises(InputError, match=r"latent\.parquet: .* finite coordinates"):
        cluster_cells(latent.assign(dim_0=np.nan), **SETTINGS)
