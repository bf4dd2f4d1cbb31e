"""The judge says right only where the tables do."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.evidence import CANNOT_TELL, NOT_ASKED, RIGHT, VERDICTS, WRONG
from emhniche.judging import COLUMNS, JUDGES, describe, judge
from emhniche.schema import read_schema
from emhniche.truths import load_truths
from fake_truth import (
    MARROW,
    NICHE,
    NULL,
    SCHEMAS,
    SPLEEN,
    STRICT,
    expression_row,
    fake_cells,
    fake_results,
    fake_study,
    truth,
)

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = read_schema(SCHEMAS / "truth.schema.yaml")
SHIPPED = ROOT / "resources" / "demo" / "truth.yaml"

UP = {"table": "contrasts", "finding": "up", "contrast": SPLEEN, "genes": ["Kitl"]}
UP |= {"cell_types": ["endothelium"], "level": "lineage"}
DOWN = {**UP, "finding": "down"}
QUIET = {"table": "contrasts", "finding": "no_call", "contrast": SPLEEN, "genes": ["Vcam1"]}
SILENT = {"table": "contrasts", "finding": "not_testable", "genes": ["Csf3"]}
OWN = {"table": "contrasts", "finding": "own_only", "contrast": SPLEEN}
ALIASED = {"table": "contrasts", "finding": "not_identifiable", "contrast": NICHE}
MORE = {"table": "composition", "finding": "up", "contrast": SPLEEN}
MORE |= {"cell_types": ["endothelium"], "level": "lineage"}
STEADY = {**MORE, "finding": "no_call", "cell_types": ["T"]}
NO_SHARE = {"table": "composition", "finding": "not_identifiable", "contrast": NICHE}
TESTED = {"table": "design", "finding": "tested", "contrast": SPLEEN}
REFUSED = {"table": "design", "finding": "not_identifiable", "contrast": NICHE}
REFUSED |= {"names": "chemistry"}
RISES = {"table": "maturation", "finding": "rises", "genes": ["Cxcr2"], "min_fold": 3.0}
RISES |= {"lineage": "neutrophil"}
CALLED = {"table": "myeloid", "finding": "called", "condition": "tumour", "tissue": "spleen"}
CALLED |= {"lineage": "neutrophil", "signature": STRICT}
CALLED |= {"max_false_share": 0.1, "min_found_share": 0.7}
NAIVE = {"table": "myeloid", "finding": "none_called", "condition": "naive"}
IN_MARROW = {**NAIVE, "condition": "tumour", "tissue": "bone marrow"}
DOUBLETS = {"table": "doublets", "finding": "found", "min_auroc": 0.85}
SOUP = {"table": "ambient", "finding": "estimated", "min_correlation": 0.9, "max_error": 0.01}
NAMED = {"table": "annotation", "finding": "named", "min_f1": 0.9}
KEPT = {"table": "qc", "finding": "kept", "max_lost": 0.15}


def rows(table: pd.DataFrame, **where: str) -> pd.Series:
    """Tell which rows hold these values."""
    return (table[[*where]] == list(where.values())).all(axis=1)


def put(where: dict, **values: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a change of a table: new values in some rows."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        here = rows(table, **where) if where else pd.Series(True, index=table.index)
        assert here.any(), where
        for column, value in values.items():
            table.loc[here, column] = value
        return table

    return change


def drop(**where: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table[~rows(table, **where)]


def add(row: dict) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: pd.concat([table, pd.DataFrame([row])], ignore_index=True)


def call(number: int, *, condition: str, tissue: str, planted: bool) -> Callable:
    """Return a change of the calls: exactly `number` of such cells are called."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        cells = fake_cells(("naive", "tumour", "LPS")).set_index("cell_id")
        cells = cells.loc[table["cell_id"]]
        here = (cells["condition"] == condition) & (cells["tissue"] == tissue)
        here &= (cells["planted"] != "") == planted
        at = np.flatnonzero(here)
        table.loc[at, "pathological"] = False
        table.loc[at[:number], "pathological"] = True
        return table

    return change


KITL = {"contrast": SPLEEN, "gene": "Kitl", "cell_type": "endothelium"}
UNTESTED = {"p": None, "q": None, "status": "effect_only", "reason": "too few donors"}
CASES = {
    # a planted difference
    "up": (UP, {}, RIGHT),
    "up, but q is large": (UP, {"contrasts": put(KITL, **NULL)}, WRONG),
    "up, but q is just above": (UP, {"contrasts": put(KITL, q=0.0501)}, WRONG),
    "up, at the limit": (UP, {"contrasts": put(KITL, q=0.05)}, RIGHT),
    "up, but down": (UP, {"contrasts": put(KITL, effect=-1.4)}, WRONG),
    "up, but the row was not tested": (UP, {"contrasts": put(KITL, **UNTESTED)}, WRONG),
    "up, in a row whose status is no test": (
        UP,
        {"contrasts": put(KITL, status="not_identifiable")},
        WRONG,
    ),
    "up, in other cells only": (
        UP,
        {
            "contrasts": lambda t: put({**KITL, "cell_type": "T"}, q=0.001, effect=2)(
                put(KITL, **NULL)(t)
            )
        },
        WRONG,
    ),
    "up, at the other level only": (UP, {"contrasts": put(KITL, level="cell_type")}, CANNOT_TELL),
    "up, no such row": (UP, {"contrasts": drop(**KITL)}, CANNOT_TELL),
    "up, no p anywhere": (UP, {"contrasts": put({"contrast": SPLEEN}, **UNTESTED)}, WRONG),
    "up, no p by design": (
        UP,
        {
            "contrasts": put({"contrast": SPLEEN}, **UNTESTED),
            "design": put({"contrast": SPLEEN}, verdict="effect_only", reason="2 mice"),
        },
        CANNOT_TELL,
    ),
    "up, no such contrast": ({**UP, "contrast": "other"}, {}, CANNOT_TELL),
    "up in one of two names": ({**UP, "cell_types": ["T", "endothelium"]}, {}, RIGHT),
    "up in one name, down in the other": (
        {**UP, "cell_types": ["T", "endothelium"]},
        {"contrasts": put({**KITL, "cell_type": "T"}, effect=-1.0, q=0.01)},
        WRONG,
    ),
    "one of two genes is not up": ({**UP, "genes": ["Kitl", "Vcam1"]}, {}, WRONG),
    "one of two genes has no row": ({**UP, "genes": ["Kitl", "Lif"]}, {}, CANNOT_TELL),
    "one gene is missed, one has no row": (
        {**UP, "genes": ["Lif", "Vcam1"]},
        {},
        WRONG,
    ),
    "down": (DOWN, {"contrasts": put(KITL, effect=-1.4)}, RIGHT),
    "down, but up": (DOWN, {}, WRONG),
    "up, not asked": ({**UP, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    # no difference
    "no call": (QUIET, {}, RIGHT),
    "no call, but one": (
        QUIET,
        {"contrasts": put({"gene": "Vcam1", "cell_type": "T"}, q=0.01)},
        WRONG,
    ),
    "no call, but one at the other level": (
        QUIET,
        {"contrasts": add(expression_row(SPLEEN, "Vcam1", "cMono", level="cell_type"))},
        WRONG,
    ),
    "no call, one in another contrast": (
        QUIET,
        {"contrasts": add(expression_row(MARROW, "Vcam1", "T"))},
        RIGHT,
    ),
    "no call, nothing tested of the gene": (
        QUIET,
        {"contrasts": put({"gene": "Vcam1"}, **UNTESTED)},
        CANNOT_TELL,
    ),
    "no call, no row of one gene": ({**QUIET, "genes": ["Vcam1", "Lif"]}, {}, CANNOT_TELL),
    "no call, no such contrast": ({**QUIET, "contrast": "other"}, {}, CANNOT_TELL),
    "no call, not asked": ({**QUIET, "when": {"chemistry_by": "tissue"}}, {}, NOT_ASKED),
    # nothing to test
    "not testable": (SILENT, {}, RIGHT),
    "not testable, but tested": (
        SILENT,
        {"contrasts": add(expression_row(SPLEEN, "Csf3", "B", **NULL))},
        WRONG,
    ),
    "not testable, but an effect": (
        SILENT,
        {"contrasts": add(expression_row(SPLEEN, "Csf3", "B", status="effect_only"))},
        WRONG,
    ),
    "not testable, no row": (SILENT, {"contrasts": drop(gene="Csf3")}, CANNOT_TELL),
    "not testable, not asked": ({**SILENT, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    # genes that cells were drawn without
    "own only": (OWN, {}, RIGHT),
    "own only, but what others make is called": (
        OWN,
        {"contrasts": put({**KITL, "cell_type": "T"}, q=0.08)},
        WRONG,
    ),
    "own only, no such row": (OWN, {"contrasts": drop(gene="Kitl", cell_type="T")}, CANNOT_TELL),
    "own only, nothing tested": (OWN, {"contrasts": put({}, **UNTESTED)}, CANNOT_TELL),
    "own only, not asked": ({**OWN, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    # no p-value
    "not identifiable": (ALIASED, {}, RIGHT),
    "not identifiable, but a p": (
        ALIASED,
        {"contrasts": put({"contrast": NICHE, "gene": "Kitl"}, p=0.3)},
        WRONG,
    ),
    "not identifiable, but a q": (
        ALIASED,
        {"contrasts": put({"contrast": NICHE, "gene": "Kitl"}, q=0.3)},
        WRONG,
    ),
    "not identifiable, but an interval": (
        ALIASED,
        {"contrasts": put({"contrast": NICHE, "gene": "Kitl"}, ci_low=0.3)},
        WRONG,
    ),
    "not identifiable, but only an effect": (
        ALIASED,
        {"contrasts": put({"contrast": NICHE, "gene": "Kitl"}, status="effect_only")},
        WRONG,
    ),
    "not identifiable, but not testable": (
        ALIASED,
        {"contrasts": put({"contrast": NICHE, "gene": "Kitl"}, status="not_testable")},
        WRONG,
    ),
    "not identifiable, no row": (ALIASED, {"contrasts": drop(contrast=NICHE)}, CANNOT_TELL),
    "not identifiable, not asked": ({**ALIASED, "when": {"chemistry_by": "tissue"}}, {}, NOT_ASKED),
    "no frequency": (NO_SHARE, {}, RIGHT),
    "no frequency, but a p": (
        NO_SHARE,
        {"composition": put({"contrast": NICHE}, p=0.2)},
        WRONG,
    ),
    "no frequency, no row": (NO_SHARE, {"composition": drop(contrast=NICHE)}, CANNOT_TELL),
    # frequencies
    "more frequent": (MORE, {}, RIGHT),
    "more frequent, but q is large": (
        MORE,
        {"composition": put({"cell_type": "endothelium"}, q=0.2)},
        WRONG,
    ),
    "more frequent, but less": (
        MORE,
        {"composition": put({"cell_type": "endothelium"}, effect=-1)},
        WRONG,
    ),
    "more frequent, no such cells": (
        MORE,
        {"composition": drop(cell_type="endothelium")},
        CANNOT_TELL,
    ),
    "less frequent, but more": ({**MORE, "finding": "down"}, {}, WRONG),
    "steady": (STEADY, {}, RIGHT),
    "steady, but called": (STEADY, {"composition": put({"cell_type": "T"}, q=0.04)}, WRONG),
    "one is steady, one is called": ({**STEADY, "cell_types": ["T", "endothelium"]}, {}, WRONG),
    "one is steady, one has no row": ({**STEADY, "cell_types": ["T", "stroma"]}, {}, CANNOT_TELL),
    "more frequent, not asked": ({**MORE, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    # the audit
    "design tested": (TESTED, {}, RIGHT),
    "design tested, but refused": ({**TESTED, "contrast": NICHE}, {}, WRONG),
    "design tested, but an effect only": (
        TESTED,
        {"design": put({"contrast": SPLEEN}, verdict="effect_only")},
        WRONG,
    ),
    "design refused": (REFUSED, {}, RIGHT),
    "design refused, but tested": ({**REFUSED, "contrast": SPLEEN}, {}, WRONG),
    "design refused for another reason": (
        REFUSED,
        {"design": put({"contrast": NICHE}, reason="niche cannot be told from study")},
        WRONG,
    ),
    "design refused without a reason": (
        REFUSED,
        {"design": put({"contrast": NICHE}, reason=None)},
        WRONG,
    ),
    "design, no row": ({**TESTED, "contrast": "other"}, {}, CANNOT_TELL),
    "design refused, no row": ({**REFUSED, "contrast": "other"}, {}, CANNOT_TELL),
    "design, not asked": ({**REFUSED, "when": {"chemistry_by": "tissue"}}, {}, NOT_ASKED),
    # maturation
    "rises": (RISES, {}, RIGHT),
    "rises from nothing": (RISES, {"counts": lambda t: t.assign(Cxcr2=t["Cxcr2"] - 1)}, RIGHT),
    "rises too little": ({**RISES, "min_fold": 12.0}, {}, WRONG),
    "rises, but falls in between": (
        RISES,
        {"counts": lambda t: t.assign(Cxcr2=t["Cxcr2"].replace(2, 9))},
        WRONG,
    ),
    "rises, but is flat": (RISES, {"counts": put({}, Cxcr2=3)}, WRONG),
    "rises, but falls": (RISES, {"counts": lambda t: t.assign(Cxcr2=9 - t["Cxcr2"])}, WRONG),
    "rises, but is never seen": (RISES, {"counts": put({}, Cxcr2=0)}, WRONG),
    "rises, but only with depth": (
        RISES,
        {"counts": lambda t: t.assign(n_counts=1000.0 * t["Cxcr2"])},
        WRONG,
    ),
    "rises, not in the data": (
        RISES,
        {"counts": lambda t: t.rename(columns={"Cxcr2": "Cxcr1"})},
        CANNOT_TELL,
    ),
    "rises, no such lineage": ({**RISES, "lineage": "stroma"}, {}, CANNOT_TELL),
    "rises, no maturation": (RISES, {"calls": put({}, maturation=np.nan)}, CANNOT_TELL),
    "rises, not asked": ({**RISES, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    # pathological cells
    "called": (CALLED, {}, RIGHT),
    "called, too few": (
        CALLED,
        {"calls": call(10, condition="tumour", tissue="spleen", planted=True)},
        WRONG,
    ),
    "called, too many": (
        CALLED,
        {"calls": call(6, condition="tumour", tissue="spleen", planted=False)},
        WRONG,
    ),
    "called, no cell in the table": (
        CALLED,
        {"calls": lambda t: put({}, pathological=False)(t)},
        WRONG,
    ),
    "called, but planted by another truth": (
        CALLED,
        {"cells": put({"planted": "state"}, planted="other")},
        WRONG,
    ),
    "called, but the gate is closed": (
        CALLED,
        {"gates": put({"tissue": "spleen"}, code="no_donor_level_excess")},
        WRONG,
    ),
    "called, but the gate was refused for its genes": (
        CALLED,
        {"gates": put({"tissue": "spleen"}, code="too_few_genes", status="score_only")},
        WRONG,
    ),
    "called, but too few mice": (
        CALLED,
        {"gates": put({"tissue": "spleen"}, code="too_few_case_donors", status="score_only")},
        CANNOT_TELL,
    ),
    "called, no gate": (CALLED, {"gates": drop(tissue="spleen")}, CANNOT_TELL),
    "called, not asked": ({**CALLED, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    "none called": (NAIVE, {}, RIGHT),
    "none called, but one": (
        NAIVE,
        {"calls": call(1, condition="naive", tissue="spleen", planted=False)},
        WRONG,
    ),
    "none called in marrow": (IN_MARROW, {}, RIGHT),
    "none called in marrow, but one": (
        IN_MARROW,
        {"calls": call(1, condition="tumour", tissue="bone marrow", planted=False)},
        WRONG,
    ),
    "none called of another signature": ({**IN_MARROW, "signature": "other"}, {}, CANNOT_TELL),
    "none called, no call was possible": (
        IN_MARROW,
        {"calls": put({"status": "tested"}, status="score_only", pathological=None)},
        CANNOT_TELL,
    ),
    "none called, not asked": (
        {**NAIVE, "condition": "LPS", "when": {"condition": "LPS"}},
        {},
        NOT_ASKED,
    ),
    # cells
    "doublets": (DOUBLETS, {}, RIGHT),
    "doublets score like cells": (DOUBLETS, {"barcodes": put({}, doublet_score=0.1)}, WRONG),
    "doublets score lower": (
        DOUBLETS,
        {"barcodes": lambda t: t.assign(doublet_score=-t["doublet_score"])},
        WRONG,
    ),
    "doublets were not scored": (
        DOUBLETS,
        {"barcodes": lambda t: t.assign(doublet_score=np.nan)},
        CANNOT_TELL,
    ),
    "doublets, not asked": ({**DOUBLETS, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    "ambient": (SOUP, {}, RIGHT),
    "ambient, but twice as much": (
        SOUP,
        {"barcodes": lambda t: t.assign(ambient=2 * t["ambient"])},
        WRONG,
    ),
    "ambient, but the same in all libraries": (
        SOUP,
        {"barcodes": lambda t: t.assign(ambient=0.05 + 1e-4 * (t["barcode"].astype(int) % 7))},
        WRONG,
    ),
    "ambient was not estimated": (
        SOUP,
        {"barcodes": lambda t: t.assign(ambient=np.nan)},
        CANNOT_TELL,
    ),
    "ambient, not asked": ({**SOUP, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    "named": (NAMED, {}, RIGHT),
    "one lineage is named another": (
        NAMED,
        {"annotation": put({"lineage": "T"}, lineage="NK")},
        WRONG,
    ),
    "one lineage is unresolved": (
        NAMED,
        {"annotation": put({"lineage": "T"}, lineage="unresolved")},
        WRONG,
    ),
    "no cell was named": (NAMED, {"annotation": lambda t: t.iloc[:0]}, CANNOT_TELL),
    "named, not asked": ({**NAMED, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
    "kept": (KEPT, {}, RIGHT),
    "one lineage is lost": (
        KEPT,
        {"barcodes": lambda t: t.assign(keep=t["keep"] & (t["barcode"].astype(int) < 165))},
        WRONG,
    ),
    "no live cell": (KEPT, {"cells": put({}, state="dying")}, CANNOT_TELL),
    "kept, not asked": ({**KEPT, "when": {"condition": "LPS"}}, {}, NOT_ASKED),
}


@pytest.mark.parametrize("case", CASES)
def test_the_judge_says_what_the_tables_say(tmp_path: Path, case: str):
    expected, changes, verdict = CASES[case]
    root = fake_results(tmp_path, **changes)
    table = judge([truth(expected)], root, fake_study())
    assert list(table) == [*COLUMNS]
    assert table["verdict"].tolist() == [verdict], table.loc[0, "found"]
    for column in ("expected", "found"):
        text = table.loc[0, column]
        assert text.endswith(".") and "nan" not in text and "None" not in text
    numbers = any(letter.isdigit() for letter in table.loc[0, "found"])
    assert numbers or verdict in (CANNOT_TELL, NOT_ASKED) or expected["table"] == "design"


def test_every_finding_has_a_case_of_each_verdict():
    seen: dict[str, set[str]] = {}
    for expected, _, verdict in CASES.values():
        seen.setdefault(f"{expected['table']} {expected['finding']}", set()).add(verdict)
    alike = {"contrasts down": "contrasts up", "composition down": "composition up"}
    for finding in JUDGES:
        verdicts = seen[finding] | seen.get(alike.get(finding, ""), set())
        assert verdicts | {NOT_ASKED} == set(VERDICTS), finding
    assert {table.split()[0] for table in seen} == {
        expected["table"] for expected, _, verdict in CASES.values() if verdict == NOT_ASKED
    }


def test_an_inflammation_control_is_judged_when_it_is_there(tmp_path: Path):
    expected = {**NAIVE, "condition": "LPS", "when": {"condition": "LPS"}}
    arms = [{"condition": name, "mice": 4} for name in ("naive", "tumour", "LPS")]
    conditions = ("naive", "tumour", "LPS")
    root = fake_results(tmp_path / "a", conditions)
    table = judge([truth(expected)], root, fake_study(arms=arms))
    assert table["verdict"].tolist() == [RIGHT]
    change = call(2, condition="LPS", tissue="spleen", planted=False)
    root = fake_results(tmp_path / "b", conditions, calls=change)
    table = judge([truth(expected)], root, fake_study(arms=arms))
    assert table["verdict"].tolist() == [WRONG]
    assert table.loc[0, "found"] == "2 cells called, by PMN MDSC splenic strict."


def test_sentences_state_the_numbers_of_the_tables(tmp_path: Path):
    root = fake_results(tmp_path)
    truths = [truth(one) for one in (UP, QUIET, CALLED, KEPT, RISES, SOUP, OWN)]
    found = judge(truths, root, fake_study())["found"].tolist()
    assert found[0] == (
        "Kitl in endothelium: log2 fold change +1.4 (+0.8 to +2.0), q 0.01, 120 and 60 cells."
    )
    assert found[1] == "Vcam1: 2 rows tested, smallest q 0.4."
    assert "Of 19 called cells 1 (5 %) are false; chance allows 4." in found[2]
    assert "Of 20 planted cells 18 (90 %) are called; 11 are needed." in found[2]
    assert found[3].startswith("Lost: 0 % of 720 live single cells")
    assert "100 % of 40 doublets and 100 % of 40 dying cells" in found[3]
    assert found[5].startswith("Correlation with the planted share 1.00 over 4 libraries, ")
    assert (
        "2.0 % to 8.0 % were planted as soup, 2.5 % to 8.5 % estimated; mean error 0.5 %."
        in found[5]
    )
    assert found[6] == (
        "Of 1 row called at q ≤ 0.1, 0 are of a gene that their cells were drawn without. "
        "Of 1 such row with counts 0 are taken for ambient."
    )
    assert found[4].endswith("of 240 cells from the least to the most mature: 10, 20 and 80.")


def test_the_shipped_expectations_can_be_put_in_words():
    for one in load_truths(SHIPPED, SCHEMA):
        for expected in one.expect:
            assert describe(expected).endswith(".")
            if expected["table"] == "myeloid":
                assert "MDSC-like" in describe(expected)
