"""The calibration of the niche stage can be made again, and its figures keep their bounds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import calibration_cohort
from benchmark_calibration import FOLDS, MICE, Trial, summarise, trials
from calibration_cohort import CHANGED, GROWN, SHARES, Pool, drawn_cohort, simulated_cohort
from calibration_figure import draw
from calibration_readings import READINGS, available, p_values
from emhniche.io import read_table, write_table

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "niche_calibration.tsv"


@pytest.fixture
def pool(monkeypatch):
    """Made-up cells in place of those of a finished run."""
    rng = np.random.default_rng(0)
    genes = pd.Index([f"g{i}" for i in range(400)])
    mean = np.exp(rng.normal(-0.5, 1.0, len(genes)))
    lineage = np.repeat(list(SHARES), 60)
    counts = sparse.csr_matrix(rng.poisson(mean * 2, (len(lineage), len(genes))).astype(float))
    monkeypatch.setattr(calibration_cohort, "read_pool", lambda run: Pool(counts, genes, lineage))


def rates(cohort, genes, **sheet):
    """Return the share of counts of some genes in the libraries of one kind."""
    obs = cohort.cells.obs
    rows = np.logical_and.reduce([obs[key] == value for key, value in sheet.items()])
    counts = cohort.cells[rows].to_df().sum()
    return counts[list(genes)].sum() / counts.sum()


def test_a_planted_change_is_where_it_should_be(pool):
    cohort = drawn_cohort(Path(), 6, 0, fold=2.0)
    ligands = cohort.panel[cohort.panel["role"] == "ligand"]
    for contrast, tumour in (("unpaired", True), ("paired", False)):
        genes = ligands["gene"][ligands["axis"].isin(CHANGED[contrast])]
        spleen = rates(cohort, genes, tissue="spleen", condition="tumour")
        naive = rates(cohort, genes, tissue="spleen", condition="naive")
        marrow = rates(cohort, genes, tissue="bone marrow", condition="naive")
        assert spleen / naive == pytest.approx(4 if tumour else 1, rel=0.4)
        assert naive / marrow == pytest.approx(1 if tumour else 4, rel=0.4)
    lineage = cohort.annotation["lineage"].to_numpy()
    ill = (
        (cohort.cells.obs["tissue"] == "spleen") & (cohort.cells.obs["arm"] == "case")
    ).to_numpy()
    grown = lineage == GROWN["unpaired"]
    assert grown[ill].mean() > 2 * grown[~ill].mean()


def test_a_null_cohort_has_no_plant_and_repeats(pool):
    first, again = (drawn_cohort(Path(), 3, 1) for _ in range(2))
    assert (first.cells.X != again.cells.X).nnz == 0
    assert first.planted == {}
    assert first.cells.obs["sample"].nunique() == 12
    assert first.annotation["lineage"].value_counts().min() > 100


def test_every_test_gives_p_values_and_says_what_was_planted(pool):
    cohort = drawn_cohort(Path(), 4, 0, fold=2.0)
    readings = ["expression", "composition, odds"]
    table = p_values(cohort, 0, contrasts=("unpaired", "paired"), readings=readings)
    assert set(table["reading"]) == set(readings)
    assert table["p"].between(0, 1).all()
    assert table["p_cells"].between(0, 1).all()
    genes = table[table["reading"] == "expression"].groupby("contrast")["planted"].sum()
    assert genes.between(8, 12).all(), "three axes of four ligands, no receptor"
    kinds = table[table["reading"] == "composition, odds"]
    assert kinds.groupby("contrast")["planted"].sum().tolist() == [1, 1]
    planted, rest = table[table["planted"]]["p"], table[~table["planted"]]["p"]
    assert (planted < 0.05).mean() > 0.4
    assert (rest < 0.05).mean() < 0.2


def test_the_demo_cohort_can_be_drawn_without_a_difference():
    cohort = simulated_cohort(3, 0)
    found = p_values(cohort, 0, contrasts=("unpaired",), readings=["composition, odds"])
    assert {"HSPC", "erythroid", "neutrophil"} <= set(cohort.annotation["lineage"])
    assert len(found) > 5
    assert not found["planted"].any()
    assert (found["p"] < 0.05).mean() < 0.3


def test_figures_are_shares_with_cohorts_as_units(tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(200):
        rows = pd.DataFrame({"p": rng.uniform(size=50), "p_cells": rng.uniform(size=50) ** 3})
        rows = rows.assign(reading="expression", contrast="unpaired", planted=False, asked="")
        write_table(rows, tmp_path / Trial("drawn", 3, seed).name)
    row = summarise(tmp_path).iloc[0]
    assert (row["cohorts"], row["p_values"]) == (200, 10_000)
    assert row["below_05"] == pytest.approx(0.05, abs=3 * row["se"])
    assert row["se"] == pytest.approx(np.sqrt(0.05 * 0.95 / 10_000), rel=0.2)
    assert row["ks"] < 0.02
    assert row["ks_p"] > 0.01
    assert row["cells_below_05"] == pytest.approx(0.05 ** (1 / 3), abs=0.02)


def test_cohorts_are_asked_for_seed_by_seed():
    wanted = list(trials(2, 1))
    assert len(wanted) == 2 * 2 * len(MICE) + len(MICE) * len(FOLDS)
    assert len({trial.name for trial in wanted}) == len(wanted)
    assert wanted[0].seed < wanted[-1].seed


# --- the committed table


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return read_table(TABLE)


def test_the_table_covers_every_test_that_is_there(rows):
    null = rows[rows["fold"] == 0]
    assert set(available(READINGS)) <= set(null["reading"])
    for (reading, source), part in null.groupby(["reading", "source"]):
        if reading != "EMH axes":  # three or four mice are too few for a permutation p
            assert set(part["mice"]) == set(MICE), (reading, source)


def test_every_test_errs_as_often_as_it_says(rows):
    null = rows[rows["fold"] == 0]
    assert null["cohorts"].median() == 200
    emh = null["reading"].isin(["EMH index", "EMH axes"])
    assert null.loc[~emh, "below_05"].between(0.03, 0.07).all()
    # one t-test a cohort is known to 1.4 % only; p of few orders takes few values
    assert (null.loc[emh, "below_05"] <= 0.07 + 2 * null.loc[emh, "se"]).all()


def test_p_values_are_uniform_where_nothing_differs(rows):
    null = rows[rows["fold"] == 0]
    # the median kind has p = 1, and permutations of few mice have few values
    known = ["composition, compositional", "EMH axes"]
    p = null.loc[~null["reading"].isin(known), "ks_p"]
    assert len(p) > 80
    assert p.min() > 0.05 / len(p)
    assert null.loc[null["reading"].isin(known), "ks"].max() < 0.25


def test_cells_as_witnesses_err_far_more_often(rows):
    beside = rows[(rows["fold"] == 0) & rows["cells_below_05"].notna()]
    assert {"expression", "composition, odds"} <= set(beside["reading"])
    worse = beside.groupby("reading")[["below_05", "cells_below_05"]].mean()
    assert (worse["cells_below_05"] > 2 * worse["below_05"]).all()


def test_larger_changes_are_found_more_often(rows):
    power = rows[rows["fold"] > 0].groupby(["reading", "fold"])["below_05"].mean().unstack()
    assert (power[2.0] > power[0.5]).all()


def test_the_figure_is_drawn_from_the_table(rows, tmp_path):
    draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
