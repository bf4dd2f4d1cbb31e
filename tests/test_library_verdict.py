import numpy as np
import pandas as pd
import pytest

from emhniche.errors import InputError
from emhniche.library_verdict import COLUMNS, judge_libraries
from emhniche.verdict_limits import judge_measures, worst

LIMITS = {
    "kept_cells": {"warn": 30, "fail": 10},
    "median_genes": {"warn": 150, "fail": 100},
    "median_pct_mito": {"warn": 25, "fail": 50},
    "ambient": {"warn": 0.5, "fail": 0.8},
}
GOOD = {"kept_cells": 500, "median_genes": 900.0, "median_pct_mito": 4.0, "ambient": 0.1}
NO_PAIR = pd.DataFrame(
    columns=["sample", "other", "n_same", "n_barcodes", "n_smaller", "namesakes", "level"]
)


def summary(observed="", **changes):
    measures = GOOD | changes
    return {
        "measures": measures,
        "found": judge_measures(measures, LIMITS),
        "n_in": 600,
        "n_kept": measures["kept_cells"],
        "medians": {"n_counts": 1500.0, "pct_mito": 3.5},
        "sex_genes": {"female": None, "male": None, "observed": observed},
        "doublets": {"status": "scored", "n_called": 30},
    }


def sheet(names, **columns):
    table = pd.DataFrame({"sex": "", "donor": names, "keep_failed": "no"}, index=names)
    return table.assign(**columns)


@pytest.mark.parametrize(
    ("changes", "verdict", "part"),
    [
        ({}, "pass", ""),
        ({"kept_cells": 29}, "warn", "29 cells kept, fewer than 30"),
        ({"kept_cells": 9}, "fail", "9 cells kept, fewer than 10"),
        ({"median_genes": 99.0}, "fail", "99 genes in the median kept cell"),
        ({"median_pct_mito": 51.0}, "fail", "51 % mitochondrial"),
        ({"ambient": 0.6}, "warn", "0.60 of the median kept cell's counts"),
        ({"ambient": np.nan, "median_pct_mito": np.nan}, "pass", ""),
    ],
)
def test_limits_of_a_library(changes, verdict, part):
    found = worst(judge_measures(GOOD | changes, LIMITS))
    assert found[0] == verdict
    assert part in found[1]


def test_a_failed_library_is_out_unless_the_sheet_says_otherwise():
    names = ["a", "b", "c"]
    summaries = {"a": summary(), "b": summary(kept_cells=5), "c": summary(kept_cells=5)}
    table = judge_libraries(summaries, sheet(names, keep_failed=["no", "no", "yes"]), NO_PAIR)
    assert list(table) == COLUMNS
    assert table["verdict"].tolist() == ["pass", "fail", "fail"]
    assert table["share_kept"].tolist() == [500 / 600, 5 / 600, 5 / 600]
    assert (table["median_counts"] == 1500).all() and (table["kept_pct_mito"] == 3.5).all()
    assert table["kept"].tolist() == [True, False, True]


def test_swaps_and_duplicates_reach_the_verdict_with_the_other_ones_name():
    names = ["a", "b", "c"]
    pair = pd.DataFrame([("c", "a", 400, 400, 500, np.nan, "fail")], columns=NO_PAIR.columns)
    summaries = {"a": summary("female"), "b": summary("male"), "c": summary()}
    table = judge_libraries(summaries, sheet(names, sex="female"), pair).set_index("sample")
    assert table["verdict"].to_dict() == {"a": "pass", "b": "fail", "c": "fail"}
    assert table.at["b", "sex_status"] == "contradicts"
    assert table.at["c", "duplicate_of"] == "a"
    assert "duplicate of a: 400 of 500 cells" in table.at["c", "verdict_reason"]


@pytest.mark.parametrize(("keep", "verdict"), [("no", "pass"), ("yes", "fail")])
def test_the_twin_of_a_library_that_is_kept_out_stays(keep, verdict):
    names = ["a", "b"]
    pair = pd.DataFrame([("b", "a", 400, 400, 500, np.nan, "fail")], columns=NO_PAIR.columns)
    summaries = {"a": summary(ambient=0.9), "b": summary()}
    table = judge_libraries(summaries, sheet(names, keep_failed=[keep, "no"]), pair)
    assert table["verdict"].tolist() == ["fail", verdict]
    assert table.at[1, "kept"] == (verdict == "pass")


def test_no_cell_is_lost_to_a_chain_of_twins():
    names = ["a", "b", "c"]
    pairs = [("b", "a", 400, 400, 500, np.nan, "fail"), ("c", "b", 400, 400, 500, np.nan, "fail")]
    summaries = {name: summary() for name in names}
    table = judge_libraries(summaries, sheet(names), pd.DataFrame(pairs, columns=NO_PAIR.columns))
    assert table["kept"].tolist() == [True, False, True]


def test_a_library_without_a_cell_is_never_kept():
    table = judge_libraries(
        {"a": summary(), "b": summary(kept_cells=0, median_genes=np.nan)},
        sheet(["a", "b"], keep_failed="yes"),
        NO_PAIR,
    )
    assert table["kept"].tolist() == [True, False]


def test_a_run_of_failed_libraries_ends_in_one_line():
    summaries = {"a": summary(kept_cells=3), "b": summary(ambient=0.9)}
    with pytest.raises(InputError, match=r"none is left after quality control: a \(3 cells") as e:
        judge_libraries(summaries, sheet(["a", "b"]), NO_PAIR)
    assert "\n" not in str(e.value)
    assert "keep_failed" in str(e.value)


def test_doublets_are_a_share_only_where_they_were_searched_for():
    unsearched = summary() | {"doublets": {"status": "not_run", "n_called": 0}}
    table = judge_libraries({"a": summary(), "b": unsearched}, sheet(["a", "b"]), NO_PAIR)
    assert table["share_doublets"].iloc[0] == 30 / 600
    assert np.isnan(table["share_doublets"].iloc[1])
