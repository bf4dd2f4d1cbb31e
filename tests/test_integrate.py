import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import silhouette_score

from emhniche import io
from emhniche.errors import InputError
from emhniche.integrate import integrate
from emhniche.latent_batches import neighbour_share
from emhniche.metrics import integration_metrics
from emhniche.neighbors import nearest
from planted import library

SETTINGS = {
    "accelerator": "cpu",
    "devices": 1,
    "cpu_after_failure": True,
    "precision": "auto",
    "n_hidden": 32,
    "n_layers": 1,
    "epochs": 25,
    "min_cell_visits": 60_000,
    "kl_ramp": 2.0,
    "peak_rate": 0.008,
    "batch_size": 32,
    "max_batch_size": 128,
}
SCANVI = {"label_epochs": 10, "samples_per_label": 100}
HARMONY = {"theta": 2.0, "max_iterations": 10}
MIX = {"B": 60, "T": 60, "monocyte_macrophage": 40}


@pytest.fixture(scope="module")
def cells():
    """Two libraries of the same mixture, one with a strong shift of every gene."""
    parts = [library(MIX, seed=1), library(MIX, seed=2, batch_shift=0.4)]
    both = ad.concat(parts, keys=["one", "two"], label="batch", index_unique="-")
    both.obs["sample"] = both.obs["batch"]
    both.obs["tissue"] = "spleen"
    both.var["highly_variable"] = True
    return both


def run(cells, method, seed=0, **changes):
    known = {"scvi": SETTINGS, "scanvi": SETTINGS | SCANVI, "harmony": HARMONY, "pca": {}}
    settings = known[method] | changes
    given = {"n_latent": 8, "batch_key": "batch", "seed": seed, "threads": 1}
    return integrate(cells, method=method, **(given | settings))


@pytest.fixture(scope="module")
def trained(cells):
    return run(cells, "scvi")


def space(found):
    return found.latent.drop(columns="cell_id").to_numpy()


def test_scvi_mixes_libraries_and_keeps_lineages_apart(cells, trained):
    batch = cells.obs["batch"].astype(str).to_numpy()
    truth = cells.obs["truth"].to_numpy()
    mixed = neighbour_share(space(trained), batch).mean()
    apart = neighbour_share(space(run(cells, "pca")), batch).mean()
    assert mixed > 0.35  # 0.5 is chance
    assert apart < 0.1
    assert silhouette_score(space(trained), truth) > 0.2
    assert neighbour_share(space(trained), truth).mean() < 0.05


def test_harmony_mixes_libraries_and_keeps_lineages_apart(cells):
    batch = cells.obs["batch"].astype(str).to_numpy()
    truth = cells.obs["truth"].to_numpy()
    found = run(cells, "harmony")
    assert neighbour_share(space(found), batch).mean() > 0.35
    assert silhouette_score(space(found), truth) > 0.2
    assert neighbour_share(space(found), truth).mean() < 0.05
    assert found.history.empty
    assert found.model is None
    # without a weight of mixing batches stay apart more
    loose = neighbour_share(space(run(cells, "harmony", theta=0.0)), batch).mean()
    assert loose < neighbour_share(space(found), batch).mean()
    pd.testing.assert_frame_equal(run(cells, "harmony").latent, found.latent)


def test_harmony_of_one_batch_moves_nothing(cells):
    one = cells[cells.obs["batch"] == "one"].copy()
    pd.testing.assert_frame_equal(run(one, "harmony").latent, run(one, "pca").latent)


def test_a_space_that_a_wrong_batch_key_ruins_is_caught_by_the_metrics(cells, trained):
    obs = cells.obs.assign(label=cells.obs["truth"], qc_lineage=cells.obs["truth"], dataset="d")
    # each cell type its own gate, and the gate taken for the batch
    wrong = run(cells, "scvi", batch_key="truth").latent
    latents = {"right": trained.latent, "wrong": wrong}
    table = integration_metrics(latents, obs, batch_key="batch", seed=0)
    found = table.pivot(index="metric", columns="method", values="value")
    assert found.loc["label_purity", "wrong"] < 0.95 < found.loc["label_purity", "right"]
    assert found.loc["nmi", "wrong"] < 0.8 < found.loc["nmi", "right"]
    assert found.loc["ilisi", "wrong"] < 0.1 < 0.8 < found.loc["ilisi", "right"]
    assert found.loc["kbet", "wrong"] < 0.1 < 0.8 < found.loc["kbet", "right"]


def test_scanvi_finds_with_labels_what_is_too_faint_without(cells):
    """Half the T cells hold a count more of ten genes; the labels of six cells of ten are known."""
    rng = np.random.default_rng(0)
    named, truth = cells.copy(), cells.obs["truth"].to_numpy()
    two = (truth == "T") & (rng.random(len(truth)) < 0.5)
    counts = named.X.toarray()
    genes = np.flatnonzero(named.var_names.str.startswith("Gene"))[:10]
    counts[np.ix_(two, genes)] += rng.poisson(1.0, (two.sum(), 10))
    named.X = sparse.csr_matrix(counts.astype(np.float32))
    names = np.where(two, "T two", truth)
    known = rng.random(len(truth)) < 0.6
    named.obs["label"] = np.where(known, names, "")
    unseen = np.flatnonzero(~known & (truth == "T"))
    right = {}
    for method in ("scvi", "scanvi"):
        points = space(run(named, method, min_cell_visits=20_000))
        found = nearest(points[unseen], 5, among=points[known])
        right[method] = (names[known][found] == names[unseen][:, None]).mean()
        # lineages stay apart
        assert neighbour_share(points, truth).mean() < 0.05
    assert right["scvi"] < 0.6  # a coin's
    assert right["scanvi"] > right["scvi"] + 0.08


def test_scanvi_without_labels_is_refused_before_training(cells):
    bare = cells.copy()
    bare.obs["label"] = np.where(np.arange(bare.n_obs) < 30, "B", "")
    with pytest.raises(InputError, match=r"1 of them have 20 cells or more; .*`labels`"):
        run(bare, "scanvi")


def test_the_device_that_was_used_is_told(cells, trained):
    assert trained.device == {
        "asked_for": "cpu",
        "devices": 1,
        "used": "cpu",
        "name": None,
        "precision": "full",
        "batch_size": 32,
        "fell_back": None,
        "peak_memory_mb": None,
        "utilisation_percent": None,
    }
    assert run(cells, "pca").device is None


def test_the_rate_follows_one_cycle_and_the_bound_falls(trained):
    history = trained.history
    assert history["epoch"].tolist() == list(range(1, 189))  # 60,000 visits to 320 cells
    assert history["elbo_validation"].iloc[-1] < history["elbo_validation"].iloc[0]
    assert history.notna().all().all()


def test_latent_space_repeats_with_the_seed_and_changes_with_another(cells, trained):
    assert run(cells, "scvi").latent.equals(trained.latent)
    assert not run(cells, "scvi", seed=1).latent.equals(trained.latent)


def test_the_model_is_saved_and_gives_the_latent_space_again(cells, trained, tmp_path):
    import scvi

    trained.model.save(str(tmp_path / "model"))
    genes = cells.copy()
    genes.obs["_batch"] = genes.obs["batch"].astype(str)
    model = scvi.model.SCVI.load(str(tmp_path / "model"), adata=genes)
    np.testing.assert_allclose(model.get_latent_representation(), space(trained), atol=1e-5)


def test_a_large_run_makes_the_passes_asked_for_and_a_small_one_more():
    from emhniche.training import count_epochs

    assert count_epochs(100_000, epochs=25, min_cell_visits=200_000) == 25
    assert count_epochs(1_000, epochs=25, min_cell_visits=200_000) == 200
    assert count_epochs(50, epochs=25, min_cell_visits=200_000) == 400


def test_the_last_batch_of_a_pass_never_holds_one_cell():
    from emhniche.training import fitting_batch

    assert fitting_batch(72, 64) == 63  # 65 cells to train on: 64 and 1
    for n_cells in range(50, 400):
        size = fitting_batch(n_cells, 64)
        assert -(-9 * n_cells // 10) % size != 1


def test_too_few_cells_are_refused_with_what_to_do_instead(cells):
    with pytest.raises(InputError, match=r"methods: \[pca\]"):
        run(cells[:40].copy(), "scvi")


def test_diverged_training_is_refused_in_one_line(cells):
    with pytest.raises(InputError, match=r"integrate\.scvi\.peak_rate: training diverged") as error:
        run(cells, "scvi", peak_rate=1e6)
    assert "\n" not in str(error.value)


def test_only_highly_variable_genes_take_part(cells):
    part = cells.copy()
    part.var["highly_variable"] = ~part.var_names.str.startswith("Gene")
    noisy = part.copy()
    kept = sparse.diags(part.var["highly_variable"].to_numpy(dtype=np.float32))
    noisy.X = (noisy.X @ kept).tocsr()
    one, other = space(run(part, "pca")), space(run(noisy, "pca"))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_only_the_marked_genes_are_read_and_all_cells_of_them(cells, tmp_path):
    part = cells.copy()
    part.var["highly_variable"] = ~part.var_names.str.startswith("Gene")
    io.write_h5ad(part, tmp_path / "cells.h5ad")
    found = io.read_genes(tmp_path / "cells.h5ad", "highly_variable", rows=100)
    wanted = part[:, part.var["highly_variable"]]
    assert found.shape == wanted.shape
    assert found.obs_names.equals(wanted.obs_names)
    assert found.var_names.equals(wanted.var_names)
    np.testing.assert_array_equal(found.X.toarray(), wanted.X.toarray())
    assert space(run(found, "pca")).tobytes() == space(run(part, "pca")).tobytes()
