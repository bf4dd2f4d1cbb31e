import anndata as ad
import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from emhniche.doublets import different_share, find_doublets
from emhniche.loading import MAX_RATE, expected_rate, loaded_for
from planted import library

SETTINGS = {"method": "scrublet", "min_cells": 500, "fallback_rate": 0.08, "seed": 0}


@pytest.fixture(scope="module")
def with_doublets():
    """900 single cells of three lineages and 70 pairs of a B cell and a macrophage."""
    cells = library({"B": 350, "T": 350, "monocyte_macrophage": 200}, seed=3)
    rng = np.random.default_rng(0)
    one = np.flatnonzero(cells.obs["truth"] == "B")
    other = np.flatnonzero(cells.obs["truth"] == "monocyte_macrophage")
    pairs = cells.X[rng.choice(one, 70)] + cells.X[rng.choice(other, 70)]
    counts = ad.AnnData(sparse.vstack([cells.X, pairs]).tocsr())
    lineage = np.append(cells.obs["truth"].to_numpy(dtype=str), np.repeat("B", 70))
    return counts, lineage, np.repeat([False, True], [cells.n_obs, 70])


def find(counts, lineage, **changes):
    library = {"chemistry": "inDrops", "cells_loaded": "", "enrichment": "none"}
    given = {**library, **SETTINGS, **changes}
    return find_doublets(counts, np.ones(counts.n_obs, bool), lineage, **given)


@pytest.mark.parametrize(
    ("method", "auroc", "recall"), [("boosted", 0.98, 0.6), ("scrublet", 0.85, 0.2)]
)
def test_planted_doublets_score_highest_and_few_single_cells_are_called(
    with_doublets, method, auroc, recall
):
    counts, lineage, truth = with_doublets
    found = find(counts, lineage, method=method)
    assert roc_auc_score(truth, found.scores) > auroc
    assert found.status == "scored"
    assert found.called[truth].mean() > recall
    assert found.called[~truth].mean() < 0.02


def test_no_more_are_called_than_the_loading_lets_expect(with_doublets):
    counts, lineage, truth = with_doublets
    found = find(counts, lineage, chemistry="10x 3' v3", cells_loaded="8250")
    assert (found.expected_rate, found.expected_from) == (pytest.approx(0.04), "cells_loaded")
    assert found.n_expected == round(0.04 * counts.n_obs * different_share(lineage))
    assert found.called.sum() <= found.n_expected
    assert truth[found.called].mean() > 0.9
    alone = find(counts, np.repeat("B", counts.n_obs))
    assert not alone.called.any()
    assert "two lineages" in alone.reason


def test_a_library_without_doublets_loses_few_cells_of_any_lineage():
    cells = library({"B": 400, "T": 300, "monocyte_macrophage": 200, "neutrophil": 150}, seed=5)
    lineage = cells.obs["truth"].to_numpy(dtype=str)
    found = find(cells, lineage, fallback_rate=0.02)
    lost = {name: found.called[lineage == name].mean() for name in np.unique(lineage)}
    assert max(lost.values()) < 0.05


def test_the_expected_rate_follows_the_loading_of_a_10x_chip():
    assert expected_rate("10x 3' v3", "", 10_000, 0.05) == (pytest.approx(0.08), "recovered")
    assert expected_rate("10x 3' v3", "16500", 500, 0.05) == (pytest.approx(0.08), "cells_loaded")
    named = expected_rate("Single Cell 3' v2 (10x)", "", 1000, 0.05)
    assert named == (pytest.approx(0.008), "recovered")
    assert expected_rate("inDrops", "", 10_000, 0.05) == (0.05, "config")
    assert expected_rate("10x 3' v3", "1000000", 500, 0.05)[0] == MAX_RATE
    assert expected_rate("10x", str(loaded_for(0.06)), 1, 0.05)[0] == pytest.approx(0.06)


def test_cells_of_a_sorted_library_are_scored_and_none_is_called(with_doublets):
    counts, lineage, truth = with_doublets
    found = find(counts, lineage, enrichment="Lin- Kit+")
    assert found.status == "scored"
    assert roc_auc_score(truth, found.scores) > 0.9
    assert not found.called.any()
    assert "sorted by Lin- Kit+" in found.reason


def test_progenitors_on_their_way_to_a_lineage_are_not_called():
    """Cells halfway between HSPC and erythroid cells, of the depth of one cell; no doublets."""
    cells = library({"T": 300, "erythroid": 300, "B": 200}, seed=8)
    truth = np.char.replace(cells.obs["truth"].to_numpy(dtype=str), "T", "HSPC")
    rng = np.random.default_rng(0)
    one, other = (rng.choice(np.flatnonzero(truth == name), 60) for name in ("HSPC", "erythroid"))
    both = (cells.X[one] + cells.X[other]).tocsr()
    both.data = rng.binomial(both.data.astype(int), 0.5).astype(np.float32)
    both.eliminate_zeros()
    counts = ad.AnnData(sparse.vstack([cells.X, both]).tocsr())
    lineage = np.append(truth, np.repeat(["HSPC", "erythroid"], 30))
    found = find(counts, lineage, method="boosted")
    assert found.called[-60:].mean() < 0.05
    assert found.called.mean() < 0.03
    # Scrublet pairs any cells; no more are called than of the pairs that can be told
    found = find(counts, lineage, method="scrublet")
    assert found.called.sum() <= found.n_expected
    assert found.n_expected == round(0.08 * counts.n_obs * different_share(lineage))


def test_pairs_of_one_lineage_cannot_be_found():
    assert different_share(np.array(["B", "B", "T", "T", "unresolved"])) == 0.5
    assert different_share(np.array(["B", "B", "unresolved"])) == 0
    # cells pass from one to the other, so a pair of them is no more than a cell between
    assert different_share(np.array(["HSPC", "erythroid"])) == 0
    assert different_share(np.array(["DC", "monocyte_macrophage"])) == 0
    assert different_share(np.array(["HSPC", "B", "T", "T"])) == pytest.approx(4 / 16)


@pytest.mark.parametrize(
    ("chemistry", "changes", "reason"),
    [
        ("MARS-seq", {}, "one cell a well"),
        ("SMART-Seq2", {}, "one cell a well"),
        ("SORT-seq", {}, "one cell a well"),
        ("10x", {"min_cells": 5000}, "fewer than 5000"),
        ("10x", {"method": "none"}, "switched off"),
    ],
)
def test_where_it_is_not_run_scores_are_missing_and_the_reason_is_given(
    with_doublets, chemistry, changes, reason
):
    counts, lineage, _ = with_doublets
    found = find(counts, lineage, chemistry=chemistry, **changes)
    assert found.status == "not_run"
    assert reason in found.reason
    assert np.isnan(found.scores).all()
    assert not found.called.any()


@pytest.mark.parametrize("method", ["scrublet", "boosted"])
def test_a_panel_of_few_genes_is_not_searched_and_says_why(with_doublets, method):
    counts, lineage, _ = with_doublets
    panel = counts[:, np.argsort(-counts.X.sum(axis=0).A1)[:30]].copy()
    found = find(panel, lineage, method=method)
    assert found.status == "not_run"
    assert found.reason.endswith(" genes vary among the usable barcodes, 21 are needed")
    assert np.isnan(found.scores).all() and not found.called.any()
    assert np.isnan(found.expected_rate)
