"""What the tables of the index show of their files, and where they lead."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

import browser
from emhniche.report.index_tables import cluster_table, quality_table, sample_table
from emhniche.report.page_tables import PageTable
from emhniche.report.render import TEMPLATES, _environment
from emhniche.report.tables import RunTables, read_run
from fake_run import CONFIG, make_run, registry, sample_sheet
from workflow import ROOT

PAGE = """<!doctype html><style>{{ style }}</style>
{% from "macros.html.j2" import show_table %}
<div class="page with-contents"><nav></nav><main>
{% for one in tables %}{{ show_table(one) }}{% endfor %}
</main></div><script>{{ script }}</script>"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    root: Path = make_run(tmp_path_factory.mktemp("run"))
    return read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())


def with_table(run: RunTables, name: str, table: pd.DataFrame) -> RunTables:
    return replace(run, tables={**run.tables, name: table})


def keys(table: PageTable) -> list[str]:
    return [column.key for column in table.columns]


def shown(table: PageTable, heading: str) -> list[str]:
    place = [column.heading for column in table.columns].index(heading)
    return [row[place][1] for row in table.rows]


def test_clusters_show_the_confidence_of_both_names(run: RunTables):
    table = cluster_table(run)
    shown = keys(table)
    assert shown.index("confidence") == shown.index("lineage") + 1
    assert shown.index("cell_type_confidence") == shown.index("cell_type") + 1
    place = shown.index("cell_type_confidence")
    assert [row[place][1] for row in table.rows] == ["1.00", "0.60", "0.80", "0.52", "–"]


def test_parts_of_clusters_are_told_only_where_one_has_another_lineage(run: RunTables):
    table = cluster_table(run)
    assert {"part", "agreement"} <= set(keys(table)) and "Agreement:" in table.caption
    alike = cluster_table(
        with_table(run, "cluster_types", run["cluster_types"].assign(agreement=1.0))
    )
    assert not {"part", "agreement"} & set(keys(alike)) and "Agreement:" not in alike.caption


def test_first_markers_lead_to_their_table(run: RunTables):
    assert cluster_table(run).sources == ("../annotate/clusters.tsv", "../annotate/markers.tsv")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("agrees", "agrees"),
        ("contradicts", "contradicts: male"),
        ("donor_disagrees", "male, unlike donor"),
        ("mixed", "both sexes"),
        ("one_sex", "male alone"),
        ("not_stated", "male"),
        ("not_testable", "–"),
    ],
)
def test_samples_show_the_sex_check(run: RunTables, status: str, word: str):
    libraries = run["libraries"].assign(sex_status=status, sex_observed="male")
    assert shown(sample_table(with_table(run, "libraries", libraries)), "Sex check") == [word] * 4


def test_quality_shows_doublets_and_ambient_rna_and_why_a_verdict(run: RunTables):
    libraries = run["libraries"].assign(share_doublets=[0.05, None, 0.0, None])
    table = quality_table(with_table(run, "libraries", libraries))
    assert shown(table, "Doublets %") == ["5 %", "–", "0 %", "–"]
    assert shown(table, "Ambient %") == ["3 %", "–", "–", "–"]
    assert sum(why != "–" for why in shown(table, "Reason of the verdict")) == 1
    passed = run["libraries"].assign(verdict="pass", verdict_reason="")
    assert "verdict_reason" not in keys(quality_table(with_table(run, "libraries", passed)))


def test_what_samples_share_and_what_no_sheet_states_is_said_once(run: RunTables):
    alike = replace(run, samples=run.samples.assign(tissue="spleen", enrichment="none", sex=""))
    table = sample_table(alike)
    assert not {"tissue", "enrichment", "sex"} & set(keys(table)) and "condition" in keys(table)
    assert " The same for all: tissue spleen; not sorted or enriched." in table.caption
    assert table.caption.endswith(" The sheet states no sex for any of them.")
    assert {"tissue", "enrichment", "sex"} <= set(keys(sample_table(run)))


def public_like(run: RunTables, **sheet: Callable) -> RunTables:
    """Return a run with the sheet of the public data, and all that samples can be told of."""
    samples = pd.read_csv(ROOT / "config/public.tsv", sep="\t", dtype=str, keep_default_na=False)
    samples = samples.set_index("sample").assign(**sheet)
    samples["donor_known"] = samples["donor"] != ""
    order = np.arange(len(samples))
    states = ["not_stated", "donor_disagrees", "contradicts", "mixed", "not_testable", "agrees"]
    numbers = {"n_in": 12417, "n_kept": 12358, "median_counts": 11912.0, "median_genes": 2737.0}
    libraries = pd.DataFrame({"sample": samples.index, **numbers}).assign(
        verdict=np.where(order == 1, "fail", "warn"),
        kept=order != 1,
        verdict_reason=np.where(order < 4, "genes of both sexes: more than one donor, or RNA", ""),
        share_kept=1.0,
        kept_pct_mito=np.where(order < 9, np.nan, 12.25),
        share_doublets=np.where(order < 9, 0.12, np.nan),
        ambient=np.where(order < 9, 0.44, np.nan),
        sex_status=[states[i % len(states)] for i in order],
        sex_observed="female",
    )
    return with_table(replace(run, samples=samples), "libraries", libraries)


KNOWN = {
    "sex": lambda sheet: np.where(np.arange(len(sheet)) % 2, "female", "male"),
    "donor": lambda sheet: "mouse_of_" + sheet.index,
}


@pytest.mark.parametrize("sheet", [{}, KNOWN])
def test_tables_of_many_datasets_fit_a_desk_and_scroll_with_a_notice(run, tmp_path, sheet):
    given = public_like(run, **sheet)
    tables = [sample_table(given), quality_table(given)]
    assert len(keys(tables[0])) + len(keys(tables[1])) >= 20
    page = tmp_path / "tables.html"
    files = {"style": "style.css", "script": "report.js"}
    own = {name: Markup((TEMPLATES / file).read_text("utf-8")) for name, file in files.items()}
    page.write_text(_environment().from_string(PAGE).render(tables=tables, **own), "utf-8")
    with browser.started() as chromium:
        for width, cut in ((1440, 0), (390, 2)):
            with browser.opened(chromium, page, width=width) as one:
                assert len(browser.cut_boxes(one.page)) == cut, browser.cut_boxes(one.page)
                browser.fits(one.page, width)
                hints = one.page.locator("p.hint", has_text="Scroll sideways")
                one.page.wait_for_timeout(100)
                assert hints.count() == cut
