"""Frequencies are compared donor by donor, and only where no gate set them."""

import numpy as np
import pandas as pd
import pytest

from emhniche.composition import COLUMNS, compare_composition
from emhniche.design import audit_composition, audit_contrast
from emhniche.pseudobulk import Pseudobulk, sum_cells
from niche_cohort import cohort, two_arms

NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
KINDS = ("B", "T", "HSPC", "stroma", "erythroid")


def bulk_of(libraries, fractions, *, n_cells: int = 600, seed: int = 0) -> Pseudobulk:
    """Return a cohort whose libraries hold the kinds of cells at the given fractions."""
    cells, annotation = cohort(libraries, seed=0, n_genes=2, n_cells=n_cells, lineages=("B",))
    rng = np.random.default_rng(seed)
    labels = []
    for library in libraries:
        noisy = np.array(fractions[library["niche"]]) * rng.lognormal(0, 0.25, len(KINDS))
        labels.append(rng.choice(KINDS, n_cells, p=noisy / noisy.sum()))
    annotation["lineage"] = annotation["cell_type"] = np.concatenate(labels)
    return sum_cells(cells, annotation, ["g0"])


def compare(bulk: Pseudobulk, **limits: int) -> pd.DataFrame:
    limits = {"min_cells": 20, "min_units": 3, **limits}
    audit = audit_contrast(bulk.samples, NICHE, min_units=limits["min_units"])
    frequency = audit_composition(bulk.samples, audit, min_units=limits["min_units"])
    table = compare_composition(bulk, [audit], [frequency], **limits)
    assert table.columns.tolist() == [*COLUMNS]
    return table[table["level"] == "lineage"].set_index("cell_type")


SAME = {"extramedullary": [0.4, 0.3, 0.1, 0.05, 0.15], "marrow": [0.4, 0.3, 0.1, 0.05, 0.15]}
MORE_HSPC = {"extramedullary": [0.35, 0.25, 0.3, 0.03, 0.07], "marrow": SAME["marrow"]}


def test_planted_expansion_is_found():
    table = compare(bulk_of(two_arms(4), MORE_HSPC))
    row = table.loc["HSPC"]
    assert row["status"] == "tested"
    assert row["q"] < 0.05
    odds = (0.3 / 0.7) / (0.1 / 0.9)
    assert row["effect"] == pytest.approx(np.log2(odds), abs=0.6)
    assert 0 < row["ci_low"] < row["effect"] < row["ci_high"]
    assert row["fraction_test"] == pytest.approx(0.3, abs=0.06)
    assert table.loc["B", "q"] > 0.05


def test_without_a_difference_p_keeps_its_level():
    p = [compare(bulk_of(two_arms(3), SAME, seed=seed, n_cells=300))["p"] for seed in range(12)]
    assert np.mean(np.concatenate(p) < 0.05) <= 0.12


@pytest.mark.parametrize("arm", ["extramedullary", "marrow"])
def test_a_sorted_arm_has_no_frequencies(arm):
    rows = [
        {**row, "enrichment": "CD45-" if row["niche"] == arm else "none"} for row in two_arms(3)
    ]
    table = compare(bulk_of(rows, SAME))
    column = {"extramedullary": "fraction_test", "marrow": "fraction_reference"}[arm]
    assert (table["status"] == "not_identifiable").all()
    assert table[[column, "effect", "ci_low", "p", "q"]].isna().all().all()
    assert len(table) == len(KINDS)


def test_a_confounded_contrast_shows_fractions_without_p_or_interval():
    rows = [{**row, "study": row["niche"]} for row in two_arms(3)]
    table = compare(bulk_of(rows, SAME))
    assert (table["status"] == "not_identifiable").all()
    assert table[["p", "q", "ci_low", "ci_high"]].isna().all().all()
    assert table["effect"].notna().all()


def test_two_donors_an_arm_have_an_interval_only():
    table = compare(bulk_of(two_arms(2), SAME))
    assert (table["status"] == "effect_only").all()
    assert table["p"].isna().all()
    assert (table["ci_low"] < table["ci_high"]).all()


def test_rare_cells_are_not_testable():
    table = compare(bulk_of(two_arms(3), SAME, n_cells=100), min_cells=40)
    row = table.loc["stroma"]
    assert row["status"] == "not_testable"
    assert "such cells in both arms, 40 are needed" in row["reason"]
    assert np.isnan(row["effect"])
    assert table.loc["B", "status"] == "tested"


def test_unresolved_cells_count_in_the_whole_only():
    cells, annotation = cohort(two_arms(3), seed=0, n_genes=2)
    annotation = annotation.replace("neutrophil", "unresolved")
    table = compare(sum_cells(cells, annotation, ["g0"]))
    assert table.index.tolist() == ["stroma"]
    assert (table["fraction_test"] == 0.5).all()


def test_a_kind_that_is_all_of_the_tissue_has_no_frequency():
    # its odds would be the number of cells that were captured
    cells, annotation = cohort(two_arms(4), seed=0, n_genes=2)
    few = (cells.obs["niche"] == "marrow").to_numpy() & (np.arange(len(cells)) % 5 > 0)
    cells, annotation = cells[~few].copy(), annotation[~few]
    annotation = annotation.assign(lineage="HSPC", cell_type="HSPC")
    row = compare(sum_cells(cells, annotation, ["g0"]), min_cells=5).loc["HSPC"]
    assert row["status"] == "not_testable"
    assert row["reason"] == "0 other cells in both arms, 5 are needed"
    assert row[["effect", "p", "q"]].isna().all()
