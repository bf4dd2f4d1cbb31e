"""Scores are compared over donors: the mixed model is the known one, and its p keeps its level."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from emhniche.ambient import flag_groups
from emhniche.design import audit_contrast
from emhniche.errors import InputError
from emhniche.mixed_model import Moments, compare_intercepts, restricted_ratio
from emhniche.pseudobulk import sum_cells
from emhniche.score_contrast import COLUMNS, compare_scores, sum_scores
from niche_cohort import cohort, library, two_arms

NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
LIMITS = {"min_cells": 20, "min_counts": 10, "min_units": 3}
AXES = pd.DataFrame(
    {
        "axis": ["X", "X", "X", "X", "Y", "Y"],
        "role": ["ligand", "ligand", "antagonist", "decoy", "ligand", "receptor"],
        "tier": ["core"] * 4 + ["extended"] * 2,
        "gene": ["g0", "g1", "g2", "g3", "g4", "g5"],
    }
)
SIGNATURES = pd.DataFrame(
    {
        "set": ["state", "state", "naming", "alone"],
        "class": ["pathological", "pathological", "identity", "pathological"],
        "polarity": ["positive", "negative", "positive", "positive"],
        "genes": [("g6", "g7", "g8"), ("g9",), ("g10", "g11"), ("g12",)],
    }
)


def moments_of(values: np.ndarray, unit: np.ndarray) -> Moments:
    """Return units x values from cells x values."""
    parts = [values[unit == one] for one in range(unit.max() + 1)]
    n = np.array([[len(part)] * values.shape[1] for part in parts], dtype=float)
    mean = np.array([part.mean(axis=0) for part in parts])
    within = np.array([((part - part.mean(axis=0)) ** 2).sum(axis=0) for part in parts])
    return Moments(n, mean, within)


@pytest.mark.parametrize("donor_sd", [0.5, 0.2])
def test_the_fit_is_that_of_statsmodels_on_every_cell(donor_sd):
    rng = np.random.default_rng(0)
    sizes = np.array([30, 200, 55, 400, 120, 80, 33, 150])
    unit = np.repeat(np.arange(8), sizes)
    matrix = np.column_stack([np.ones(8), np.arange(8) % 2, np.arange(8) < 4]).astype(float)
    score = rng.normal(size=len(unit)) + donor_sd * rng.normal(size=8)[unit]
    moments = moments_of(score[:, None], unit)
    model = sm.MixedLM(score, matrix[unit], groups=unit).fit(reml=True, method=["powell"])
    ratio = restricted_ratio(moments, matrix)[0]
    found = compare_intercepts(moments, matrix)
    assert ratio == pytest.approx(model.cov_re.item() / model.scale, rel=2e-3, abs=1e-6)
    assert found["effect"][0] == pytest.approx(model.params[2], rel=1e-3, abs=1e-5)


def null_moments(rng, matrix, donors, donor_sd, n_values=40) -> Moments:
    """Draw units without a difference; half of what donors share is shared by all values."""
    n_units = len(matrix)
    n = np.repeat(rng.integers(20, 300, (n_units, 1)), n_values, axis=1).astype(float)
    scale = donor_sd * rng.lognormal(0, 0.7, n_values)
    shared = rng.normal(size=(n_units, 1))
    own = rng.normal(size=(n_units, n_values))
    unit = scale * (np.sqrt(0.3) * shared + np.sqrt(0.7) * own)
    unit += 0.5 * rng.normal(size=(n_units, n_values))[donors]
    return Moments(n, unit + rng.normal(size=n.shape) / np.sqrt(n), rng.chisquare(n - 1))


@pytest.mark.parametrize("paired", [False, True], ids=["unpaired", "paired"])
@pytest.mark.parametrize("n_donors", [3, 4, 6])
def test_without_a_difference_p_keeps_its_level(n_donors, paired):
    rng = np.random.default_rng(n_donors)
    side = np.arange(2 * n_donors) < n_donors
    donors = np.arange(2 * n_donors) % n_donors
    blocks = [donors == one for one in range(1, n_donors)] if paired else []
    matrix = np.column_stack([np.ones(len(side)), *blocks, side]).astype(float)
    own = donors if paired else np.arange(2 * n_donors)
    draws = [null_moments(rng, matrix, own, 0.2) for _ in range(200)]
    p = np.array([compare_intercepts(one, matrix)["p"] for one in draws])
    assert 0.03 <= np.mean(p < 0.05) <= 0.07
    assert np.mean(p < 0.001) < 0.004
    # cells taken for witnesses: the same data by the standard error of cells
    wald = [(m.mean[side].mean(0) - m.mean[~side].mean(0)) for m in draws]
    error = [np.sqrt(4 / m.n.sum(axis=0)) for m in draws]
    assert np.mean(np.abs(wald) > 1.96 * np.array(error)) > 0.4


def test_intervals_hold_a_planted_difference():
    rng = np.random.default_rng(1)
    side = np.arange(8) < 4
    matrix = np.column_stack([np.ones(8), side]).astype(float)
    held, found = [], []
    for _ in range(40):
        moments = null_moments(rng, matrix, np.arange(8), 0.2)
        planted = Moments(moments.n, moments.mean + 1.5 * side[:, None], moments.within)
        fit = compare_intercepts(planted, matrix)
        held.append((fit["ci_low"] < 1.5) & (fit["ci_high"] > 1.5))
        found.append(fit["p"] < 0.05)
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    assert np.mean(found) > 0.6


def test_a_value_that_does_not_vary_gets_no_p():
    n = np.full((6, 2), 30.0)
    flat = Moments(n, np.column_stack([np.zeros(6), np.arange(6.0)]), np.array([[0.0, 9.0]] * 6))
    matrix = np.column_stack([np.ones(6), np.arange(6) < 3]).astype(float)
    found = compare_intercepts(flat, matrix)
    assert np.isnan(found["p"][0])
    assert 0 < found["p"][1] < 1


def scored(libraries, *, planted=0.0, seed=0, unscored=()):
    """Return the inputs of a comparison; `planted` lifts X.agonist in spleen neutrophils."""
    cells, annotation = cohort(libraries, seed=seed, n_genes=60, n_cells=40)
    rng = np.random.default_rng(seed)
    names = ["X.agonist", "X.antagonist", "Y.agonist", "Y.receptor", "state", "naming", "alone"]
    names = [f"{name}{suffix}" for name in names for suffix in ("", "__z")]
    samples = cells.obs["sample"].to_numpy(str)
    values = rng.gamma(2.0, 0.1, (cells.n_obs, len(names)))
    shift = {one: rng.normal(0, 0.01, len(names)) for one in np.unique(samples)}
    values += np.array([shift[one] for one in samples]) + 0.05
    lifted = (cells.obs["niche"] == "extramedullary").to_numpy()
    lifted = lifted & (annotation["lineage"] == "neutrophil").to_numpy()
    values[lifted, 0] += planted
    values[lifted, 1] += planted
    scores = pd.DataFrame(values, columns=names)
    scores.loc[np.isin(samples, unscored), ["state", "state__z"]] = np.nan
    scores[["alone", "alone__z", "Y.agonist", "Y.agonist__z"]] = np.nan
    scores.insert(0, "cell_id", cells.obs_names)
    return cells, annotation, scores


def compare(cells, annotation, scores, contrast=NICHE, **limits) -> pd.DataFrame:
    limits = LIMITS | limits
    bulk = sum_cells(cells, annotation, [f"g{i}" for i in range(13)])
    audit = audit_contrast(bulk.samples, contrast, min_units=limits["min_units"])
    sums = sum_scores(bulk, cells.obs, annotation, scores, AXES, SIGNATURES)
    ambient = flag_groups(bulk, bulk.detected.columns)
    table = compare_scores(bulk, sums, [audit], ambient, **limits)
    assert table.columns.tolist() == [*COLUMNS]
    return table


def test_a_planted_score_is_found_where_it_was_planted_alone():
    table = compare(*scored(two_arms(4), planted=0.2))
    called = table[(table["q"] < 0.05) & (table["level"] == "lineage")]
    assert called[["set", "cell_type"]].to_numpy().tolist() == [["X.agonist", "neutrophil"]]
    row = called.iloc[0]
    assert row["effect"] == pytest.approx(0.2, abs=0.03)
    assert row["ci_low"] < 0.2 < row["ci_high"]
    assert row["effect_z"] == pytest.approx(0.2, abs=0.03)


def test_sides_and_families_stay_apart_and_single_genes_are_not_here():
    table = compare(*scored(two_arms(3), planted=0.3))
    families = table.drop_duplicates("set").set_index("set")["tier"].to_dict()
    assert families == {
        **{"X.agonist": "core", "X.antagonist": "core"},
        **{"state": "state", "naming": "identity"},
    }
    rows = table[(table["cell_type"] == "neutrophil") & (table["level"] == "lineage")]
    effects = rows.set_index("set")["effect"]
    assert effects["X.agonist"] > 0.25
    assert abs(effects["X.antagonist"]) < 0.1


def test_a_confounded_contrast_has_neither_p_nor_interval():
    rows = [{**row, "study": row["niche"]} for row in two_arms(3)]
    table = compare(*scored(rows, planted=0.2))
    assert set(table["status"]) == {"not_identifiable"}
    numbers = ["p", "q", "p_z", "ci_low", "ci_high", "ci_z_low", "ci_z_high"]
    assert table[numbers].isna().all().all()
    assert table["effect"].notna().all()


def test_few_donors_and_unknown_donors_have_an_effect_alone():
    table = compare(*scored(two_arms(2)))
    assert set(table["status"]) == {"effect_only"}
    assert table["p"].isna().all()
    assert table["ci_low"].notna().all()
    unknown = [library(f"{n}{i}", "", n) for n in ("extramedullary", "marrow") for i in range(3)]
    table = compare(*scored(unknown))
    assert set(table["status"]) == {"effect_only"}
    assert table[["p", "ci_low"]].isna().all().all()


def test_an_unscored_set_is_not_testable_and_never_zero():
    spleen = ["s0", "s1", "s2"]
    table = compare(*scored(two_arms(3), unscored=spleen)).set_index("set").loc["state"]
    assert set(table["status"]) == {"not_testable"}
    assert set(table["reason"]) == {"no extramedullary dataset measures two of its genes"}
    assert table[["score_test", "effect", "p"]].isna().all().all()
    one = compare(*scored(two_arms(3), unscored=spleen[:1])).set_index("set").loc["state"]
    assert set(one["status"]) == {"effect_only"}
    assert one["p"].isna().all()


def test_silent_sets_few_cells_and_soup_are_not_testable():
    cells, annotation, scores = scored(two_arms(3))
    scores["state"] = 0.0
    table = compare(cells, annotation, scores).set_index("set")
    assert set(table.loc["state", "reason"]) == {"0 cells score above 0, 10 are needed"}
    assert set(compare(*scored(two_arms(3)), min_cells=50)["status"]) == {"not_testable"}
    bulk = sum_cells(cells, annotation, [f"g{i}" for i in range(13)])
    audit = audit_contrast(bulk.samples, NICHE, min_units=3)
    sums = sum_scores(bulk, cells.obs, annotation, scores, AXES, SIGNATURES)
    soup = {
        level: bulk.detected.gt(-1) & (bulk.detected.columns == "g0")
        for level in ("lineage", "cell_type")
    }
    for level in soup:
        soup[level]["g1"] = True
    found = compare_scores(bulk, sums, [audit], soup, **LIMITS)
    flagged = found[found["ambient"].astype(bool)]
    assert set(flagged["set"]) == {"X.agonist"}
    assert set(flagged["status"]) == {"not_testable"}
    assert flagged["effect"].isna().all()


def test_scores_of_other_cells_or_sets_are_refused():
    cells, annotation, scores = scored(two_arms(3))
    bulk = sum_cells(cells, annotation, ["g0"])
    with pytest.raises(InputError, match=r"scores\.parquet: cell 's0:c0' and 0 more have no row"):
        sum_scores(bulk, cells.obs, annotation, scores.iloc[1:], AXES, SIGNATURES)
    with pytest.raises(InputError, match=r"scores\.parquet: it has no column X\.agonist"):
        sum_scores(bulk, cells.obs, annotation, scores.drop(columns="X.agonist"), AXES, SIGNATURES)


def test_random_panels_give_no_finding():
    found = 0
    for seed in range(5):
        table = compare(*scored(two_arms(4), seed=seed))
        found += int((table["q"] < 0.05).any())
    assert found <= 1
