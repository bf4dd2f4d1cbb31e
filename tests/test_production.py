"""Detection, level and share of production are read where they can be."""

import numpy as np
import pandas as pd
import pytest

from emhniche.ambient import flag_groups
from emhniche.production import COLUMNS, describe_production
from emhniche.pseudobulk import sum_cells
from niche_cohort import cohort, library, panel_of, two_arms


def describe(cells, annotation, panel: pd.DataFrame, **limits: int) -> pd.DataFrame:
    bulk = sum_cells(cells, annotation, panel["gene"])
    limits = {"min_cells": 20, "min_counts": 10, **limits}
    table = describe_production(bulk, panel, flag_groups(bulk, panel["gene"]), **limits)
    assert table.columns.tolist() == [*COLUMNS]
    return table


def test_share_is_level_times_abundance():
    cells, annotation = cohort([library("s0", "a", "extramedullary")], seed=0, n_genes=20)
    half = (annotation["lineage"] == "stroma").to_numpy() & (np.arange(cells.n_obs) % 2 == 0)
    cells, annotation = cells[~half].copy(), annotation[~half]
    matrix = cells.X.toarray()
    stroma = (annotation["lineage"] == "stroma").to_numpy()
    matrix[:, 0] = np.where(stroma, 6, 1)
    cells.X = cells.X.__class__(matrix)
    table = describe(cells, annotation, panel_of(["g0"]), min_cells=10).set_index("cell_type")
    assert table["n_cells"].to_dict() == {"neutrophil": 30, "stroma": 15}
    assert table["share_of_tissue"].to_dict() == pytest.approx({"neutrophil": 0.25, "stroma": 0.75})
    assert (table["share_counts"] == 120).all()
    assert (table["detection"] == 1.0).all()
    total = matrix[stroma].sum()
    assert table.loc["stroma", "logcpm"] == pytest.approx(np.log2(1 + 90 / total * 1e6))
    assert (table["status"] == "described").all()


def test_shares_of_a_place_sum_to_one():
    table = describe(*cohort(two_arms(2), seed=1, n_genes=30), panel_of(["g0", "g1", "g2"]))
    sums = table.groupby(["gene", "niche"])["share_of_tissue"].sum()
    np.testing.assert_allclose(sums, 1.0)


def test_a_sorted_library_has_no_say_on_shares():
    rows = two_arms(1, enrichment="CD45-")
    table = describe(*cohort(rows, seed=1, n_genes=30), panel_of(["g0"]))
    assert (table["status"] == "not_identifiable").all()
    assert table["share_of_tissue"].isna().all()
    assert table["detection"].notna().all()
    assert table["reason"].str.startswith("share: every library was sorted").all()


def test_shares_rest_on_the_unsorted_libraries_of_a_place():
    rows = [
        library("s0", "a", "extramedullary"),
        library("s1", "a", "extramedullary", enrichment="CD45-"),
    ]
    cells, annotation = cohort(rows, seed=1, n_genes=30)
    table = describe(cells, annotation, panel_of(["g0"]))
    chosen = (cells.obs["sample"] == "s0").to_numpy()
    assert (table["share_counts"] == cells.X[chosen][:, 0].sum()).all()
    assert table["counts"].sum() == cells.X[:, 0].sum()


def test_conditions_stand_apart():
    rows = [
        library("s0", "a", "extramedullary", condition="control"),
        library("s1", "b", "extramedullary", condition="LPS"),
    ]
    table = describe(*cohort(rows, seed=1, n_genes=30), panel_of(["g0"]))
    assert table.groupby("condition")["share_of_tissue"].sum().to_dict() == pytest.approx(
        {"LPS": 1.0, "control": 1.0}
    )


def test_unseen_unmeasured_and_rare_are_not_zero():
    rows = [{**row, "dataset": row["niche"]} for row in two_arms(1)]
    cells, annotation = cohort(rows, seed=1, n_genes=30, unmeasured={"marrow": ["g0"]})
    matrix = cells.X.tolil()
    matrix[:, 1] = 0
    cells.X = matrix.tocsr()
    table = describe(cells, annotation, panel_of(["g0", "g1"])).set_index(["gene", "niche"])
    row = table.loc[("g0", "marrow")].iloc[0]
    assert row["status"] == "not_testable"
    assert row["reason"] == "the dataset does not measure it"
    assert pd.isna(row["counts"])
    assert np.isnan(row["detection"])
    row = table.loc[("g1", "marrow")].iloc[0]
    assert row["reason"] == "0 counts in all cells, 10 are needed"
    assert row["counts"] == 0
    assert np.isnan(row["logcpm"])
    rare = describe(cells, annotation, panel_of(["g2"]), min_cells=31)
    assert rare["reason"].eq("30 such cells, 31 are needed").all()
    assert rare["detection"].isna().all()


def test_unresolved_cells_are_part_of_the_tissue():
    cells, annotation = cohort(two_arms(1), seed=1, n_genes=30)
    annotation = annotation.replace("neutrophil", "unresolved")
    table = describe(cells, annotation, panel_of(["g0"]))
    assert set(table["cell_type"]) == {"stroma", "unresolved"}
    np.testing.assert_allclose(table.groupby("niche")["share_of_tissue"].sum(), 1.0)
