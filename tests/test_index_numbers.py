"""Every number that a sentence of the index states is the tables', and a wrong one is noticed."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from emhniche.io import write_table
from emhniche.report import words
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
from stated import Tables, close, glance, linked_table, percent, sentences, table_rows
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


def test_every_number_of_the_samples_is_in_the_file_that_is_linked(told):
    tables, _ = told
    page = tables.root / "report/index.html"
    check_rows(table_rows(page, "samples-table"), linked_table(page, "samples-table"), SAMPLES_SHOW)
    losses = linked_table(page, "loss-table")
    shown = table_rows(page, "loss-table")
    check_rows(shown, losses, LOSSES_SHOW, key=["Sample", "Lineage"])
    listed = pd.read_csv(losses, sep="\t")
    assert len(shown) == (listed["n_in"] >= 10).sum() > 4
    captions = re.findall(r'<p class="table-caption".*?</p>', page.read_text("utf-8"), re.DOTALL)
    assert len(captions) > 8
    assert [caption for caption in captions if 'href="' not in caption] == []


SAMPLES_SHOW = {
    "Barcodes": ("n_in", close),
    "Kept": ("n_kept", close),
    "Kept %": ("share_kept", percent),
    "Counts": ("median_counts", close),
    "Genes": ("median_genes", close),
    "Mito %": ("kept_pct_mito", close),
    "Doublets %": ("share_doublets", percent),
    "Ambient %": ("ambient", percent),
}
LOSSES_SHOW = {
    "Barcodes": ("n_in", close),
    "Kept": ("n_kept", close),
    "Lost": ("share_lost", percent),
}
"""Heading -> column of the linked file, and what tells that the text is the number."""


def check_rows(rows: list[dict], file: Path, shows: dict, key: Sequence[str] = ("Sample",)) -> None:
    """Compare each number of a table with the file it links; a dash stands for no value."""
    listed = pd.read_csv(file, sep="\t", dtype={"sample": str})
    names = [listed[one.lower()].map(words.name if one != "Sample" else str) for one in key]
    listed = listed.set_index(pd.MultiIndex.from_arrays([*names, [""] * len(listed)]))
    assert rows
    for row in rows:
        own = listed.loc[tuple([*(row[one] for one in key), ""])]
        for heading, (column, same) in shows.items():
            if pd.isna(own[column]):
                assert row[heading] == "–", (row, heading)
            else:
                assert same(row[heading], own[column]), (row, heading)
                assert not same(row[heading], own[column] + 2), (row, heading)


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
