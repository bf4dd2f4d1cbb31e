import anndata as ad
import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from emhniche.doublets import find_doublets
from planted import library

SETTINGS = {"method": "scrublet", "min_cells": 500, "expected_rate": 0.08, "seed": 0}


@pytest.fixture(scope="module")
def with_doublets():
    cells = library({"B": 350, "T": 350, "monocyte_macrophage": 200}, seed=3)
    rng = np.random.default_rng(0)
    one = np.flatnonzero(cells.obs["truth"] == "B")
    other = np.flatnonzero(cells.obs["truth"] == "monocyte_macrophage")
    pairs = cells.X[rng.choice(one, 70)] + cells.X[rng.choice(other, 70)]
    counts = ad.AnnData(sparse.vstack([cells.X, pairs]).tocsr())
    return counts, np.repeat([False, True], [cells.n_obs, 70])


def test_planted_doublets_score_highest(with_doublets):
    counts, truth = with_doublets
    found = find_doublets(counts, np.ones(counts.n_obs, bool), chemistry="10x", **SETTINGS)
    assert roc_auc_score(truth, found.scores) > 0.85
    assert found.status in ("scored", "no_threshold")
    assert not found.called[~truth].mean() > 0.02


@pytest.mark.parametrize(
    ("chemistry", "changes", "reason"),
    [
        ("MARS-seq", {}, "one cell a well"),
        ("SMART-Seq2", {}, "one cell a well"),
        ("10x", {"min_cells": 5000}, "fewer than 5000"),
        ("10x", {"method": "none"}, "switched off"),
    ],
)
def test_where_it_is_not_run_scores_are_missing_and_the_reason_is_given(
    with_doublets, chemistry, changes, reason
):
    counts, _ = with_doublets
    found = find_doublets(
        counts, np.ones(counts.n_obs, bool), chemistry=chemistry, **(SETTINGS | changes)
    )
    assert found.status == "not_run"
    assert reason in found.reason
    assert np.isnan(found.scores).all()
    assert not found.called.any()
