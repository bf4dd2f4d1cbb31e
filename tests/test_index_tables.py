"""What the tables of the index show of their files, and where they lead."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from emhniche.report.index_tables import cluster_table, sample_table
from emhniche.report.page_tables import PageTable
from emhniche.report.tables import RunTables, read_run
from fake_run import CONFIG, make_run, registry, sample_sheet


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    root: Path = make_run(tmp_path_factory.mktemp("run"))
    return read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())


def with_table(run: RunTables, name: str, table: pd.DataFrame) -> RunTables:
    return replace(run, tables={**run.tables, name: table})


def keys(table: PageTable) -> list[str]:
    return [column.key for column in table.columns]


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
        ("not_stated", "male, sheet silent"),
        ("not_testable", "–"),
    ],
)
def test_samples_show_doublets_ambient_and_the_sex_check(run: RunTables, status: str, word: str):
    libraries = run["libraries"].assign(
        sex_status=status, sex_observed="male", share_doublets=[0.05, None, 0.0, None]
    )
    table = sample_table(with_table(run, "libraries", libraries))
    place = {column.heading: number for number, column in enumerate(table.columns)}
    assert {row[place["Sex check"]][1] for row in table.rows} == {word}
    doublets = [row[place["Doublets %"]][1] for row in table.rows]
    assert doublets == ["5 %", "–", "0 %", "–"]
    assert [row[place["Ambient %"]][1] for row in table.rows] == ["3 %", "–", "–", "–"]
