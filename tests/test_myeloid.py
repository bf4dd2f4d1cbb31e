"""The myeloid stage: calls where donors allow them, and a reason everywhere else."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from emhniche.errors import InputError
from emhniche.myeloid import PathologicalCalls, call_pathological
from myeloid_cohort import SIGNATURE, Cohort, covariate_table, simulate

ROOT = Path(__file__).resolve().parents[1]

PLANTED = {"reference": 6, "case": 6, "fraction": 0.2}


def call(adata: ad.AnnData, **changes: object) -> PathologicalCalls:
    given = {"lineage": "neutrophil", "donor": "donor", "arm": "arm", "n_random": 60}
    given |= {"signature": SIGNATURE, "signatures": covariate_table()}
    return call_pathological(adata, **(given | changes))


def truth(adata: ad.AnnData, answer: PathologicalCalls) -> tuple[float, float]:
    """False discovery proportion and sensitivity."""
    cells = answer.cells.set_index("cell_id")
    called = cells["pathological"].fillna(False).to_numpy(bool)
    planted = adata.obs["planted"].reindex(cells.index).to_numpy()
    return (called & ~planted).sum() / max(called.sum(), 1), (
        called & planted
    ).sum() / planted.sum()


def test_cohorts_without_a_difference_are_left_alone():
    # at a rate of 5 %, more than 2 of 12 cohorts with a call have probability 0.02
    answers = [call(simulate(Cohort(seed=seed, cells=80))) for seed in range(12)]
    assert sum(answer.gate["called"] > 0 for answer in answers) <= 2
    assert {answer.gate["status"] for answer in answers} == {"tested"}


def test_a_shift_of_maturation_alone_is_not_called():
    for shift in (-0.2, 0.2):
        answers = [call(simulate(Cohort(seed=s, maturation_shift=shift))) for s in range(4)]
        assert sum(answer.gate["called"] > 0 for answer in answers) <= 1


def test_planted_cells_are_found():
    results = []
    for seed in range(4):
        adata = simulate(Cohort(seed=seed, **PLANTED))
        answer = call(adata)
        results.append(truth(adata, answer))
        assert answer.gate["code"] == "called"
        assert answer.gate["label"] == "MDSC-like (reactive)"
        assert answer.gate["excess_low"] < answer.gate["excess"] < answer.gate["excess_high"]
    discovery, sensitivity = np.mean(results, axis=0)
    assert discovery <= 0.15
    assert sensitivity >= 0.35


def test_power_mode_finds_at_least_what_the_default_finds():
    found = []
    for seed in range(3):
        adata = simulate(Cohort(seed=seed, **PLANTED))
        default, power = call(adata), call(adata, mode="power")
        before, after = (answer.cells.set_index("cell_id") for answer in (default, power))
        assert (after.loc[before["q"].notna(), "q"] <= before["q"].dropna() + 1e-12).all()
        kept = before["pathological"].fillna(False).astype(bool)
        assert after.loc[kept, "pathological"].all()
        same = ["maturation", "score", "residual", "p", "status"]
        pd.testing.assert_frame_equal(before[same], after[same])
        assert list(default.gate.index) == list(power.gate.index)
        called = after["pathological"].fillna(False).astype(bool)
        assert power.gate["threshold"] == after.loc[called, "residual"].min()
        assert power.gate["fdr"] <= 0.10
        assert "(mode fdr)" in default.gate["reason"]
        assert "(mode power)" in power.gate["reason"]
        found.append((truth(adata, default)[1], *truth(adata, power)))
    default, discovery, power = np.mean(found, axis=0)
    assert power > default
    assert discovery <= 0.15


def test_power_mode_stays_behind_the_gate():
    # at a rate of 5 %, more than 2 of 12 cohorts with a call have probability 0.02
    cohorts = [simulate(Cohort(seed=seed, cells=80)) for seed in range(12)]
    answers = [call(adata, mode="power") for adata in cohorts]
    assert sum(answer.gate["called"] > 0 for answer in answers) <= 2
    inflamed = Cohort(seed=0, inflamed_fold=3.0, reference=6, case=6, control=4)
    assert call(simulate(inflamed), mode="power").gate["called"] == 0


def test_calls_keep_to_supported_case_cells_at_or_below_q():
    adata = simulate(Cohort(seed=0, **PLANTED))
    cells = call(adata).cells.set_index("cell_id")
    called = cells["pathological"].fillna(False).astype(bool)
    assert (cells.loc[called, "status"] == "tested").all()
    assert (cells.loc[called, "q"] <= 0.10).all()
    assert (cells.loc[~called & (cells["status"] == "tested"), "q"] > 0.10).all()
    unsupported = cells["status"] == "unsupported"
    assert unsupported.any()
    assert cells.loc[unsupported, "pathological"].isna().all()
    assert cells.loc[unsupported, "residual"].notna().all()
    assert cells.loc[cells["status"] == "reference", "pathological"].isna().all()


def test_donor_table_has_the_share_above_the_naive_range():
    donors = call(simulate(Cohort(seed=0, **PLANTED))).donors.set_index("donor")
    reference = donors["role"] == "reference"
    assert donors.loc[reference, "exceedance"].mean() == pytest.approx(0.05, abs=0.01)
    assert donors.loc[~reference, "exceedance"].mean() > 0.1
    assert donors.loc[reference, "called"].isna().all()
    assert (donors.loc[~reference, "excess_fraction"] < donors.loc[~reference, "exceedance"]).all()


def test_inflammation_fires_only_without_an_inflammation_control():
    settings = {"inflamed_fold": 3.0, "reference": 6, "case": 6}
    alone = [call(simulate(Cohort(seed=s, **settings))) for s in range(3)]
    assert sum(answer.gate["called"] > 0 for answer in alone) >= 2
    controlled = [call(simulate(Cohort(seed=s, control=4, **settings))) for s in range(3)]
    assert sum(answer.gate["called"] > 0 for answer in controlled) == 0
    assert {"Sig0", "Sig1", "Sig2", "Sig3"} <= set(controlled[0].gate["genes_inflamed"].split(";"))


def test_a_passed_inflammation_control_drops_the_word_reactive():
    answer = call(simulate(Cohort(seed=8, control=6, fold=4.0, **PLANTED)))
    assert answer.gate["code"] == "called"
    assert answer.gate["control_p"] <= 0.05
    assert answer.gate["label"] == "MDSC-like"


def test_sorted_cells_give_no_fraction():
    adata = simulate(Cohort(seed=0, **PLANTED))
    adata.obs["gate"] = "Ly6G+"
    answer = call(adata, enrichment="gate")
    assert answer.gate["code"] == "called"
    assert np.isnan(answer.gate["excess"])
    assert answer.donors["excess_fraction"].isna().all()
    assert "sorted" in answer.gate["warnings"]


def test_without_a_reference_there_are_scores_and_no_calls():
    answer = call(simulate(Cohort(reference=0)))
    assert answer.gate["code"] == "no_reference_arm"
    assert answer.gate["fit"] == "fitted_on_all"
    assert answer.gate["status"] == "score_only"
    assert (answer.cells["status"] == "score_only").all()
    assert answer.cells["residual"].notna().all()
    assert answer.cells["pathological"].isna().all()
    assert answer.cells[["p", "q"]].isna().all(axis=None)
    assert answer.donors["exceedance"].isna().all()


def test_one_reference_donor_gives_exceedance_and_no_calls():
    answer = call(simulate(Cohort(reference=1, case=4, fraction=0.5)))
    assert answer.gate["code"] == "too_few_reference_donors"
    assert answer.gate["fit"] == "one_reference_donor"
    assert answer.gate["reason"].startswith("1 reference donor counts, at least 3 are needed")
    donors = answer.donors.set_index("role")["exceedance"]
    assert donors["reference"] == pytest.approx(0.05, abs=0.03)
    assert donors["case"].mean() > 0.15
    assert answer.cells["pathological"].isna().all()


def test_a_signature_that_falls_in_the_cases_points_the_wrong_way():
    adata = simulate(Cohort(seed=2, reference=6, case=6, fraction=1.0, fold=0.3, donor_sd=0.1))
    assert call(adata).gate["code"] == "wrong_direction"


def test_a_shift_of_all_genes_is_not_the_signatures():
    background = [f"Bg{i}" for i in range(300)]
    adata = simulate(Cohort(seed=0, **PLANTED, donor_sd=0.1, planted_genes=SIGNATURE + background))
    answer = call(adata)
    assert answer.gate["code"] == "not_beyond_random_sets"
    assert answer.gate["p"] < 0.05
    assert answer.gate["sign_effect"] <= answer.gate["random_high"]


def test_a_cell_without_a_transcript_of_the_signature_is_never_high():
    # few cells and a rare signature: the regression carries empty cells of stressed cases high up
    rare = {"cells": 40, "level": 0.005, "case_stress": 3.5}
    adata = simulate(Cohort(seed=3, reference=3, case=3, **rare))
    answer = call(adata)
    cells = answer.cells.set_index("cell_id")
    donor = adata.obs["donor"].reindex(cells.index)
    empty = np.asarray(adata[cells.index, SIGNATURE].X.sum(axis=1)).ravel() == 0
    assert (cells.loc[empty, "residual"] > 2).sum() > 50
    assert (cells.loc[empty, "p"] == 1).all()
    supported = answer.donors.set_index("donor")["supported"]
    holding = (~pd.Series(empty, cells.index)).groupby(donor, observed=True).sum()
    exceeding = answer.donors.set_index("donor")["exceedance"] * supported
    assert (exceeding <= holding.reindex(exceeding.index) + 1e-9).all()


def test_the_answer_does_not_hang_on_the_order_of_cells_and_genes():
    adata = simulate(Cohort(seed=0, cells=50, **PLANTED))
    rng = np.random.default_rng(0)
    turned = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    first, second = call(adata), call(turned)
    for name in ("cells", "donors"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))
    pd.testing.assert_series_equal(first.gate, second.gate)


def _one_arm(arm: str):
    def change(adata: ad.AnnData) -> None:
        adata.obs["arm"] = arm

    return change


def _thin(arm: str):
    def change(adata: ad.AnnData) -> ad.AnnData:
        rank = adata.obs.groupby("donor", observed=True).cumcount()
        keep = (adata.obs["arm"] != arm) | (rank < 20)
        return adata[keep].copy()

    return change


def _scale(adata: ad.AnnData) -> None:
    adata.X = adata.X * 0.5


def _negative(adata: ad.AnnData) -> None:
    adata.X.data[0] = -1


def _not_a_number(adata: ad.AnnData) -> None:
    adata.X.data[0] = np.nan


def _other_lineage(adata: ad.AnnData) -> None:
    adata.obs["lineage"] = "B"


def _unknown_donors(adata: ad.AnnData) -> None:
    adata.obs["donor"] = "unknown:" + adata.obs["donor"].astype(str)


def _one_donor(adata: ad.AnnData) -> None:
    adata.obs["donor"] = "d00"


def _by_arm(column: str):
    def change(adata: ad.AnnData) -> None:
        adata.obs[column] = "of " + adata.obs["arm"].astype(str)

    return change


def _few_genes(adata: ad.AnnData) -> ad.AnnData:
    return adata[:, ~adata.var_names.isin(SIGNATURE[4:])].copy()


def _silent_genes(adata: ad.AnnData) -> None:
    dense = adata.X.toarray()
    dense[:, adata.var_names.isin(SIGNATURE[4:])] = 0
    adata.X = dense


def _no_maturation(adata: ad.AnnData) -> ad.AnnData:
    return adata[:, ~adata.var_names.str.startswith("matNeu")].copy()


def _no_background(adata: ad.AnnData) -> ad.AnnData:
    return adata[:, ~adata.var_names.str.startswith("Bg")].copy()


def _old_symbol(adata: ad.AnnData) -> None:
    adata.var_names = ["OldSig0" if gene == "Sig0" else gene for gene in adata.var_names]


def _few_cells(adata: ad.AnnData) -> ad.AnnData:
    return adata[::40].copy()


DEGENERATE = [
    ("normalised", _scale, {}, "not_counts"),
    ("negative", _negative, {}, "not_counts"),
    ("not a number", _not_a_number, {}, "not_counts"),
    ("no cell of the lineage", _other_lineage, {}, "no_lineage_cells"),
    ("few cells", _few_cells, {}, "too_few_cells"),
    ("no arm given", _one_arm(""), {}, "no_reference_arm"),
    ("only cases", _one_arm("case"), {}, "no_reference_arm"),
    ("only references", _one_arm("reference"), {}, "no_case_arm"),
    ("one donor in both arms", _one_donor, {}, "donor_in_two_arms"),
    ("donors not known", _unknown_donors, {}, "too_few_reference_donors"),
    ("thin reference donors", _thin("reference"), {}, "too_few_reference_donors"),
    ("thin case donors", _thin("case"), {}, "too_few_case_donors"),
    ("more donors asked for", None, {"min_donors": 5}, "too_few_reference_donors"),
    ("other platform", _by_arm("kit"), {"platform": "kit"}, "reference_other_platform"),
    ("other tissue", _by_arm("organ"), {"tissue": "organ"}, "reference_other_tissue"),
    ("batch is arm", _by_arm("run"), {"batch": "run"}, "arm_aliased_with_batch"),
    ("genes not measured", _few_genes, {}, "too_few_genes"),
    ("genes not seen", _silent_genes, {}, "too_few_genes"),
    ("no mature genes", _no_maturation, {}, "no_maturation_genes"),
    ("no gene to draw", _no_background, {}, "no_random_sets"),
    ("old symbol", _old_symbol, {"aliases": {"OldSig0": "Sig0"}}, "unresolved_alias"),
    ("empty signature", None, {"signature": []}, "unknown_signature"),
    ("no such set", None, {"signature": "nothing"}, "unknown_signature"),
]


@pytest.mark.parametrize(
    ("change", "settings", "code"),
    [case[1:] for case in DEGENERATE],
    ids=[case[0] for case in DEGENERATE],
)
def test_degenerate_input_is_refused_with_a_code_and_a_sentence(change, settings, code):
    adata = simulate(Cohort(cells=60))
    adata = (change(adata) if change else None) or adata
    answer = call(adata, **settings)
    assert answer.gate["code"] == code
    assert answer.gate["status"] in {"score_only", "not_testable"}
    assert answer.gate["reason"].endswith(".")
    assert answer.cells["pathological"].isna().all()
    assert np.isnan(answer.gate["p"])
    assert answer.cells["residual"].isna().equals(answer.cells["status"] == "not_testable")


def test_cases_of_another_maturation_are_refused():
    answer = call(simulate(Cohort(maturation_shift=0.9)))
    assert answer.gate["code"] == "case_unsupported"
    assert answer.gate["status"] == "score_only"


def test_a_library_for_each_donor_is_not_a_batch_of_an_arm():
    adata = simulate(Cohort(cells=40))
    adata.obs["library"] = adata.obs["donor"].astype(str) + "_lib"
    assert call(adata, batch="library").gate["status"] == "tested"


def test_few_donors_and_few_cells_are_warned_of():
    warnings = call(simulate(Cohort(reference=3, case=3, cells=40))).gate["warnings"]
    assert "only 3 reference donors" in warnings
    assert "fewer than 60 cells in d00" in warnings


def test_cells_without_a_count_stay_in_the_table():
    adata = simulate(Cohort(cells=40))
    dense = adata.X.toarray()
    dense[3] = 0
    adata.X = dense
    cells = call(adata).cells.set_index("cell_id")
    assert len(cells) == adata.n_obs
    assert cells.loc[adata.obs_names[3], "status"] == "not_testable"
    assert cells.loc[adata.obs_names[3], ["score", "residual", "p"]].isna().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"donor": "mouse"}, "obs: column 'mouse' \\(donor\\) is missing"),
        ({"q": 2}, "q: 2 cannot be used"),
        ({"mode": "best"}, "mode: best cannot be used; it would be fdr or power"),
        ({"n_random": 3}, "n_random: 3 cannot be used"),
        ({"min_donors": 1}, "min_donors: 1 cannot be used"),
        ({"lineage": "B"}, "no early and late set for lineage 'B'"),
    ],
)
def test_settings_that_cannot_be_used_are_an_error(settings, message):
    with pytest.raises(InputError, match=message):
        call(simulate(Cohort(cells=30)), **settings)


def test_an_unknown_arm_is_an_error():
    adata = simulate(Cohort(cells=30))
    adata.obs["arm"] = "control"
    with pytest.raises(InputError, match="arm: 'control' is unknown"):
        call(adata)


def test_planted_progenitors_are_found_with_the_sets_of_their_own_lineage():
    # the same cohort, whose early and late genes go by the names that HSPC are adjusted for
    adata = simulate(Cohort(seed=1, **PLANTED))
    adata.obs["lineage"] = "HSPC"
    named = {"preNeu": "HSC_MPP", "matNeu": "GMP"}
    sets = covariate_table().replace({"set": named})
    answer = call(adata, lineage="HSPC", signatures=sets)
    discovery, sensitivity = truth(adata, answer)
    assert answer.gate["code"] == "called"
    assert discovery <= 0.15
    assert sensitivity >= 0.35


def test_other_lineages_are_possible_with_their_own_maturation_sets():
    adata = simulate(Cohort(cells=50))
    adata.obs["lineage"] = "HSPC"
    sets = {"preNeu": -1, "matNeu": 1}
    assert call(adata, lineage="HSPC", maturation=sets).gate["status"] == "tested"
