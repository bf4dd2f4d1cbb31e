import json

import numpy as np
import pytest

from emhniche import io
from emhniche.errors import InputError
from emhniche.qc import qc_sample
from emhniche.qc_metrics import barcode_metrics
from planted import coarse_markers, library

SETTINGS = {
    "n_mads": 4.0,
    "min_counts": {"floor": 100, "ceiling": 300},
    "min_genes": {"floor": 60, "ceiling": 200},
    "max_pct_mito": {"floor": 10, "ceiling": 40},
    "min_lineage_cells": 30,
    "min_cells": 20,
    "doublets": {"method": "none", "min_cells": 500, "expected_rate": 0.05},
    "seed": 0,
}
MIX = {"B": 150, "T": 150, "monocyte_macrophage": 80, "neutrophil": 60, "erythroid": 40}


def run(cells, **changes):
    return qc_sample(
        cells, coarse_markers(), sample="s", chemistry="10x 3' v3", **(SETTINGS | changes)
    )


def test_low_rna_neutrophils_survive_where_a_global_cut_would_delete_them():
    cells = library(MIX)
    table, _ = run(cells)
    neutrophil = (cells.obs["truth"] == "neutrophil").to_numpy()
    assert (table["n_counts"][neutrophil] < 500).mean() > 0.9  # what a global cut would remove
    assert table["keep"][neutrophil].mean() > 0.95
    assert (table["lineage"][neutrophil] == "neutrophil").mean() > 0.95


def test_debris_goes_and_is_named_for_its_mitochondria():
    cells = library(MIX, debris=60)
    table, summary = run(cells)
    debris = (cells.obs["truth"] == "debris").to_numpy()
    assert not table["keep"][debris].any()
    assert (table["reason"][debris] == "high_mito").all()
    assert table["keep"][~debris].mean() > 0.95
    assert summary["removed"]["high_mito"] >= 60


def test_thresholds_are_set_within_lineage_and_stay_in_bounds():
    _, summary = run(library(MIX))
    counts = {t["lineage"]: t for t in summary["thresholds"] if t["metric"] == "n_counts"}
    assert counts["neutrophil"]["value"] < counts["B"]["value"]
    assert all(100 <= row["value"] <= 300 for row in counts.values())


def test_a_small_lineage_gets_the_mildest_threshold():
    _, summary = run(library(MIX | {"neutrophil": 20}))
    row = next(
        t
        for t in summary["thresholds"]
        if t["lineage"] == "neutrophil" and t["metric"] == "n_counts"
    )
    assert (row["value"], row["basis"]) == (100, "few_cells")


def test_unmeasured_mitochondria_are_missing_and_fail_nobody():
    cells = library(MIX)
    cells = cells[:, ~cells.var_names.str.startswith("mt-")].copy()
    table, summary = run(cells)
    assert table["pct_mito"].isna().all()
    assert "high_mito" not in summary["removed"]
    assert summary["medians"]["pct_mito"] != 0


def test_metrics_by_hand():
    cells = library({"B": 3})
    dense = cells.X.toarray()
    table = barcode_metrics(cells)
    mito = dense[:, cells.var_names.str.startswith("mt-")].sum(axis=1)
    np.testing.assert_allclose(table["n_counts"], dense.sum(axis=1))
    np.testing.assert_allclose(table["n_genes"], (dense > 0).sum(axis=1))
    np.testing.assert_allclose(table["pct_mito"], 100 * mito / dense.sum(axis=1), rtol=1e-6)


def test_an_ambient_gene_is_listed_for_the_lineage_that_does_not_make_it():
    table, summary = run(library(MIX | {"neutrophil": 200}, ambient=0.1))
    flagged = {row["gene"] for row in summary["ambient_genes"] if row["lineage"] == "B"}
    sets = coarse_markers().set_index("set")["positive"]
    others = {gene for name in MIX if name != "B" for gene in sets[name]}
    assert len(flagged) >= 10
    assert flagged <= others - set(sets["B"])
    assert table["ambient"].median() == pytest.approx(0.1, abs=0.03)  # as planted


def test_nothing_is_flagged_as_ambient_where_there_is_none():
    _, summary = run(library(MIX))
    assert len(summary["ambient_genes"]) < 10


def test_a_sample_with_no_cell_left_is_refused_in_one_line():
    cells = library({"B": 50})
    with pytest.raises(InputError, match=r"sample s: no cell is left of 50 barcodes") as error:
        run(cells, min_counts={"floor": 10**6, "ceiling": 10**6})
    assert "\n" not in str(error.value)


def test_losing_a_lineage_is_a_warning_with_numbers():
    cells = library(MIX)
    _, summary = run(cells, min_counts={"floor": 290, "ceiling": 300})
    assert summary["verdict"] == "warn"
    assert any(
        text.startswith("neutrophil: ") and text.endswith("% removed, most by low_counts")
        for text in summary["warnings"]
    )


def test_results_repeat_and_do_not_depend_on_the_order_of_barcodes(tmp_path):
    cells = library(MIX)
    first, summary = run(cells)
    again, _ = run(cells)
    assert first.equals(again)
    io.write_json(summary, tmp_path / "qc.json")
    assert json.loads((tmp_path / "qc.json").read_text())["n_in"] == cells.n_obs
    turned, _ = run(cells[::-1].copy())
    merged = first.merge(turned, on="barcode", suffixes=("", "_turned"))
    assert (merged["keep"] == merged["keep_turned"]).mean() > 0.99
