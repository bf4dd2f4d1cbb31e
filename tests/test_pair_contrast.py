"""Scores of pairs are compared donor by donor, and only where both sides can be judged."""

import numpy as np
import pandas as pd
import pytest

from emhniche.design import audit_contrast
from emhniche.pair_contrast import COLUMNS, compare_pairs
from emhniche.pseudobulk import sum_cells
from niche_cohort import cohort, two_arms

NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
LIMITS = {"min_cells": 20, "min_counts": 10, "min_units": 3}
PAIRS = pd.DataFrame(
    {
        "axis": "X",
        "ligand": [f"g{2 * i}" for i in range(6)],
        "receptor": [f"g{2 * i + 1}" for i in range(6)],
        "coreceptor": [()] * 6,
        "sign": ["agonist"] * 5 + ["antagonist"],
    }
)
GENES = [f"g{i}" for i in range(13)]


def compare(cells, annotation, pairs: pd.DataFrame = PAIRS, flagged=()) -> pd.DataFrame:
    bulk = sum_cells(cells, annotation, GENES)
    ambient = pd.DataFrame(False, bulk.groups.index, bulk.detected.columns)
    for lineage, gene in flagged:
        ambient.loc[bulk.groups["lineage"] == lineage, gene] = True
    audit = audit_contrast(bulk.samples, NICHE, min_units=3)
    table = compare_pairs(bulk, pairs, [audit], ambient, **LIMITS)
    assert table.columns.tolist() == [*COLUMNS]
    return table


def test_a_raised_ligand_raises_its_pair_and_no_other():
    data = cohort(two_arms(5), seed=0, n_genes=60, effects={"g0": 3.0}, dispersion=0.1)
    table = compare(*data)
    assert (table["status"] == "tested").all()
    raised = table["ligand"] == "g0"
    assert (table.loc[raised, "q"] < 0.05).all()
    assert (table.loc[raised, "effect"] > 0).all()
    assert (table.loc[~raised, "q"] > 0.05).all()
    np.testing.assert_allclose(
        table["effect"], table["level_test"] - table["level_reference"], atol=0.15
    )
    assert (table["ci_low"] < table["effect"]).all()
    assert set(zip(table["sender"], table["receiver"], strict=True)) == {
        (a, b) for a in ("neutrophil", "stroma") for b in ("neutrophil", "stroma")
    }


@pytest.mark.parametrize(("n", "paired"), [(3, False), (4, True)], ids=["3", "4 pairs"])
def test_p_keeps_its_level(n, paired):
    p = [
        compare(*cohort(two_arms(n, paired=paired), seed=seed, n_genes=40, n_cells=25))["p"]
        for seed in range(14)
    ]
    assert 0.03 < (pd.concat(p).dropna() < 0.05).mean() < 0.07


def test_an_antagonist_keeps_its_own_row_and_sign():
    table = compare(*cohort(two_arms(3), seed=0, n_genes=40))
    assert set(table.loc[table["ligand"] == "g10", "sign"]) == {"antagonist"}
    assert table.groupby(["ligand", "sender", "receiver"]).size().eq(1).all()


def test_a_donor_without_the_ligand_counts_as_one():
    cells, annotation = cohort(two_arms(4), seed=0, n_genes=40)
    matrix = cells.X.toarray()
    matrix[(cells.obs["sample"] == "s0").to_numpy(), 0] = 0
    cells.X = matrix
    table = compare(cells, annotation)
    assert (table.loc[table["ligand"] == "g0", "units_test"] == 4).all()


def test_pairs_that_soup_explains_are_not_testable():
    table = compare(*cohort(two_arms(3), seed=0, n_genes=40), flagged=[("stroma", "g0")])
    rows = table[(table["ligand"] == "g0") & (table["sender"] == "stroma")]
    assert len(rows)
    assert (rows["status"] == "not_testable").all()
    assert rows["ambient"].all()
    assert rows[["effect", "p", "q"]].isna().all().all()
    others = table[(table["ligand"] == "g0") & (table["sender"] == "neutrophil")]
    assert (others["status"] == "tested").all()


def test_a_complex_needs_all_of_its_parts():
    cells, annotation = cohort(two_arms(3), seed=0, n_genes=40)
    matrix = cells.X.toarray()
    matrix[(annotation["lineage"] == "stroma").to_numpy(), 12] = 0
    cells.X = matrix
    pairs = PAIRS.head(1).assign(coreceptor=[("g12",)])
    table = compare(cells, annotation, pairs)
    assert set(table["receiver"]) == {"neutrophil"}


def test_a_pair_that_nobody_holds_says_why():
    cells, annotation = cohort(two_arms(3), seed=0, n_genes=40)
    matrix = cells.X.toarray()
    matrix[:, 0] = 0
    cells.X = matrix
    table = compare(cells, annotation)
    row = table[table["ligand"] == "g0"].iloc[0]
    assert row["status"] == "not_testable"
    assert row["reason"].startswith("no lineage holds 10 counts of g0")
    unknown = PAIRS.head(1).assign(ligand="nowhere")
    row = compare(cells, annotation, unknown).iloc[0]
    assert row["reason"] == "no dataset measures nowhere"


def by_place(*of_marrow: str, of_spleen: str = "d1") -> list[dict]:
    """Return two arms whose marrow libraries are of these datasets in turn."""
    datasets = [*[of_spleen] * 4, *(of_marrow * 4)[:4]]
    return [{**row, "dataset": name} for row, name in zip(two_arms(4), datasets, strict=True)]


def test_genes_that_an_arm_does_not_measure_are_named():
    data = cohort(by_place("d2"), seed=0, n_genes=40, unmeasured={"d2": ["g0", "g3"]})
    table = compare(*data).set_index("ligand")
    assert table.loc["g0", "reason"] == "no marrow dataset measures g0"
    assert table.loc["g2", "reason"] == "no marrow dataset measures g3"
    both = PAIRS.head(1).assign(receptor="g3")
    assert compare(*data, both).loc[0, "reason"] == "no marrow dataset measures g0, g3"
    assert table.loc[["g0", "g2"], "status"].eq("not_testable").all()
    assert table.loc["g4", "effect"].notna().all()
    # each gene is measured by some marrow, the pair by none
    unmeasured = {"d2": ["g0"], "d3": ["g3"]}
    apart = cohort(by_place("d2", "d3"), seed=0, n_genes=40, unmeasured=unmeasured)
    row = compare(*apart, both).iloc[0]
    assert row["reason"] == "no marrow dataset measures all genes of the pair"


def test_cells_of_donors_that_do_not_measure_a_pair_are_no_reason():
    # both datasets stand in both arms, so that the audit keeps them
    rows = [{**row, "dataset": f"d{1 + i % 2}"} for i, row in enumerate(two_arms(4))]
    cells, annotation = cohort(rows, seed=0, n_genes=40, unmeasured={"d2": ["g0"]})
    measuring = [row["sample"] for row in rows if row["niche"] == "marrow"][::2]
    here = cells.obs["sample"].isin(measuring).to_numpy()
    keep = ~(here & (annotation["lineage"] == "stroma").to_numpy())
    table = compare(cells[keep].copy(), annotation[keep])
    rows = table[(table["ligand"] == "g0") & (table["receiver"] == "stroma")]
    assert len(rows)
    assert set(rows["status"]) == {"not_testable"}
    why = "no marrow donor or library measures the pair and has 20 cells of both lineages"
    assert set(rows["reason"]) == {why}


def test_donors_that_do_not_measure_a_gene_make_no_counts_expected():
    """One marrow donor of four measures g0: a fifth of 16 counts is expected there, not half."""
    rows = two_arms(4)
    rows = [
        {**row, "dataset": "d1" if i in (0, 1, 2, 3, 4) else "d2"} for i, row in enumerate(rows)
    ]
    extra = {**rows[0], "sample": "s4", "donor": "s4", "dataset": "d2"}
    cells, annotation = cohort([*rows, extra], seed=0, n_genes=40, unmeasured={"d2": ["g0"]})
    matrix = cells.X.toarray()
    matrix[:, 0] = 0
    samples = cells.obs["sample"].to_numpy()
    stroma = (annotation["lineage"] == "stroma").to_numpy()
    for sample in ("s0", "s1", "s2", "s3"):
        matrix[np.flatnonzero((samples == sample) & stroma)[:4], 0] = 1
    cells.X = matrix
    row = compare(cells, annotation, PAIRS.head(1)).iloc[0]
    assert row["reason"].startswith("no lineage holds 10 counts of g0, half of them expected")


def test_a_confounded_contrast_has_no_p_and_two_donors_no_test():
    rows = [{**row, "study": row["niche"]} for row in two_arms(3)]
    table = compare(*cohort(rows, seed=0, n_genes=40))
    assert (table["status"] == "not_identifiable").all()
    assert table[["p", "q", "ci_low", "ci_high"]].isna().all().all()
    assert table["effect"].notna().all()
    table = compare(*cohort(two_arms(2), seed=0, n_genes=40))
    assert (table["status"] == "effect_only").all()
    assert table["p"].isna().all()
    assert table["ci_low"].notna().all()
