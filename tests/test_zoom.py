import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from emhniche.resources import load_ambient
from emhniche.zoom import zoom_in
from planted import library

SETTINGS = {
    "settings": {
        "n_neighbors": 15,
        "resolutions": [0.1, 0.3, 2.0],
        "n_seeds": 2,
        "n_subsamples": 5,
        "accelerator": "cpu",
    },
    "listed": load_ambient("resources/ambient.tsv", "mouse"),
    "seed": 0,
}


@pytest.fixture(scope="module")
def run():
    """Return a run in whose space two myeloid kinds lie close together, far from B cells."""
    cells = library({"neutrophil": 120, "monocyte_macrophage": 90, "B": 150})
    cells.obs["dataset"] = "d"
    cells.obs["sample"] = np.resize(["s0", "s1", "s2"], cells.n_obs)
    cells.obs["donor"], cells.obs["donor_known"] = cells.obs["sample"], True
    cells.obs["n_counts"] = np.asarray(cells.X.sum(axis=1)).ravel()
    cells.obs["ambient"] = np.nan
    soup = np.asarray(cells.X.sum(axis=0)).ravel() / cells.X.sum()
    cells.varm["ambient"] = pd.DataFrame(
        {f"s{one}": soup for one in range(3)}, index=cells.var_names
    )
    cells.varm["measured"] = pd.DataFrame({"d": True}, index=cells.var_names)
    truth = cells.obs["truth"].astype(str).to_numpy()
    middle = {"neutrophil": 0.0, "monocyte_macrophage": 6.0, "B": 60.0}
    rng = np.random.default_rng(0)
    points = rng.normal(size=(len(truth), 5))
    points[:, 0] += [middle[name] for name in truth]
    latent = pd.DataFrame(points, columns=[f"dim_{n}" for n in range(5)])
    latent.insert(0, "cell_id", cells.obs_names)
    annotation = pd.DataFrame({"cell_id": cells.obs_names, "lineage": truth, "cell_type": truth})
    return cells, latent, annotation


def test_the_parts_of_a_lineage_come_back_with_their_markers(run):
    cells, _, annotation = run
    found, markers = zoom_in(*run, lineage="myeloid", **SETTINGS)
    truth = annotation.set_index("cell_id")["lineage"].loc[found.clusters["cell_id"]]
    assert set(truth) == {"neutrophil", "monocyte_macrophage"}
    assert adjusted_rand_score(truth, found.clusters["cluster"]) > 0.95
    top = markers[markers["lineage"] == "neutrophil"]["gene"].head(5)
    assert (markers["donors"] == 3).all() and (markers["status"] == "tested").any()
    inside = (cells.obs["truth"] == "neutrophil").to_numpy()
    others = (cells.obs["truth"] == "monocyte_macrophage").to_numpy()
    rates = cells[:, top.to_numpy()].X.toarray() / np.asarray(cells.X.sum(axis=1))
    assert (rates[inside].mean(axis=0) > rates[others].mean(axis=0)).all()
    assert not markers["ambient"].any()


def test_a_lineage_of_few_cells_has_the_same_tables_without_a_row(run, caplog):
    whole, listed = zoom_in(*run, lineage="myeloid", **SETTINGS)
    found, markers = zoom_in(*run, lineage="T", **SETTINGS)
    assert "T has 0 cells" in caplog.text
    for name in ("clusters", "resolutions", "found_again"):
        assert getattr(found, name).empty
        assert list(getattr(found, name)) == list(getattr(whole, name))
    assert markers.empty and list(markers) == list(listed)
