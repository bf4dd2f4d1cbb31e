"""The committed benchmark of the myeloid stage keeps to its bounds, and can be made again."""

from pathlib import Path

import pandas as pd
import pytest

from benchmark_myeloid import summarise, trial
from emhniche.io import read_table
from myeloid_benchmark_figure import LABELS, METHODS, draw
from myeloid_cohort import Cohort

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "myeloid_benchmark.tsv"
MODES = ("fdr", "power")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return read_table(TABLE).set_index(["scenario", "method"])


@pytest.mark.parametrize("mode", MODES)
def test_cohorts_without_a_difference_are_hardly_ever_called(rows: pd.DataFrame, mode: str):
    for name in ("null", "null, donor sd 0.5", "planted, arms shuffled over donors"):
        row = rows.loc[(name, mode)]
        assert row["cohorts"] == 200
        assert row["any_call"] <= 0.05
        assert row["gate"] <= 0.07
    for name in (f"case {shift} {way} mature" for shift in (0.15, 0.3) for way in ("less", "more")):
        assert rows.loc[(name, mode), "any_call"] <= 0.05
    wide = "null, donor sd 0.5"
    assert rows.loc[(wide, f"{mode}_ungated"), "any_call"] > 2 * rows.loc[(wide, mode), "any_call"]


@pytest.mark.parametrize("mode", MODES)
def test_inflammation_fires_without_its_control_only(rows: pd.DataFrame, mode: str):
    for what in ("4 genes inflamed", "all genes inflamed 1.5-fold"):
        assert rows.loc[(f"{what}, no control", mode), "any_call"] > 0.2
        assert rows.loc[(f"{what}, 4 control donors", mode), "any_call"] <= 0.10


def test_planted_cells_are_found_with_few_others(rows: pd.DataFrame):
    default, power, raw = (rows.loc[("planted", name)] for name in METHODS)
    assert default["cohorts"] == 100
    assert default["fdp"] <= 0.10 + 2 * default["fdp_se"]
    assert default["sensitivity"] >= 0.35
    assert default["fdp"] < raw["fdp"]
    assert power["sensitivity"] >= default["sensitivity"]


def test_every_cohort_counts_power_at_least_as_high(rows: pd.DataFrame):
    sensitivity = rows["sensitivity"].unstack("method").dropna()
    assert (sensitivity["power"] >= sensitivity["fdr"]).all()


def test_the_figure_is_drawn_from_the_table(tmp_path: Path):
    table = read_table(TABLE)
    assert set(table["varied"].dropna()) - {""} == set(LABELS)
    draw(table, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_a_scenario_is_a_row_a_method_with_standard_errors():
    cohorts = [Cohort(seed=s, reference=4, case=4, cells=40, fraction=0.4) for s in range(2)]
    found = summarise({"scenario": "small"}, [trial(cohort) for cohort in cohorts])
    table = pd.DataFrame(found).set_index("method")
    assert list(table.index) == ["fdr", "power", "fdr_ungated", "power_ungated", "raw_95"]
    assert (table["cohorts"] == 2).all()
    assert table.loc["power", "sensitivity"] >= table.loc["fdr", "sensitivity"]
    assert {f"{name}_se" for name in ("gate", "any_call", "fdp", "sensitivity")} <= set(table)
