"""The first lines of the index name results, and only what the tests bear out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.report import words
from emhniche.report.axes_table import axes_table
from emhniche.report.cell_names import meanings
from emhniche.report.findings import design
from emhniche.report.standfirst import standfirst
from emhniche.report.tables import RunTables

CONTRAST = {"name": "c", "factor": "condition", "test": "tumour", "reference": "naive"}


def genes(**changes: object) -> pd.DataFrame:
    """Return six tested genes of a cell type, of which the first five differ."""
    rows = {
        **{"contrast": "c", "level": "cell_type", "cell_type": "EC_sinusoidal"},
        **{"gene": ["Kitl", "Cxcl12", "Il1b", "Tnf", "Lif", "Csf3"], "status": "tested"},
        **{"effect": [2.0, -1.0, 1.0, 1.0, 1.0, 1.0], "q": [0.01, 1e-6, 0.02, 0.03, 0.04, 0.5]},
        **{"ci_low": [1.0, -2.0, 0.5, 0.5, 0.5, -1.0], "ci_high": [3.0, -0.5, 1.5, 1.5, 1.5, 3.0]},
        **{"p": 0.01, "ambient": False, "role": "ligand", "tier": "core"},
    }
    return pd.DataFrame(rows | changes)


def run_of(contrasts: pd.DataFrame, contrast: dict = CONTRAST, **design: object) -> RunTables:
    audit = {"contrast": "c", "verdict": "tested", "composition_verdict": "not_testable"}
    audit |= {"reason": "4 against 4 known donors, ~ chemistry + condition; few donors"}
    nothing = pd.DataFrame({"contrast": [], "level": [], "measure": [], "status": []})
    qc = {"s": {"verdict": "pass", "kept": True, "n_in": 9, "n_kept": 7, "lineages": []}}
    tables = {
        "design": pd.DataFrame([audit | {"composition_reason": "sorted"} | design]),
        **dict.fromkeys(("composition", "supply", "score_contrasts", "responses"), nothing),
        **{"contrasts": contrasts, "emh_contrasts": nothing.assign(effect=[])},
    }
    return RunTables(
        root=Path(), config={"niche": {"contrasts": [contrast]}}, qc=qc, tables=tables,
        samples=pd.DataFrame({"dataset": ["d"]}, index=["s"]),
        **dict.fromkeys(("registry", "cells", "history"), pd.DataFrame()),
    )  # fmt: skip


def test_a_contrast_is_its_clearest_results_with_size_interval_and_q():
    assert standfirst(run_of(genes()))[1:] == [
        "Tumour against naive: Cxcl12 in EC sinusoidal 2.0-fold lower (95 % 1.4 to 4.0, q "
        "<0.0001), Kitl in EC sinusoidal 4.0-fold higher (95 % 2.0 to 8.0, q 0.01) and Il1b in EC "
        "sinusoidal 2.0-fold higher (95 % 1.4 to 2.8, q 0.02); 2 more differ."
    ]


def test_what_ambient_rna_may_explain_is_not_named():
    line = standfirst(run_of(genes(ambient=[True, True, False, True, True, False])))[1]
    assert (
        line.startswith("Tumour against naive: Il1b in EC sinusoidal") and line.count("in EC") == 1
    )
    (line,) = standfirst(run_of(genes(ambient=[True] * 5 + [False])))[1:]
    assert "none of 1 tested pair" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"q": 0.5}, "none of 6 tested pairs of gene and cell type differs at a false discovery"),
        # a small q whose interval holds 0 names nothing
        ({"ci_low": -1.0, "ci_high": 9.0}, "none of 6 tested pairs"),
        ({"status": "not_testable", "q": np.nan}, "no gene of the panel could be tested"),
    ],
)
def test_a_contrast_in_which_nothing_differs_says_so(changes, said):
    (line,) = standfirst(run_of(genes(**changes)))[1:]
    assert said in line and "-fold" not in line


@pytest.mark.parametrize("verdict", ["not_identifiable", "effect_only", "not_testable"])
def test_a_contrast_that_cannot_be_tested_says_why_and_names_nothing(verdict):
    (line,) = standfirst(run_of(genes(), verdict=verdict, reason="niche is study; more"))[1:]
    assert line.startswith("Tumour against naive: niche is study. So ")
    assert "-fold" not in line


def test_an_interaction_is_called_a_change_against_a_change():
    second = CONTRAST | {"interaction": {"factor": "tissue", "test": "spleen", "reference": "bone"}}
    line = standfirst(run_of(genes(), second))[1]
    assert ", change in spleen against change in bone: Cxcl12" in line


def test_formulas_are_left_to_the_table():
    run = run_of(genes())
    assert not any("~" in line for line in standfirst(run))
    (said,) = design(run)
    assert said.text == "Tumour against naive: 4 against 4 known donors; few donors."


def test_numbers_stay_with_their_signs():
    assert words.held("8 % of 9 cells (95 % 1 to 2, q 0.01, p <0.1)") == (
        "8\u00a0% of 9 cells (95\u00a0% 1 to 2, q\u00a00.01, p\u00a0<0.1)"
    )
    assert words.held("top 5 of group q") == "top 5 of group q"
    assert words.held("at q ≤ 0.1 here") == "at q\u00a0≤\u00a00.1 here"


def test_short_names_of_cell_types_are_explained_where_the_run_has_them(tmp_path):
    cells = pd.DataFrame({"lineage": ["monocyte_macrophage"], "cell_type": ["RPM"]})
    own = Path(__file__).parents[1] / "resources/lineages.tsv"
    # what reads as it stands has no meaning of its own
    assert meanings(own, cells) == [("RPM", "red-pulp macrophage")]
    every = pd.read_csv(own, sep="\t")
    told = every.dropna(subset=["meaning"]).groupby("cell_type")["meaning"].nunique()
    assert len(told) > 30 and (told == 1).all()
    # a table of a user's own may do without
    every.drop(columns="meaning").to_csv(tmp_path / "own.tsv", sep="\t", index=False)
    assert meanings(tmp_path / "own.tsv", cells) == []


def reading(axis: str, which: str, status: str, **found: object) -> dict:
    row = {"contrast": "c", "axis": axis, "tier": "core", "reading": which, "status": status}
    row |= {"n_rows": 4, "n_tested": 3, "n_up": 0, "n_down": 0, "direction": "none", "name": None}
    return row | {"cell_type": None, "effect": np.nan, "caution": None, "reason": "why"} | found


def test_axes_stand_in_one_table_what_differs_first():
    hit = {"name": "Kitl", "cell_type": "EC_sinusoidal", "effect": 2.0, "direction": "up"}
    second = CONTRAST | {"name": "d", "test": "infection"}
    rows = [
        reading("KIT", "reception", "tested"),
        reading("KIT", "production", "tested", n_up=2, **hit),
        reading("KIT", "response", "not_testable"),
        reading("LIF", "production", "effect_only", **hit),
        reading("LIF", "reception", "tested") | {"contrast": "d"},
        reading("EPO", "reception", "tested") | {"tier": "extended"},
    ]
    run = run_of(genes())
    run = replace(run, config={"niche": {"contrasts": [CONTRAST, second]}})
    table = axes_table(replace(run, tables={**run.tables, "axes": pd.DataFrame(rows)}))
    assert [one.heading for one in table.columns] == [
        *("Axis", "Tumour against naive", "Infection against naive")
    ]
    assert [[text for _, text, _ in row] for row in table.rows] == [
        [
            "KIT",
            "Ligands: Kitl in EC sinusoidal 4.0-fold higher; 1 more differs (3 tested). No "
            "difference: receptors (3 tested). Not testable: responses.",
            "–",
        ],
        [
            "LIF",
            "Ligands, no p-value, largest: Kitl in EC sinusoidal 4.0-fold higher.",
            "No difference: receptors (3 tested).",
        ],
    ]


def test_an_interaction_says_in_which_place_the_change_is_greater():
    places = {"factor": "tissue", "test": "spleen", "reference": "bone marrow"}
    hit = {"name": "Kitl", "cell_type": "EC_sinusoidal", "effect": 2.0, "direction": "up"}
    rows = [
        reading("KIT", "production", "tested", n_up=3, **hit),
        reading("LIF", "production", "effect_only", **hit | {"effect": 0.01}),
    ]
    run = run_of(genes(), CONTRAST | {"interaction": places})
    table = axes_table(replace(run, tables={**run.tables, "axes": pd.DataFrame(rows)}))
    kitl = "the change of Kitl in EC sinusoidal is"
    assert [row[1][1] for row in table.rows] == [
        f"Ligands: {kitl} 4.0-fold higher in spleen than in bone marrow; 2 more differ (3 tested).",
        f"Ligands, no p-value, largest: {kitl} the same in spleen as in bone marrow.",
    ]
