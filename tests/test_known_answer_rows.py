"""A table of known answers is right in every row, or one line says what is wrong."""

from pathlib import Path

import pandas as pd
import pytest

from emhniche import known_answer_settings
from emhniche.errors import InputError
from emhniche.io import read_table, write_table
from emhniche.known_answer_rows import load_checks
from emhniche.known_answers import KINDS, main, readable
from made_up_answers import ANSWERS, LEPR, ROOT


def test_the_shipped_table_is_sound_and_asks_each_claim():
    checks = load_checks(ANSWERS)
    assert {check.texts["id"] for check in checks} == {f"KA{i:02}" for i in range(1, 17)}
    assert {check.kind for check in checks} == set(KINDS)
    table = read_table(ANSWERS)
    assert (table.groupby("id")[["claim", "source", "verification"]].nunique() == 1).all(axis=None)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("kind", "guess", r"row 2 \(KA01.cxcl12\): kind 'guess' is unknown"),
        ("scope", "other", r"row 2 \(KA01.cxcl12\): scope 'other' is unknown"),
        ("settings", "genes", r"settings hold 'genes'; they would be key=value"),
        ("check", "KA01.kitl", r"row 3: KA01.kitl is there twice"),
        ("check", "", r"row 2 \(\): check is empty"),
        ("source", " ", r"row 2 \(KA01.cxcl12\): source is empty"),
        ("verification", "", r"row 2 \(KA01.cxcl12\): verification is empty"),
        ("runs_on", "", r"row 2 \(KA01.cxcl12\): runs_on is empty"),
        ("runs_on", "GSE1;", r"runs_on 'GSE1;' has an empty name"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, column, value, message):
    table = read_table(ANSWERS).fillna("")
    table.loc[0, column] = value
    write_table(table, tmp_path / "answers.tsv")
    with pytest.raises(InputError, match=message):
        load_checks(tmp_path / "answers.tsv")


TWO_RISING = "genes=A,B; early=x; late=y; at_least=2"


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("highest", LEPR.replace("top=", "tops="), "has no setting 'tops'; did you mean 'top'?"),
        (
            "highest",
            "genes=A; by=label; libraries=1",
            "settings lack top; kind highest needs genes",
        ),
        ("highest", LEPR + "; share=1", "settings hold share twice"),
        ("highest", LEPR.replace("0.83", "abc"), "share is 'abc'; it would be a number above 0"),
        ("highest", LEPR.replace("0.83", "5"), "share is '5'; it would be a number above 0"),
        ("highest", LEPR.replace("0.83", "0"), "share is '0'; it would be a number above 0"),
        ("highest", LEPR.replace("0.83", "nan"), "share is 'nan'; it would be a number above 0"),
        ("highest", LEPR.replace("=2", "=-5"), "libraries is '-5'; it would be a whole number"),
        ("highest", LEPR.replace("=2", "=two"), "libraries is 'two'; it would be a whole number"),
        ("highest", LEPR.replace("=2", "=1.5"), "libraries is '1.5'; it would be a whole number"),
        ("highest", LEPR.replace("=cell_type", "=celltype"), "by is 'celltype'; it would be one"),
        ("highest", LEPR + "; whole=vessel", "whole is 'vessel'; it would be some of B, plasma"),
        ("highest", LEPR.replace("Cxcl12", "Kitl,"), "genes is 'Kitl,'; it would be names, each"),
        ("highest", LEPR.replace("Cxcl12", "A,A"), "genes is 'A,A'; it would be names, each"),
        ("ordered", "genes=A; by=label; order=a,b,c,d; libraries=1", "one of rho_at_least, rho_at"),
        (
            "ordered",
            "genes=A; by=label; order=a,b,c; libraries=1; rho_at_least=1",
            "order is 'a,b,c'; it would be at least 4 names",
        ),
        (
            "ordered",
            "genes=A; by=label; order=a,b,c,d; libraries=1; rho_at_least=2",
            "rho_at_least is '2'; it would be a number from -1 to 1",
        ),
        ("rising", TWO_RISING.replace("at_least=2", "at_least=3"), "at_least is 3, of 2 genes"),
        ("rising", TWO_RISING + "; lineage=Tcell", "lineage is 'Tcell'; it would be some of B"),
        ("rare", "by=label; group=T; libraries=1; below=1%", "below is '1%'; it would be a number"),
        ("rare", "by=label; group=T; libraries=1; below=1; arm=ill", "arm is 'ill'; it would be"),
        ("exclusive", "genes=A,B,C; without=D", "genes is 'A,B,C'; it would be 2 names"),
        ("cycling", "sets=S; higher=spleen; lower=spleen", "higher and lower are both 'spleen'"),
        (
            "tested_up",
            "contrast=c; genes=A; cell_type=B; level=cell",
            "level is 'cell'; it would be one of",
        ),
        ("raw_rise", "signature=X,Y; lineage=B", "signature is 'X,Y'; it would be one name"),
    ],
)
def test_wrong_settings_are_refused_when_the_table_is_read(tmp_path, kind, settings, message):
    table = read_table(ANSWERS).fillna("").head(1)
    write_table(table.assign(kind=kind, settings=settings), tmp_path / "answers.tsv")
    with pytest.raises(InputError) as error:
        load_checks(tmp_path / "answers.tsv")
    assert message in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'answers.tsv'}: row 2 (KA01.cxcl12): ")
    assert "\n" not in str(error.value)


def test_every_kind_that_is_answered_has_its_settings_listed():
    assert set(known_answer_settings.KINDS) == set(KINDS)
    listed = (ROOT / "docs" / "known_answers.md").read_text(encoding="utf-8")
    for kind in known_answer_settings.KINDS.values():
        assert all(f"`{key}`" in listed for key in (*kind.needed, *kind.possible))


def test_the_terminal_shows_what_failed(tmp_path, capsys, monkeypatch):
    table = pd.DataFrame(
        {
            "check": ["a", "bb", "c"],
            "status": ["fail", "not_testable", "pass"],
            "observed": ["rho 0.1", "no dataset", "rank 1"],
            "scope": ["published", "published", "stand_in"],
        }
    )
    assert readable(table).splitlines() == [
        "-     bb  no dataset",
        "pass  c   rank 1 [stand-in data]",
        "FAIL  a   rho 0.1",
        "1 pass, 1 fail, 1 not testable",
    ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("run: mine\n", encoding="utf-8")
    write_table(table, tmp_path / "results" / "mine" / "known_answers.tsv")
    assert main(["mine.yaml"]) == 0, "a claim that fails is a result"
    assert "FAIL  a" in capsys.readouterr().out
    (tmp_path / "other.yaml").write_text("run: other\n", encoding="utf-8")
    assert main(["other.yaml"]) == 1
    assert "make known-answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "mine.yaml: no such file"),
        ("samples: s.tsv\n", "mine.yaml: run: missing"),
        ("", "mine.yaml: run: missing"),
        ("run: [a]\n", "mine.yaml: run: missing or no text"),
        ("- run\n", "mine.yaml: run: missing"),
        ("run: [a\n", "mine.yaml: not YAML"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_one_line(
    tmp_path, capsys, monkeypatch, text, message
):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("mine.yaml").write_text(text, encoding="utf-8")
    assert main(["mine.yaml"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {message}")
    assert said.err.count("\n") == 1
