"""Every number that a sentence of the index states is the tables', and a wrong one is noticed."""

from pathlib import Path

import pytest

from emhniche.io import write_table
from emhniche.report.tables import contrast_titles, read_run
from fake_run import (
    CONFIG,
    build_pages,
    libraries,
    make_run,
    registry,
    sample_sheet,
    write_provenance,
)
from stated import Tables, close, glance, percent, sentences
from traced import expected_glance, numbers_off_by_one, untraced


@pytest.fixture(scope="module", params=["called", "refused", "nothing testable", "failed"])
def told(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, list[str]]:
    """The tables of a made-up run, and what its index says."""
    root: Path = tmp_path_factory.mktemp("run")
    testable = request.param != "nothing testable"
    myeloid = {"nothing testable": "none", "failed": "called"}.get(request.param, request.param)
    make_run(root, testable=testable, myeloid=myeloid)
    if request.param == "failed":
        write_table(libraries(root, s1="too few cells, 3 of 20"), root / "samples.tsv")
    write_provenance(root)
    build_pages(root, [])
    run = read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())
    tables = Tables(root, contrast_titles(run), run.cells)
    return tables, sentences(root / "report/index.html")


def test_every_sentence_states_the_tables_numbers(told):
    tables, said = told
    assert len(said) >= 8
    assert untraced(tables, said) == []


def test_the_numbers_at_the_head_are_the_tables(told):
    tables, _ = told
    assert glance(tables.root / "report/index.html") == expected_glance(tables)


def test_a_wrong_number_is_noticed(told):
    tables, said = told
    wrong = [one for sentence in said for one in numbers_off_by_one(sentence)]
    assert len(wrong) >= 12
    believed = [one for one in wrong if not untraced(tables, [one])]
    assert believed == []


def test_numbers_are_read_to_the_digits_they_show():
    assert close("1,234", 1234.4) and not close("1,234", 1235)
    assert close("−0.4", -0.369) and not close("+0.4", -0.369)
    assert percent("<1 %", 0.004) and not percent("<1 %", 0.0)
    assert percent(">99 %", 0.996) and not percent("100 %", 0.993)
