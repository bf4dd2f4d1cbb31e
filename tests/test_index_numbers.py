"""Every number that a sentence of the index states is the tables', and a wrong one is noticed."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.io import write_table
from emhniche.report.cellxgene import FROM_SHEET_ONLY
from emhniche.report.tables import read_run
from fake_run import (
    CONFIG,
    build_pages,
    libraries,
    make_run,
    registry,
    sample_sheet,
    write_page,
    write_provenance,
)
from page_text import linked, numbered, table_rows
from stated import Tables, close, glance, percent, sentences
from traced import expected_glance, numbers_off_by_one, untraced
from traced_page import Tracer, lacking
from traced_rows import PINS, off_by_one
from traced_sample import Sample, sample_faults, untraced_sample
from traced_tables import untraced_table, untraced_tables


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
    return Tables.of_run(run), sentences(root / "report/index.html")


def test_every_sentence_states_the_tables_numbers(told):
    tables, said = told
    assert len(said) >= 8
    assert untraced(tables, said) == []


def test_the_numbers_at_the_head_are_the_tables(told):
    tables, _ = told
    assert glance(tables.root / "report/index.html") == expected_glance(tables)


def test_every_number_of_the_page_is_traced(told):
    tables, _ = told
    tracer = Tracer(tables, tables.root / "report/index.html")
    assert tracer.untraced() == []
    assert lacking(tables) == [*FROM_SHEET_ONLY]
    tags = Counter(block.tag for block in tracer.blocks)
    assert tags["figcaption"] >= 8 and tags["p"] > 12 and tags["li"] > 10
    sections = {block.section for block in tracer.blocks}
    assert {"asked", "integration", "cells", "methods", "limits", "provenance"} <= sections


def test_every_number_of_a_table_is_in_the_file_that_is_linked(told):
    tables, _ = told
    page = tables.root / "report/index.html"
    shown = table_rows(page)
    assert {"samples-table", "quality-table", "design-table", "production-table"} <= set(shown)
    assert untraced_tables(tables, page) == []
    listed = pd.read_csv(linked(page, "loss-table")[0], sep="\t")
    assert len(shown["loss-table"]) == (listed["n_in"] >= 10).sum() > 4
    captions = re.findall(r'<p class="table-caption".*?</p>', page.read_text("utf-8"), re.DOTALL)
    assert len(captions) > 8
    assert [caption for caption in captions if 'href="' not in caption] == []


@pytest.mark.parametrize("told", ["called"], indirect=True)
def test_a_wrong_number_in_a_caption_or_a_method_is_noticed(told):
    tables, _ = told
    tracer = Tracer(tables, tables.root / "report/index.html")
    believed, n = [], 0
    for block in tracer.blocks:
        for wrong in numbers_off_by_one(block.text):
            n += 1
            if not tracer.faults(block, wrong):
                believed.append(wrong)
    assert n > 100
    assert believed == []


@pytest.mark.parametrize("told", ["called"], indirect=True)
def test_a_wrong_number_in_a_table_is_noticed(told):
    tables, _ = told
    page = tables.root / "report/index.html"
    believed, n = [], 0
    for name, rows in table_rows(page).items():
        for heading in PINS.get(name, {}):
            changed = off_by_one(rows, heading.split("[")[0])
            if changed:
                n += 1
                if not untraced_table(tables, name, changed, linked(page, name)):
                    believed.append((name, heading))
    assert n >= 20
    assert believed == []


@pytest.mark.parametrize("told", ["called"], indirect=True)
def test_every_number_of_a_sample_page_is_traced(told):
    tables, _ = told
    sample = "s3"
    write_page(tables.root, sample)
    page = tables.root / "samples" / sample / "qc.html"
    sheet = tables.samples.loc[sample].to_dict()
    one = Sample.of_run(tables.root, sample, sheet, tables.config["qc"])
    assert untraced_sample(one, page) == []
    said = numbered(page)
    assert len(said) > 15
    html = page.read_text("utf-8")
    for block in said:
        for wrong in numbers_off_by_one(block.text):
            assert sample_faults(one, wrong), wrong
    kept = f'<td class="n">{one.qc["lineages"][0]["n_kept"]}</td>'
    assert html.count(kept) >= 1
    page.write_text(html.replace(kept, kept.replace("</", "1</"), 1), "utf-8")
    assert untraced_sample(one, page) != []


def test_a_wrong_number_is_noticed(told):
    tables, said = told
    wrong = [one for sentence in said for one in numbers_off_by_one(sentence)]
    assert len(wrong) >= 12
    believed = [one for one in wrong if not untraced(tables, [one])]
    assert believed == []


@pytest.mark.parametrize("told", ["called"], indirect=True)
def test_why_the_emh_index_cannot_be_compared_is_the_tables_reason(told, monkeypatch):
    tables, _ = told
    path, title = "niche/emh_contrasts.tsv", next(iter(tables.contrast))
    table = tables.read(path).assign(effect=np.nan, reason="every naive library is sorted (Kit+)")
    monkeypatch.setitem(tables.held, path, table)
    said = f"{title}: the EMH index cannot be compared."
    assert untraced(tables, [f"{said} Every naive library is sorted (Kit+)."]) == []
    assert untraced(tables, [f"{said} Every naive library is sorted."]) != []
    assert untraced(tables, [said]) != []


def test_numbers_are_read_to_the_digits_they_show():
    assert close("1,234", 1234.4) and not close("1,234", 1235)
    assert close("−0.4", -0.369) and not close("+0.4", -0.369)
    assert percent("<1 %", 0.004) and not percent("<1 %", 0.0)
    assert percent(">99 %", 0.996) and not percent("100 %", 0.993)
