"""The myeloid part of the report: with a called gate, with refusals only, and with no such cell."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.report import myeloid_figures, myeloid_gates, words
from emhniche.report.index_page import build_index
from emhniche.report.myeloid_findings import marker_words, not_called, pathological
from emhniche.report.niche_tables import gate_table, subset_table
from emhniche.report.tables import RunTables, read_run
from fake_myeloid import EVIL_DONOR, SIGNATURES
from fake_names import SCRIPT
from fake_run import CONFIG, make_run, registry, sample_sheet, write_provenance

ROOT = Path(__file__).parents[1]
FIGURES = {
    "myeloid": "maturation (late",
    "myeloid-donors": "cells of the donor above",
    "myeloid-overlap": "interferon genes: cells",
}
"""Figures of the section, and words of an axis that each has only where it is drawn."""

DRAWN = {"called": tuple(FIGURES), "refused": ("myeloid",), "none": ()}
"""State of a run -> the figures that its tables can fill."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three finished runs with their pages."""
    found = {}
    for state in DRAWN:
        root = make_run(tmp_path_factory.mktemp(state), myeloid=state)
        write_provenance(root)
        build_index(root, config=CONFIG, samples=sample_sheet(), registry=registry())
        found[state] = root
    return found


def tables(root: Path) -> RunTables:
    return read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())


@pytest.fixture(scope="module")
def called(roots: dict[str, Path]) -> RunTables:
    return tables(roots["called"])


def section(root: Path) -> str:
    """Return the text of the page's myeloid section."""
    html = (root / "report/index.html").read_text(encoding="utf-8")
    part = html[html.index('<h2 id="myeloid">') : html.index('<h2 id="limits">')]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", part)))


@pytest.mark.parametrize("state", DRAWN)
def test_each_figure_is_drawn_or_says_why_not(roots, state: str):
    for name, label in FIGURES.items():
        path = roots[state] / f"report/figures/{name}.svg"
        svg = path.read_text(encoding="utf-8")
        assert (label in svg) == (name in DRAWN[state]), (state, name)
        html = (roots[state] / "report/index.html").read_text(encoding="utf-8")
        assert (f'id="figure-{name}"' in html) == (name in DRAWN[state])


@pytest.mark.parametrize("state", DRAWN)
def test_page_is_small_escaped_and_never_speaks_of_suppression(roots, state: str):
    page = roots[state] / "report/index.html"
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 6_000_000
    assert SCRIPT not in html
    assert "suppressi" not in section(roots[state]).lower()
    assert " nan" not in section(roots[state]).lower()


def test_names_of_donors_and_genes_are_shown_as_text(roots):
    text = section(roots["called"])
    assert words.short(EVIL_DONOR, 16) in text
    assert f"{SCRIPT} (2 of 3 donors)" in text


def test_sentences_state_the_numbers_of_the_tables(called: RunTables):
    said = " ".join(one.text for one in pathological(called))
    gate = called["gates"].query("code == 'called'").iloc[0]
    calls = called["calls"].query("signature == @SIGNATURES[0]")
    hits, judged = int(calls["pathological"].sum()), int(calls["pathological"].notna().sum())
    assert gate["called"] == hits > 0
    assert f"{hits} of {judged} case cells are called MDSC-like (reactive)" in said
    assert f"p {gate['p']:.2g}, adjusted {gate['q']:.2g}" in said
    assert "31 % of the cells lie above the naive range (95 % interval 22 % to 40 %)" in said
    assert "Cd84 (3 of 3 donors)" in said
    assert "no inflamed donors were there" in said


def test_overlap_counts_cells_above_the_reference_of_the_same_place(called: RunTables):
    gate = called["gates"].query("code == 'called'").iloc[0]
    table = myeloid_gates.overlap(called, gate)
    cells = myeloid_gates.gate_cells(called, gate)
    score = called["scores"].set_index("cell_id")["ISG_Neu"].reindex(cells.index)
    naive = score[cells["arm"] == "reference"].sort_values()
    for _, row in table[table["set"] == "ISG_Neu"].iterrows():
        mine = cells["donor"] == row["donor"]
        assert row["n_called"] == (mine & cells["called"]).sum()
        if row["n_called"]:
            assert 0 <= row["called"] <= 1
            assert (score[mine & cells["called"]] > naive.max()).mean() <= row["called"]
        assert (score[mine & ~cells["called"]] > naive.iloc[0]).mean() >= row["other"]
    assert set(table["donor"]) == set(cells.loc[cells["arm"] == "case", "donor"])
    said = next(one.text for one in pathological(called) if "interferon" in one.text)
    rows = table[table["set"] == "ISG_Neu"].dropna(subset=["called", "other"])
    assert f"interferon genes {words.percent(rows['called'].median())}" in said


def test_gates_with_the_same_reason_are_one_sentence(roots):
    run = tables(roots["refused"])
    assert len(run["gates"]) == 6
    said = list(not_called(run))
    assert len(said) == 1 and said[0].status == "score_only"
    assert "neutrophil in spleen (d_spleen) and bone marrow (d_marrow)" in said[0].text
    assert "by all 3 signatures: there are no naive reference donors" in said[0].text
    assert f"No case arm {SCRIPT}." in said[0].text
    first = next(pathological(run))
    scored = run["calls"].query("status == 'score_only'")["cell_id"].nunique()
    assert first.text == (
        f"No cell could be called MDSC-like or not; {scored} myeloid cells have scores."
    )


def test_gates_with_different_ends_are_told_apart(called: RunTables):
    said = {one.status: one.text for one in not_called(called)}
    assert set(said) == {"no_difference", "score_only"}
    assert "The gate stayed closed for neutrophil in spleen (d_spleen)" in said["no_difference"]
    assert "(adjusted p 0.62)" in said["no_difference"]
    assert "bone marrow" not in said["no_difference"] and "bone marrow" in said["score_only"]


def test_without_myeloid_cells_the_page_says_so(roots):
    first = next(pathological(tables(roots["none"])))
    assert (first.status, first.text) == (
        "not_testable",
        "No cell could be called MDSC-like or not.",
    )
    assert "there is no cell of the lineage" in section(roots["none"])


def test_the_called_gate_is_shown_else_the_first_signature(called: RunTables):
    gates = called["gates"]
    shown = myeloid_gates.shown_gates(gates, SIGNATURES[::-1])
    assert list(shown["signature"]) == [SIGNATURES[0], SIGNATURES[-1]]
    assert list(shown["tissue"]) == ["spleen", "bone marrow"]
    none = gates.assign(status="not_testable", code="too_few_cells")
    assert myeloid_gates.shown_gates(none, SIGNATURES).empty


def test_strip_shows_every_donor_that_counts_at_its_share(called: RunTables):
    figure = myeloid_figures.exceedance(called)
    drawn = np.sort(np.concatenate([c.get_offsets()[:, 0] for c in figure.axes[0].collections]))
    donors = called["donors"].query("signature == @SIGNATURES[0]")
    np.testing.assert_allclose(drawn, 100 * np.sort(donors["exceedance"]))
    text = figure.axes[0].get_title(loc="left")
    assert "p 0.0012, adjusted 0.0036" in text and "MDSC-like" in text


def test_an_arm_of_which_no_donor_counts_at_one_place_leaves_its_line_empty(called: RunTables):
    """As in a small study: enough cells of one arm in the marrow, of both in the spleen."""
    donors = called["donors"]
    marrow = donors[donors["arm"] == "reference"]
    marrow = marrow.assign(tissue="bone marrow", dataset="d_marrow", exceedance=0.5)
    both = replace(called, tables=called.tables | {"donors": pd.concat([donors, marrow])})
    spleen, below = myeloid_figures.exceedance(both).axes
    drawn = [len(one.get_offsets()) for one in below.collections]
    assert sorted(drawn) == [0] * (len(drawn) - 1) + [marrow["donor"].nunique()]
    assert len(spleen.collections) == len(drawn) > 1


def test_lines_stand_at_the_naive_limit_and_the_threshold(called: RunTables):
    gate = called["gates"].query("code == 'called'").iloc[0]
    figure = myeloid_figures.residuals(called)
    heights = {line.get_ydata()[0] for line in figure.axes[0].lines}
    assert heights == {gate["naive_limit"], gate["threshold"]}


@pytest.mark.parametrize("code", myeloid_gates.CODES)
def test_every_code_reads_as_a_sentence(code: str):
    gates = pd.DataFrame({"code": [code], "reason": ["Why."], "q": 0.2, "cells": 1, "n_genes": 4})
    text = myeloid_gates.why(gates.assign(reference_donors=1, case_donors=2))
    assert text and code not in text and "_" not in text and not text.endswith(".")


def test_codes_are_those_of_the_docs():
    docs = (ROOT / "docs/myeloid.md").read_text(encoding="utf-8")
    tables = docs[docs.index("| code of a tested gate") : docs.index("`reason` names all")]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"(?m)^\|([^|]*)\|", tables))))
    assert named - {"called"} <= set(myeloid_gates.CODES)


def test_markers_say_how_many_donors_show_them_or_why_there_are_none():
    row = pd.Series({"markers": "A;B", "markers_per_unit": "A=4/4;B=3/4", "marker_units": 4})
    assert marker_words(row) == "A (4 of 4 donors) and B (3 of 4 donors)"
    none = pd.Series({"markers": np.nan, "markers_per_unit": np.nan, "marker_units": 4})
    assert marker_words(none) == "none at a false discovery rate of 0.05 in 4 donors"
    assert marker_words(none.replace(4, 1)).startswith("not testable, 1 donor with 5 cells")


def test_rule_names_every_figure_of_the_section():
    rules = (ROOT / "workflow/rules/report.smk").read_text(encoding="utf-8")
    for name in FIGURES:
        assert f'"{name}": "{name.replace("-", "_")}"' in rules


def test_clusters_that_cases_hold_more_of_are_listed_with_the_claim_first(roots):
    text = section(roots["called"])
    assert "1 could be compared, cases hold more of 1" in text
    assert "1 carries a signature as well and is claimed" in text
    assert "Case donors hold more of no cluster" in section(roots["refused"])


def test_counts_of_the_figures_are_told_as_tables(roots, called: RunTables):
    table = pd.read_csv(
        roots["called"] / "report/myeloid_cells.tsv", sep="\t", keep_default_na=False
    )
    gate = called["gates"][called["gates"]["code"] == "called"].iloc[0]
    keys = ["lineage", "tissue", "dataset", "signature"]
    mine = table[(table[keys] == [gate[key] for key in keys]).all(axis=1)]
    cells = myeloid_gates.gate_cells(called, gate)
    cells = cells[cells["residual"].notna() & cells["maturation"].notna()]
    assert mine.groupby("arm")["cells"].sum().to_dict() == cells["arm"].value_counts().to_dict()
    fates = mine.groupby("fate")["cells"].sum()
    assert fates["called MDSC-like"] == cells["called"].sum() > 0
    told = pd.read_csv(roots["called"] / "report/myeloid_overlap.tsv", sep="\t")
    own = myeloid_gates.overlap(called, gate)
    assert told["n_called"].sum() == own["n_called"].sum() > 0
    refused = (roots["refused"] / "report/myeloid_overlap.tsv").read_text()
    assert refused.count("\n") == 1, "nothing was called, so nothing overlaps"


def test_a_gate_that_stayed_closed_wears_no_badge_of_a_discovery(roots, called: RunTables):
    gate = {"status": "tested", "code": "no_donor_level_excess"}
    assert myeloid_gates.gate_status(gate) == "no_difference"
    # cases differ there, so it may not be said that nothing does
    assert myeloid_gates.gate_status(gate | {"code": "not_beyond_random_sets"}) == "none_called"
    assert myeloid_gates.gate_status(gate | {"code": "called"}) == "tested"
    assert myeloid_gates.gate_status({"status": "score_only", "code": "x"}) == "score_only"
    table = gate_table(called)
    place = [column.key for column in table.columns].index("status")
    shown = {row[place][1] for row in table.rows}
    assert {"tested", "no_difference"} <= shown
    html = (roots["called"] / "report/index.html").read_text(encoding="utf-8")
    assert "badge-no_difference" in html and "tested, no difference" in html


def test_states_of_called_cells_have_no_status_of_their_own(called: RunTables):
    gate = called["subsets"].iloc[[0]].assign(state="all", status="tested")
    states = gate.assign(state="activated", marker_units=0, markers=None, markers_per_unit=None)
    table = subset_table(
        replace(called, tables={**called.tables, "subsets": pd.concat([gate, states])})
    )
    place = [column.key for column in table.columns].index("status")
    assert [row[place][1] for row in table.rows] == ["tested", "–"]
    assert not any("_" in row[0][1] for row in table.rows if "MDSC" in row[0][1])


def test_called_cells_are_counted_among_those_within_the_references_maturation(
    called: RunTables,
):
    calls = called["calls"].copy()
    gate = called["gates"][called["gates"]["code"] == "called"].iloc[0]
    before = next(pathological(called)).text
    cells = myeloid_gates.gate_cells(called, gate)
    moved = cells.index[(cells["arm"] == "case") & ~cells["called"]][:3]
    out = calls["cell_id"].isin(moved) & (calls["signature"] == gate["signature"])
    calls.loc[out, "status"] = "unsupported"
    calls.loc[out, "pathological"] = None
    after = next(pathological(replace(called, tables={**called.tables, "calls": calls}))).text
    known = cells["pathological"].notna().sum()
    n_out = int(((cells["status"] == "unsupported") & (cells["arm"] == "case")).sum())
    assert f"of {known} case cells" in before
    within = f"within the reference's maturation ({n_out + 3} outside)"
    assert f"of {known - 3} case cells {within}" in after
