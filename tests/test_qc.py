import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche import io
from emhniche.cellbender import Estimate
from emhniche.qc import COLUMNS, qc_sample
from emhniche.qc_metrics import barcode_metrics
from emhniche.resources import load_signatures
from emhniche.soup import ambient_by_lineage, find_soup
from planted import coarse_markers, library

SIGNATURES = load_signatures("resources/signatures.tsv", "mouse")
VERDICT = {
    "kept_cells": {"warn": 30, "fail": 10},
    "median_genes": {"warn": 50, "fail": 20},
    "median_pct_mito": {"warn": 25, "fail": 50},
    "ambient": {"warn": 0.5, "fail": 0.8},
}

SETTINGS = {
    "n_mads": 4.0,
    "min_counts": {"floor": 100, "ceiling": 300},
    "min_genes": {"floor": 60, "ceiling": 200},
    "max_pct_mito": {"floor": 10, "ceiling": 40},
    "min_lineage_cells": 30,
    "verdict": VERDICT,
    "doublets": {"method": "none", "min_cells": 500, "fallback_rate": 0.05},
    "seed": 0,
}
MIX = {"B": 150, "T": 150, "monocyte_macrophage": 80, "neutrophil": 60, "erythroid": 40}


def run(cells, **changes):
    """Return table and summary of a library."""
    return qc_sample(
        cells,
        coarse_markers(),
        SIGNATURES,
        sample="s",
        species="mouse",
        chemistry="10x 3' v3",
        cells_loaded="",
        enrichment="none",
        **(SETTINGS | changes),
    )[:2]


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


def test_estimated_contamination_follows_the_planted_share():
    planted = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3]
    estimated = []
    for seed, share in enumerate(planted):
        cells = library(MIX | {"neutrophil": 200}, seed=seed, ambient=share)
        none = np.zeros(cells.n_obs, dtype=bool)
        found, _ = ambient_by_lineage(cells, cells.obs["truth"], find_soup(cells, None), none)
        estimated.append(np.median(found))
    assert np.corrcoef(planted, estimated)[0, 1] > 0.97
    assert np.abs(np.subtract(planted, estimated)).max() < 0.05


def test_the_second_cell_of_a_doublet_is_no_soup():
    cells = library(MIX | {"neutrophil": 200}, ambient=0.03)
    rng = np.random.default_rng(2)
    doublet = rng.random(cells.n_obs) < 0.1
    guests = rng.integers(0, cells.n_obs, doublet.sum())
    counts = cells.X.tolil()
    counts[np.flatnonzero(doublet)] += cells.X[guests]
    cells.X = counts.tocsr()
    soup, truth = find_soup(cells, None), cells.obs["truth"]
    known, _ = ambient_by_lineage(cells, truth, soup, doublet)
    unknown, _ = ambient_by_lineage(cells, truth, soup, np.zeros_like(doublet))
    assert np.median(known) == pytest.approx(0.03, abs=0.01)
    assert np.median(unknown) > np.median(known) + 0.02
    assert not np.isnan(known[doublet]).any()


def with_empty_droplets(cells, made_by, n=1500):
    """Add droplets of 10 to 90 counts that hold the RNA of one lineage only."""
    rng = np.random.default_rng(1)
    own = cells.X[(cells.obs["truth"] == made_by).to_numpy()].sum(axis=0)
    share = np.asarray(own, dtype=float).ravel() / own.sum()
    drops = np.array([rng.multinomial(size, share) for size in rng.integers(10, 90, n)])
    both = sparse.vstack([cells.X, sparse.csr_matrix(drops, dtype=np.float32)]).tocsr()
    names = [*cells.obs_names, *(f"empty{number}" for number in range(n))]
    return ad.AnnData(both, obs=pd.DataFrame(index=names), var=cells.var), share


def test_empty_droplets_are_the_soup_where_the_file_holds_them():
    cells = library(MIX)
    raw, share = with_empty_droplets(cells, "neutrophil")
    soup = find_soup(raw, None)
    assert (soup.source, soup.n_empty) == ("droplets", 1500)
    assert np.corrcoef(soup.profile, share)[0, 1] > 0.98
    average = find_soup(cells, None)
    assert (average.source, average.n_empty) == ("library", 0)
    assert np.corrcoef(average.profile, share)[0, 1] < 0.9
    table, summary = run(raw)
    assert not table["keep"][table["barcode"].str.startswith("empty")].any()
    assert summary["verdict"] == "warn"
    assert "cells were not called: 1500 barcodes hold fewer than 100" in summary["verdict_reason"]


def test_barcodes_without_a_count_do_not_hide_that_cells_were_not_called():
    raw, _ = with_empty_droplets(library(MIX), "neutrophil")
    none = sparse.csr_matrix((9000, raw.n_vars), dtype=np.float32)
    names = [*raw.obs_names, *(f"none{number}" for number in range(9000))]
    whole = ad.AnnData(
        sparse.vstack([raw.X, none]).tocsr(), obs=pd.DataFrame(index=names), var=raw.var
    )
    assert find_soup(whole, None).n_empty == 1500


def by_cellbender(raw, cells):
    """Return what CellBender would say of a library if it told droplets right."""
    probability = np.where(raw.obs_names.isin(cells), 0.99, 0.01)
    droplets = pd.DataFrame(
        {"barcode": raw.obs_names, "cell_probability": probability, "ambient": 0.1}
    )
    return Estimate(droplets, pd.Series(1 / raw.n_vars, index=raw.var_names))


def test_droplets_without_a_cell_go_and_have_no_say_in_anything_else():
    cells = library(MIX)
    alone, good = run(cells)
    raw, _ = with_empty_droplets(cells, "T")
    # droplets deep enough to be grouped, and full of mitochondrial RNA
    raw.X[cells.n_obs :] = raw.X[cells.n_obs :] * 4
    mito = raw.var_names.str.startswith("mt-")
    deep = raw.X[cells.n_obs :].multiply(np.where(mito, 40, 1))
    raw.X = sparse.vstack([raw.X[: cells.n_obs], deep]).tocsr().astype(np.float32)
    table, summary = run(raw, estimate=by_cellbender(raw, cells.obs_names))
    empty = ~raw.obs_names.isin(cells.obs_names)
    assert set(table["reason"][empty]) == {"no_cell"}
    assert set(table["lineage"][empty]) == {"unresolved"}
    assert (table["keep"][~empty].to_numpy() == alone["keep"].to_numpy()).all()
    assert summary["verdict"] == good["verdict"] == "pass"
    assert not any("removed" in text for text in summary["warnings"])


def test_a_library_in_which_cellbender_finds_no_cell_fails():
    cells = library(MIX)
    table, summary = run(cells, estimate=by_cellbender(cells, []))
    assert set(table["reason"]) == {"no_cell"}
    assert summary["verdict"] == "fail"


def test_nothing_is_flagged_as_ambient_where_there_is_none():
    _, summary = run(library(MIX))
    assert len(summary["ambient_genes"]) < 10


def test_a_sample_with_no_cell_left_fails_and_says_so():
    table, summary = run(library({"B": 50}), min_counts={"floor": 10**6, "ceiling": 10**6})
    assert not table["keep"].any()
    assert summary["verdict"] == "fail"
    assert summary["verdict_reason"].startswith("0 cells kept, fewer than 10")
    assert "B: 100 % removed (50 of 50), by min counts" in summary["verdict_reason"]


def test_a_dying_library_fails_for_its_mitochondria_and_debris_alone_does_not():
    _, good = run(library(MIX, debris=300))
    assert good["verdict"] == "pass"
    cells = library(MIX)
    mito = cells.var_names.str.startswith("mt-")
    cells.X = cells.X.multiply(np.where(mito, 60, 1)).tocsr()
    _, dying = run(cells)
    assert dying["verdict"] == "fail"
    assert "% mitochondrial counts in the median barcode" in dying["verdict_reason"]


def test_losing_a_lineage_is_a_warning_with_numbers():
    cells = library(MIX)
    table, summary = run(cells, min_counts={"floor": 290, "ceiling": 300})
    own = table[table["lineage"] == "neutrophil"]
    lost, n = (~own["keep"]).sum(), len(own)
    assert summary["verdict"] == "warn"
    assert (
        f"neutrophil: {100 * lost / n:.0f} % removed ({lost} of {n}), by min counts"
        in summary["warnings"]
    )


def test_the_table_has_its_columns_and_describes_states_without_dropping_for_them():
    table, summary = run(library(MIX))
    assert list(table) == COLUMNS
    assert not {"stress", "phase", "G2M", "S"} & set(summary["removed"])
    assert table["fingerprint"].dropna().is_unique


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
