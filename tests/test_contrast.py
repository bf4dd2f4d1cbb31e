"""Planted differences are found in the right direction, and nothing else is."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from emhniche.ambient import flag_groups
from emhniche.contrast import COLUMNS, compare_expression
from emhniche.design import audit_contrast
from emhniche.pseudobulk import sum_cells
from niche_cohort import cohort, library, panel_of, two_arms

NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}


def compare(cells, annotation, panel: pd.DataFrame, **limits: int) -> pd.DataFrame:
    bulk = sum_cells(cells, annotation, panel["gene"])
    limits = {"min_cells": 20, "min_counts": 10, "min_units": 3, **limits}
    audit = audit_contrast(bulk.samples, NICHE, min_units=limits["min_units"])
    table = compare_expression(bulk, panel, [audit], flag_groups(bulk, panel["gene"]), **limits)
    assert table.columns.tolist() == [*COLUMNS]
    return table


@pytest.fixture(scope="module")
def planted() -> pd.DataFrame:
    """Four donors an arm, five genes up and five down by a factor of four, in a panel of 30."""
    effects = {f"g{i}": 2.0 if i < 5 else -2.0 for i in range(10)}
    cells, annotation = cohort(two_arms(4), seed=1, n_genes=80, effects=effects, dispersion=0.1)
    panel = panel_of([f"g{i}" for i in range(30)])
    table = compare(cells, annotation, panel)
    return table[table["level"] == "lineage"].set_index(["gene", "cell_type"])


def test_planted_differences_are_found(planted):
    true = planted.loc[[f"g{i}" for i in range(10)]]
    true = true[true["counts_test"] + true["counts_reference"] >= 100]
    sign = np.where(true.index.get_level_values("gene").isin([f"g{i}" for i in range(5)]), 1, -1)
    assert (true["status"] == "tested").all()
    assert (true["q"] < 0.05).mean() >= 0.9
    assert (np.sign(true["effect"]) == sign).all()
    inside = (true["ci_low"] <= 2 * sign) & (true["ci_high"] >= 2 * sign)
    assert inside.mean() >= 0.8


def test_other_genes_are_not_found(planted):
    rest = planted.loc[[f"g{i}" for i in range(10, 30)]]
    assert (rest["q"] < 0.05).sum() <= 1
    assert rest["effect"].abs().median() < 0.6
    covered = (rest["ci_low"] <= 0) & (rest["ci_high"] >= 0)
    assert covered.mean() >= 0.9


def test_q_is_taken_over_the_rows_of_contrast_and_tier():
    panel = pd.concat([panel_of([f"g{i}" for i in range(8)]), panel_of(["g8", "g9"], "extended")])
    table = compare(*cohort(two_arms(3), seed=2, n_genes=60), panel)
    for tier, rows in table.groupby("tier"):
        tested = rows.dropna(subset="p")
        expected = stats.false_discovery_control(tested["p"])
        np.testing.assert_allclose(tested["q"], expected, err_msg=tier)
    assert table["tier"].tolist() == sorted(table["tier"])


def cell_level_p(cells, annotation) -> np.ndarray:
    """Return Wilcoxon p-values that take cells for witnesses, for the cells of one lineage."""
    chosen = (annotation["lineage"] == "stroma").to_numpy()
    values = cells.X[chosen].toarray()
    values = np.log1p(values / values.sum(axis=1, keepdims=True) * 1e4)
    side = (cells.obs["niche"] == "extramedullary").to_numpy()[chosen]
    return stats.mannwhitneyu(values[side], values[~side], axis=0).pvalue


def test_without_a_difference_donors_are_quiet_and_cells_are_not():
    p, by_cell, found = [], [], 0
    for seed in (11, 12, 13):
        cells, annotation = cohort(
            two_arms(3), seed=seed, n_genes=150, dispersion=0.3, lineages=("stroma",)
        )
        table = compare(cells, annotation, panel_of(cells.var_names))
        table = table[table["level"] == "lineage"]
        p.append(table["p"].dropna())
        found += int((table["q"] < 0.05).sum())
        by_cell.append(cell_level_p(cells, annotation))
    p = np.concatenate(p)
    assert len(p) > 300
    assert 0.005 <= (p < 0.05).mean() <= 0.09
    assert stats.kstest(p, "uniform").statistic < 0.12
    assert found <= 1
    assert (np.concatenate(by_cell) < 0.05).mean() > 0.3


def test_pairs_are_used():
    effects = {f"g{i}": 1.0 for i in range(10)}
    settings = {"seed": 5, "effects": effects, "dispersion": 0.02, "donor_sd": 1.0}
    panel = panel_of([f"g{i}" for i in range(20)])
    cells, annotation = cohort(two_arms(4, paired=True), **settings, lineages=("stroma",))
    paired = compare(cells, annotation, panel).set_index("gene")
    # the same counts, with the donors' names torn apart
    cells.obs["donor"] = cells.obs["sample"]
    apart = compare(cells, annotation, panel).set_index("gene")
    true = list(effects)
    assert (paired.loc[true, "q"] < 0.05).mean() >= 0.6
    assert (apart.loc[true, "q"] < 0.05).mean() <= 0.2
    assert (paired.loc[true, "effect"] > 0).all()


@pytest.mark.parametrize("where", ["study", "chemistry", "enrichment"])
def test_what_cannot_be_told_apart_has_effects_but_neither_p_nor_interval(where):
    rows = two_arms(4)
    rows = [{**row, where: row["niche"]} for row in rows]
    cells, annotation = cohort(rows, seed=3, n_genes=60, effects={"g0": 2.0})
    table = compare(cells, annotation, panel_of([f"g{i}" for i in range(10)]))
    assert table[["p", "q", "ci_low", "ci_high"]].isna().all().all()
    shown = table[table["status"] == "not_identifiable"]
    assert len(shown) > 10
    assert shown["effect"].notna().all()
    assert (shown["reason"] == f"niche cannot be told from {where}").all()


def test_one_donor_an_arm_has_an_effect_only():
    cells, annotation = cohort(two_arms(1), seed=4, n_genes=60, effects={"g0": 3.0})
    table = compare(cells, annotation, panel_of(["g0", "g1"]))
    assert (table["status"] == "effect_only").all()
    assert table[["p", "q", "ci_low", "ci_high"]].isna().all().all()
    assert (table.loc[table["gene"] == "g0", "effect"] > 1.5).all()


def test_two_donors_an_arm_have_an_interval_but_no_p():
    cells, annotation = cohort(two_arms(2), seed=4, n_genes=60)
    table = compare(cells, annotation, panel_of(["g0", "g1"]))
    assert (table["status"] == "effect_only").all()
    assert table["p"].isna().all()
    assert (table["ci_low"] < table["effect"]).all()
    assert (table["effect"] < table["ci_high"]).all()


def test_libraries_of_unknown_donors_never_replicate():
    rows = [
        {**row, "donor": f"unknown:{row['sample']}", "donor_known": False} for row in two_arms(5)
    ]
    table = compare(*cohort(rows, seed=4, n_genes=60), panel_of(["g0", "g1"]))
    assert (table["units_test"] == 5).all()
    assert (table["status"] == "effect_only").all()
    assert table[["p", "ci_low"]].isna().all().all()


def test_too_few_donors_with_enough_cells():
    cells, annotation = cohort(two_arms(3), seed=6, n_genes=60)
    lost = cells.obs["sample"].eq("m0") & (annotation["lineage"] == "stroma").to_numpy()
    cells, annotation = cells[~lost].copy(), annotation[~lost.to_numpy()]
    table = compare(cells, annotation, panel_of(["g0", "g1"])).set_index("cell_type")
    assert (table.loc["stroma", "status"] == "effect_only").all()
    assert (
        table.loc["stroma", "reason"] == "3 against 2 known donors, 3 in each arm are needed"
    ).all()
    assert (table.loc["neutrophil", "status"] == "tested").all()


def test_few_cells_or_counts_are_not_testable():
    cells, annotation = cohort(two_arms(3), seed=7, n_genes=60)
    matrix = cells.X.tolil()
    matrix[:, 0] = 0
    matrix[0, 0] = 9
    cells.X = matrix.tocsr()
    table = compare(cells, annotation, panel_of(["g0", "g1"]))
    row = table.set_index(["gene", "level", "cell_type"]).loc[("g0", "lineage", "neutrophil")]
    assert row["status"] == "not_testable"
    assert row["reason"] == "9 counts in both arms together, 10 are needed"
    assert row["counts_test"] == 9
    assert np.isnan(row["effect"])
    table = compare(cells, annotation, panel_of(["g1"]), min_cells=31)
    assert table["reason"].eq("no extramedullary donor or library has 31 such cells").all()


def test_zero_in_a_small_arm_is_not_down():
    rows = two_arms(3)
    cells, annotation = cohort(rows, seed=8, n_genes=60)
    shallow = cells.obs["niche"].eq("extramedullary").to_numpy()
    matrix = cells.X.toarray()
    matrix[shallow] = np.random.default_rng(0).binomial(matrix[shallow].astype(int), 0.005)
    matrix[shallow, 1] = 0
    matrix[~shallow, 1] = np.random.default_rng(0).poisson(0.4, (~shallow).sum())
    cells.X = cells.X.__class__(matrix)
    table = compare(cells, annotation, panel_of(["g1"]))
    assert (table["counts_test"] == 0).all()
    assert (table["counts_reference"] > 20).all()
    assert (table["status"] == "not_testable").all()
    assert table["reason"].str.contains("expected in extramedullary without a difference").all()


def test_zero_where_the_arms_differ_in_study_is_not_down():
    rows = [{**row, "study": row["niche"]} for row in two_arms(2)]
    cells, annotation = cohort(rows, seed=8, n_genes=60)
    matrix = cells.X.tolil()
    matrix[np.flatnonzero(cells.obs["niche"] == "extramedullary"), 0] = 0
    cells.X = matrix.tocsr()
    table = compare(cells, annotation, panel_of(["g0"]))
    assert (table["counts_reference"] > 20).all()
    assert (table["status"] == "not_testable").all()
    assert table["effect"].isna().all()
    assert table["reason"].str.startswith("no count in extramedullary").all()


def test_a_gene_that_a_dataset_does_not_measure_is_missing_not_zero():
    rows = [{**row, "dataset": row["niche"]} for row in two_arms(3)]
    cells, annotation = cohort(rows, seed=9, n_genes=60, unmeasured={"marrow": ["g0"]})
    table = compare(cells, annotation, panel_of(["g0", "g1", "absent"])).set_index("gene")
    assert (table.loc["g0", "reason"] == "no marrow dataset measures it").all()
    assert table.loc["g0", "counts_reference"].isna().all()
    assert table.loc["g0", "detection_reference"].isna().all()
    assert (table.loc["absent", "reason"] == "no dataset measures it").all()
    assert (table.loc[["g0", "absent"], "status"] == "not_testable").all()


def test_a_gene_measured_in_some_donors_is_not_tested():
    rows = two_arms(4)
    rows = [{**row, "dataset": "d2"} if row["sample"] in ("s0", "m0") else row for row in rows]
    cells, annotation = cohort(rows, seed=9, n_genes=60, unmeasured={"d2": ["g0"]})
    table = compare(cells, annotation, panel_of(["g0", "g1"])).set_index("gene")
    assert (table.loc["g0", "status"] == "effect_only").all()
    assert (table.loc["g0", "units_test"] == 3).all()
    assert (table.loc["g1", "status"] == "tested").all()
    assert (table.loc["g1", "units_test"] == 4).all()


def test_a_lineage_of_one_cell_type_says_the_same_twice():
    table = compare(*cohort(two_arms(3), seed=10, n_genes=60), panel_of(["g0"]))
    coarse, fine = (table[table["level"] == level] for level in ("lineage", "cell_type"))
    pd.testing.assert_frame_equal(
        coarse.drop(columns="level").reset_index(drop=True),
        fine.drop(columns="level").reset_index(drop=True),
    )


def test_cell_types_stand_beside_their_lineage():
    cells, annotation = cohort(two_arms(3), seed=10, n_genes=60)
    stroma = annotation["lineage"] == "stroma"
    annotation.loc[stroma & (annotation.index % 2 == 0), "cell_type"] = "LepR_CAR_MSC"
    annotation.loc[annotation["lineage"] == "neutrophil", ["lineage", "cell_type"]] = "unresolved"
    table = compare(cells, annotation, panel_of(["g0"]), min_cells=10)
    assert table[["level", "cell_type"]].to_numpy().tolist() == [
        ["lineage", "stroma"],
        ["cell_type", "LepR_CAR_MSC"],
        ["cell_type", "stroma"],
    ]
    assert table["cells_test"].tolist() == [90, 45, 45]


def test_too_few_genes_to_learn_how_donors_vary():
    table = compare(*cohort(two_arms(3), seed=0, n_genes=20), panel_of(["g0"]))
    assert (table["status"] == "effect_only").all()
    assert table["reason"].str.endswith("50 are needed to learn how donors vary").all()


def test_same_input_same_table():
    cells, annotation = cohort(two_arms(3), seed=2, n_genes=60)
    panel = panel_of(["g3", "g1", "g2"])
    first = compare(cells, annotation, panel)
    order = np.random.default_rng(0).permutation(len(annotation))
    second = compare(cells[order].copy(), annotation.iloc[::-1], panel.iloc[::-1])
    pd.testing.assert_frame_equal(first, second)


def test_no_contrast_no_rows():
    cells, annotation = cohort([library("s0", "a", "extramedullary")], seed=0, n_genes=20)
    table = compare(cells, annotation, panel_of(["g0"]))
    assert table.empty


def test_what_differs_in_the_soup_only_is_not_tested():
    # g0 is a neutrophil gene; stroma holds it as soup, of which spleens have three times as much
    cells, annotation = cohort(two_arms(4), seed=2)
    counts = cells.X.toarray()
    neutrophil = (annotation["lineage"] == "neutrophil").to_numpy()
    spleen = (cells.obs["niche"] == "extramedullary").to_numpy()
    rng = np.random.default_rng(0)
    counts[:, 0] = rng.poisson(np.where(neutrophil, 60.0, np.where(spleen, 1.5, 0.5)))
    cells.X = sparse.csr_matrix(counts)
    cells.obs["n_counts"], cells.obs["ambient"] = counts.sum(axis=1), 0.05
    for sample in cells.varm["ambient"]:
        soup = counts[(cells.obs["sample"] == sample).to_numpy()].sum(axis=0)
        cells.varm["ambient"][sample] = soup / soup.sum()
    table = compare(cells, annotation, panel_of(["g0", "g1"])).query("level == 'lineage'")
    row = table.set_index(["gene", "cell_type"]).loc[("g0", "stroma")]
    assert row["status"] == "not_testable"
    assert row["reason"].startswith("RNA of other lineages (ambient or in doublets)")
    assert np.isnan(row["p"])
    assert table.set_index(["gene", "cell_type"]).loc[("g0", "neutrophil"), "status"] == "tested"
