"""The page says of signals what their tables say, and no more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.report import supply_figures, words
from emhniche.report.figures import to_svg
from emhniche.report.known_answers_table import known_answers_table
from emhniche.report.signals_figures import (
    axis_table,
    blood_made,
    emh_index,
    responses,
    score_table,
    sentences,
)
from emhniche.report.tables import RunTables

CONTRASTS = [{"name": "c", "factor": "condition", "test": "tumour", "reference": "naive"}]
NUMBERS = {"contrast": "c", "level": "lineage", "units_test": 4, "units_reference": 4}


def score_rows(**changes: object) -> pd.DataFrame:
    rows = {
        **{"set": ["bad", "calm", "name"], "tier": ["state", "state", "identity"]},
        **{"cell_type": "neutrophil", "effect": [0.2, 0.01, 0.5], "ci_low": 0.0, "ci_high": 0.3},
        **{"effect_z": 1.0, "p": [0.001, 0.5, 1e-9], "q": [0.01, 0.5, 1e-8], "status": "tested"},
    }
    return pd.DataFrame(NUMBERS | rows | changes)


def response_rows(**changes: object) -> pd.DataFrame:
    rows = {
        **{"set": ["R", "R", "S", ""], "axis": ["TNF", "TNF", "LIF", "CXCL12"]},
        **{"kind": "response", "cell_type": ["B", "T", "B", ""], "ci_low": np.nan},
        **{"effect": [0.7, np.nan, -0.3, np.nan], "ci_high": np.nan},
        **{"p": [0.01, np.nan, 0.5, np.nan], "q": [0.02, np.nan, 0.5, np.nan]},
        **{"status": ["tested", "not_testable", "tested", "not_testable"]},
    }
    return pd.DataFrame(NUMBERS | rows | changes)


def index_rows() -> pd.DataFrame:
    branches = ("hspc", "erythroid", "megakaryocyte", "neutrophil_precursor")
    rows = {"condition": ["naive", "tumour"], "tissue": "spleen", "dataset": "d"}
    rows |= {"emh_index": [0.0, 1.0], **{f"log2_{name}": [0.0, 1.0] for name in branches}}
    return pd.DataFrame(rows | {"log2_megakaryocyte": np.nan, "status": "described"})


def shares(**changes: object) -> pd.DataFrame:
    """Return frequencies of lineages; unless told, none of them differs."""
    rows = {"lineage": ["stroma", "HSPC", "T"], "effect": [1.5, -1.0, -0.5], "q": 0.9}
    rows |= {"contrast": "c", "level": "lineage", "status": "tested"}
    return pd.DataFrame(rows | changes)


def index_rows_compared(**changes: object) -> pd.DataFrame:
    row = {"contrast": "c", "measure": ["emh_index"], "effect": -0.88, "ci_low": -1.73}
    return pd.DataFrame(row | {"ci_high": -0.037, "q": 0.17, "status": "tested"} | changes)


def run_of(**tables: pd.DataFrame) -> RunTables:
    """Return a run that holds the tables of signals alone."""
    arms = {"measure": ["emh_index", "hspc"], "effect": [1.2, 0.3], "ci_low": 0.4, "ci_high": 2.0}
    held = {
        **{"score_contrasts": score_rows(), "responses": response_rows()},
        **{"emh_index": index_rows(), "composition": shares()},
        "emh_contrasts": pd.DataFrame({"contrast": "c", **arms, "q": 0.01, "status": "tested"}),
        "emh_axes": pd.DataFrame(
            {
                **{"rank": [1, pd.NA], "axis": ["KIT", "LIF"], "side": "agonist"},
                **{"lineage": "stroma", "genes": ["Kitl", ""], "rho": [0.9, np.nan], "units": 8},
                **{"min_attainable_p": [0.003, np.nan], "p": [0.01, np.nan], "q": np.nan},
                "status": ["tested", "not_testable"],
            }
        ),
    }
    empty = dict.fromkeys(("qc", "samples", "registry", "cells", "history"), pd.DataFrame())
    config = {"niche": {"contrasts": CONTRASTS}}
    return RunTables(root=Path(), config=config, tables=held | tables, **empty)


def test_only_what_differs_by_its_test_is_named():
    texts = [one.text for one in sentences(run_of())]
    assert texts == [
        "Tumour against naive, scores that differ at a false discovery rate of 0.1: 1 of 2: bad "
        "higher in neutrophils.",
        "Tumour against naive, responses that differ at a false discovery rate of 0.1: 1 of 2: "
        "R higher in B cells.",
    ]
    texts = [one.text for one in blood_made(run_of())]
    assert texts == [
        "Tumour against naive: the EMH index is higher at a false discovery rate of 0.1: +1.2 in "
        "log2 odds (95 % +0.4 to +2.0, q 0.01).",
    ]
    calm = run_of(score_contrasts=score_rows(q=0.9), responses=response_rows(q=0.9))
    texts = [one.text for one in sentences(calm)]
    assert texts[0].endswith("none of 2.")
    assert texts[1].endswith("none of 2.")


def test_the_emh_index_says_its_outcome_and_that_it_is_of_shares():
    called, *_ = blood_made(run_of(emh_contrasts=index_rows_compared()))
    assert called.text == (
        "Tumour against naive: the EMH index does not differ at a false discovery rate of 0.1: "
        "−0.9 in log2 odds (95 % −1.7 to −0.04, q 0.17)."
    )
    grown = shares(q=[0.01, 0.01, 0.5])
    (found,) = blood_made(run_of(emh_contrasts=index_rows_compared(), composition=grown))
    assert "made of shares: stroma became more frequent, and with that every other share" in (
        found.text
    )
    # what lowers the index by being made less is the index itself, and what rises is no excuse
    up = index_rows_compared(effect=0.9, ci_low=0.1, ci_high=1.7)
    for held in (grown.iloc[1:], grown):
        (found,) = blood_made(run_of(emh_contrasts=up, composition=held))
        assert "made of shares" not in found.text
    (sized,) = blood_made(run_of(emh_contrasts=index_rows_compared(status="effect_only")))
    assert sized.text.endswith("the EMH index differs by −0.9 in log2 odds, with no p-value.")
    mute = index_rows_compared(effect=np.nan, status="not_testable", reason="2 donors, 3 needed")
    (none,) = blood_made(run_of(emh_contrasts=mute))
    assert none.text.endswith("the EMH index cannot be compared. 2 donors, 3 needed.")


def supplied(**changes: object) -> pd.DataFrame:
    row = {"contrast": "c", "level": "lineage", "status": "tested", "gene": ["Kitl", "Tnf"]}
    row |= {"cell_type": ["stroma", "T"], "effect": [3.0, -1.0], "ci_low": [2.0, -2.0]}
    row |= {"ci_high": [4.0, -0.2], "p": [0.01, 0.02], "q": [0.04, 0.06], "ambient": False}
    return pd.DataFrame(row | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "2 of 2 differ: the clearest Kitl of stroma 8.0-fold higher and Tnf of T cells"),
        ({"ambient": [True, False]}, "1 of 1 differs: Tnf of T cells 2.0-fold lower"),
        ({"ci_low": -9.0, "ci_high": 9.0}, "none of 2 differs"),
    ],
)
def test_supplies_that_differ_are_told_and_soup_is_not(changes, said):
    (found,) = supply_figures.sentences(run_of(supply=supplied(**changes)))
    assert said in found.text
    assert ("Kitl" in found.text) == ("Kitl" in said)


def test_a_contrast_that_tells_nothing_is_not_spoken_of():
    mute = run_of(
        score_contrasts=score_rows(status="not_identifiable"),
        responses=response_rows(status="not_testable"),
    )
    mute = replace(mute, tables={**mute.tables, "emh_contrasts": mute["emh_contrasts"].iloc[:0]})
    assert [*sentences(mute), *blood_made(mute)] == []


def test_a_comparison_that_is_in_the_table_twice_is_counted_once():
    # a lineage of one cell type has the numbers of that type
    twice = score_rows(
        set="IL-1.agonist", tier="core", level=["lineage", "cell_type", "cell_type"],
        cell_type=["endothelium", "EC_sinusoidal", "EC_arterial"], p=[0.01, 0.01, 0.5],
        effect=[0.2, 0.2, 0.1], q=[0.02, 0.03, 0.5],
    )  # fmt: skip
    run = run_of(score_contrasts=twice, responses=response_rows().iloc[:0])
    (said,) = sentences(run)
    assert said.text.endswith("1 of 2: IL-1 ligands higher in endothelium.")
    assert len(score_table(run).rows) == 2


def test_a_lineage_that_shares_its_name_with_a_cell_type_is_called_one():
    both = score_rows(set="bad", tier="state", cell_type="B", level=["lineage", "cell_type", "x"])
    table = score_table(run_of(score_contrasts=both.assign(effect=[0.1, 0.2, 0.3]).iloc[:2]))
    assert [row[2][1] for row in table.rows] == ["B (lineage)", "B"]


def test_a_control_is_called_one():
    shown = response_rows(kind="control", set="IFN_type1")
    run = run_of(responses=shown, score_contrasts=score_rows().iloc[:0])
    assert "1 of 2: IFN type1 (a control) higher in B cells." in next(iter(sentences(run))).text


def test_scores_without_a_p_value_stand_by_size_and_say_so():
    nothing = score_rows(p=np.nan, q=np.nan, effect_z=[0.5, -2.0, 9.0], status="effect_only")
    table = score_table(run_of(score_contrasts=nothing))
    assert [row[1][1] for row in table.rows] == ["calm", "bad"]
    assert "none has a p-value" in table.caption


def test_what_is_not_testable_is_hatched_and_what_is_not_measured_says_so():
    drawn = to_svg(responses(response_rows(), {"c": "A title"}), name="r", description="")
    assert "A title" in drawn
    assert "R (TNF)" in drawn
    # the set without a lineage is no row of the map
    assert "CXCL12" not in drawn
    assert drawn.count("url(#r-") >= 2
    index = to_svg(emh_index(index_rows()), name="i", description="")
    assert index.count("not measured") == 1
    assert "tumour" in index


@pytest.mark.parametrize("table", [response_rows(effect=np.nan), response_rows().iloc[:0]])
def test_without_a_size_there_is_no_map(table):
    assert responses(table, {"c": "A title"}) is None
    assert emh_index(index_rows().iloc[:0]) is None


def test_tables_show_what_has_a_size_and_leave_names_of_cells_to_the_file():
    run = run_of()
    shown = score_table(run)
    assert [row[1][1] for row in shown.rows] == ["bad", "calm"]
    axes = axis_table(run)
    assert len(axes.rows) == 1
    assert axes.rows[0][1][1] == "KIT"
    assert axes.folded == ""


def test_a_ranking_that_no_order_of_the_donors_could_support_is_folded_away():
    few = run_of()["emh_axes"].assign(min_attainable_p=[0.125, np.nan], p=np.nan)
    assert "no order gives p ≤ 0.05" in axis_table(run_of(emh_axes=few)).folded


def supply_rows(contrast: str = "c", **changes: object) -> pd.DataFrame:
    row = {"contrast": contrast, "level": "lineage", "status": "tested", "q": [0.04, 0.9]}
    return pd.DataFrame(row | changes)


def test_a_contrast_whose_supply_does_not_differ_says_so():
    assert supply_figures.verdict(supply_rows()) == ""
    assert supply_figures.verdict(supply_rows(status="not_testable")) == ""
    assert supply_figures.verdict(supply_rows(q=[0.5, 0.9])) == "None of 2 differs at q ≤ 0.1."


def test_contrasts_without_a_tested_supply_are_named_in_one_line():
    two = [*CONTRASTS, CONTRASTS[0] | {"name": "d", "test": "infection"}]
    config = {"niche": {"contrasts": two}}
    run = replace(run_of(supply=supply_rows()), config=config)
    assert supply_figures.untested(run).endswith("could be tested: Infection against naive.")
    # where none has one, the table's own words stand alone
    none = replace(run_of(supply=supply_rows(status="not_testable")), config=config)
    assert supply_figures.untested(none) == ""


def test_a_check_of_the_gene_tables_does_not_claim_data_of_its_own():
    rows = {
        **{"check": ["A", "B", "C"], "scope": ["published", "stand_in", "published"]},
        **{"status": ["pass", "fail", "not_testable"], "observed": "seen", "claim": "is so"},
        **{"datasets": [np.nan, "d;e", "d"], "pass_rule": "rank 1", "source": "10.1/x"},
    }
    table = known_answers_table(run_of(known_answers=pd.DataFrame(rows)))
    place = [column.heading for column in table.columns].index("Asked of")
    assert [row[place][1] for row in table.rows] == ["d and e (stand-in)", "the gene tables"]
    assert "not that the claim was shown" in table.caption
    assert "Rule" in [column.heading for column in table.columns]


@pytest.mark.parametrize(
    ("name", "control", "said"),
    [
        ("GM-CSF.receptor", False, "GM-CSF receptors"),
        ("IL-1.antagonist", False, "IL-1 antagonists"),
        ("IFN_type1", True, "IFN type1 (a control)"),
        ("classical_PMN_control", True, "classical PMN control"),
    ],
)
def test_sets_are_named_for_a_reader(name, control, said):
    assert words.set_name(name, control=control) == said
