import shutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml

from emhniche.errors import InputError
from emhniche.integrate import integrate
from emhniche.io import write_h5ad, write_table
from emhniche.map_page import map_file
from emhniche.mapping import OUTSIDE, compositions, map_cells
from emhniche.transfer import learn, transfer
from planted import library

ROOT = Path(__file__).resolve().parents[1]

MIX = {"B": 120, "T": 120, "neutrophil": 120, "monocyte_macrophage": 90, "NK": 60}
SETTINGS = {
    "accelerator": "cpu",
    "devices": 1,
    "n_hidden": 32,
    "n_layers": 1,
    "epochs": 20,
    "min_cell_visits": 1,
    "kl_ramp": 2.0,
    "peak_rate": 8e-3,
    "batch_size": 64,
    "max_batch_size": 64,
    "precision": "full",
    "cpu_after_failure": True,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a run of three libraries, none of which holds erythroid cells."""
    folder = tmp_path_factory.mktemp("run")
    parts = [library(MIX, seed=seed, batch_shift=0.2) for seed in range(3)]
    cells = ad.concat(parts, keys=["one", "two", "three"], label="sample", index_unique="-")
    cells.obs["batch"] = cells.obs["sample"].astype(str)
    cells.var["highly_variable"] = True
    write_h5ad(cells, folder / "cells.h5ad")
    found = integrate(
        cells, method="scvi", n_latent=8, batch_key="batch", seed=0, threads=1, **SETTINGS
    )
    found.model.save(str(folder / "integration/scvi/model"), overwrite=True)
    write_table(found.latent, folder / "integration/scvi/latent.parquet")
    annotation = pd.DataFrame(
        {"cell_id": cells.obs_names, "lineage": cells.obs["truth"].to_numpy()}
    )
    annotation = annotation.assign(cell_type=annotation["lineage"], confidence=1.0)
    write_table(annotation, folder / "annotate/annotation.parquet")
    return folder, annotation


@pytest.fixture(scope="module")
def query():
    """Return a library that the model never saw, with a kind of cell that the run lacks."""
    return library(MIX | {"erythroid": 60}, seed=9, batch_shift=0.2)


@pytest.fixture(scope="module")
def mapped(finished, query):
    return map_cells(finished[0], query, name="query")


def test_a_library_that_was_held_out_gets_its_own_types_back(query, mapped):
    truth = query.obs.loc[mapped[0]["cell_id"], "truth"].to_numpy()
    known = truth != "erythroid"
    assert (mapped[0]["cell_type"].to_numpy() == truth)[known].mean() >= 0.85
    assert mapped[0]["in_reference"].to_numpy()[known].mean() >= 0.85


def test_a_kind_that_the_run_lacks_is_flagged(query, mapped):
    cells, figures = mapped
    lacking = query.obs.loc[cells["cell_id"], "truth"].to_numpy() == "erythroid"
    assert (cells["cell_type"].to_numpy() == OUTSIDE)[lacking].mean() >= 0.85
    assert (cells["nearest"] != OUTSIDE).all()
    assert figures["outside"] == (~cells["in_reference"]).sum()


def test_the_model_places_its_own_cells_where_it_left_them(finished):
    cells = ad.read_h5ad(finished[0] / "cells.h5ad")
    again, _ = map_cells(finished[0], cells, name="itself")
    latent = pd.read_parquet(finished[0] / "integration/scvi/latent.parquet")
    columns = [name for name in latent if name.startswith("dim_")]
    places = latent.set_index("cell_id").loc[again["cell_id"], columns]
    np.testing.assert_allclose(again[columns], places, atol=1e-4)


def test_genes_in_another_order_and_few_missing_change_little(finished, query, mapped):
    rng = np.random.default_rng(0)
    kept = rng.permutation(query.n_vars)[: int(0.95 * query.n_vars)]
    again, figures = map_cells(finished[0], query[:, kept].copy(), name="query")
    assert figures["genes_missing"] == query.n_vars - len(kept)
    both = again.merge(mapped[0], on="cell_id")
    assert (both["nearest_x"] == both["nearest_y"]).mean() > 0.9


def test_compositions_add_up(finished, mapped):
    table = compositions(mapped[0], finished[1])
    assert table["n_cells"].sum() == len(mapped[0])
    assert table["share"].sum() == pytest.approx(1)
    assert table.set_index("cell_type").loc[OUTSIDE, "share_run"] is not None
    assert np.isnan(table.set_index("cell_type").loc[OUTSIDE, "share_run"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda cells: cells[:, :200].copy(), "query: lists 200 of the"),
        (lambda cells: ad.AnnData(cells.X * 0, var=cells.var), "query: no barcode has 200 counts"),
    ],
)
def test_a_query_that_cannot_be_placed_ends_in_one_line(finished, query, spoil, message):
    with pytest.raises(InputError) as error:
        map_cells(finished[0], spoil(query), name="query")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_run_without_a_model_is_refused(tmp_path, query):
    with pytest.raises(InputError, match="no model; mapping needs"):
        map_cells(tmp_path, query, name="query")


def spoiled(finished, folder: Path, spoil) -> Path:
    """Return a copy of the run in which one of its files is another."""
    shutil.copytree(finished[0], folder / "run")
    spoil(folder / "run")
    return folder / "run"


def fewer_cells(run: Path) -> None:
    cells = ad.read_h5ad(run / "cells.h5ad")
    write_h5ad(cells[10:].copy(), run / "cells.h5ad")


def other_cells(run: Path) -> None:
    path = run / "annotate/annotation.parquet"
    names = pd.read_parquet(path)
    write_table(names.assign(cell_id="x" + names["cell_id"]), path)


def fewer_genes(run: Path) -> None:
    cells = ad.read_h5ad(run / "cells.h5ad")
    cells.var.iloc[:5, cells.var.columns.get_loc("highly_variable")] = False
    write_h5ad(cells, run / "cells.h5ad")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (fewer_cells, "latent.parquet: 1530 cells"),
        (other_cells, "annotation.parquet: 1530 cells"),
        (fewer_genes, "model: a model of "),
    ],
)
def test_results_that_do_not_belong_together_end_in_one_line(
    finished, query, tmp_path, spoil, named
):
    with pytest.raises(InputError) as error:
        map_cells(spoiled(finished, tmp_path, spoil), query, name="query")
    assert named in str(error.value)
    assert "run the pipeline again" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_that_the_settings_no_longer_ask_for_is_refused(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("config", "resources"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/demo").symlink_to(finished[0])
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config["integrate"] = {"methods": ["pca"], "primary": "pca"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"mine\.yaml: integrate\.methods: scvi is not among"):
        map_file("mine.yaml", "x.h5", name="mine", root=ROOT)


def test_limits_let_most_of_the_reference_pass_and_stop_what_is_far():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 300)
    points = rng.normal(size=(600, 5)) + 20 * (labels == "b")[:, None]
    libraries = np.tile(["x", "y", "z"], 200)
    reference = learn(points, labels, libraries)
    own = transfer(reference, rng.normal(size=(500, 5)))
    assert (own["label"] == "a").all()
    assert 0.9 < own["in_reference"].mean() < 0.99
    assert not transfer(reference, np.full((10, 5), 10.0))["in_reference"].any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["config/nowhere.yaml", "x.h5"], "config/nowhere.yaml: No such file"),
        (["config/config.yaml", "x.h5"], "results/demo: no finished run"),
        (["config/config.yaml", "x.h5", "--name", "../a"], "--name: '../a' cannot be used"),
        ([], "the following arguments are required"),
    ],
    ids=["no configuration", "no run", "bad name", "nothing"],
)
def test_a_wrong_call_ends_in_one_line(given, message, tmp_path):
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    command = [sys.executable, str(ROOT / "scripts/map_query.py"), *given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_a_file_gets_its_table_and_page(finished, query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("config", "resources"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/demo").symlink_to(finished[0])
    write_h5ad(query, tmp_path / "<b>mine.h5ad")
    page = map_file("config/config.yaml", "<b>mine.h5ad", name="mine", root=ROOT).read_text()
    cells = pd.read_parquet(tmp_path / "results/demo/map/mine/cells.parquet")
    assert (cells["cell_type"] == OUTSIDE).sum() >= 50
    assert "not in reference" in page
    assert "<b>mine.h5ad" not in page
    assert "&lt;b&gt;mine.h5ad" in page
