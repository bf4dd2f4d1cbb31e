"""The tables that the figures of a sample's page link hold what quality control found."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.io import read_json, read_table
from emhniche.report import sample_states
from emhniche.report.sample_figures import by_size
from emhniche.report.sample_tables import (
    QUANTILES,
    ambient_table,
    sample_tables,
    write_sample_tables,
)
from fake_run import make_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_run(tmp_path_factory.mktemp("run"))
    folder = root / "samples/s3"
    made = sample_tables(read_json(folder / "qc.json"), read_table(folder / "qc.parquet"))
    write_sample_tables(made, folder)
    return root


@pytest.fixture(scope="module")
def given(root: Path) -> tuple[dict, pd.DataFrame]:
    folder = root / "samples/s3"
    return read_json(folder / "qc.json"), read_table(folder / "qc.parquet")


def test_tables_hold_what_quality_control_found(root: Path, given):
    qc, barcodes = given
    folder = root / "samples/s3"
    told = pd.read_csv(folder / "qc_barcodes.tsv", sep="\t", keep_default_na=False, na_values=[""])
    assert list(told["barcode"]) == list(barcodes["barcode"])
    assert "fingerprint" not in told
    for column in ("n_counts", "n_genes", "pct_mito", "complexity", "doublet_score", "s_score"):
        np.testing.assert_allclose(told[column], barcodes[column], rtol=1e-5, equal_nan=True)
    assert list(told["keep"]) == list(barcodes["keep"])
    thresholds = read_table(folder / "qc_thresholds.tsv")
    assert thresholds["value"].tolist() == [row["value"] for row in qc["thresholds"]]
    lineages = read_table(folder / "qc_lineages.tsv").set_index("lineage")
    kept = barcodes[barcodes["keep"]]
    for row in qc["lineages"]:
        own = lineages.loc[row["lineage"]]
        assert (own["n_in"], own["n_kept"]) == (row["n_in"], row["n_kept"])
        removed = own.filter(like="removed_")
        assert removed.sum() == row["n_in"] - row["n_kept"]
        for reason, n in row["removed"].items():
            assert removed[f"removed_{reason}"] == n
        phases = kept.loc[kept["lineage"] == row["lineage"], "phase"].value_counts()
        assert own.filter(like="phase_").to_dict() == {f"phase_{x}": n for x, n in phases.items()}


def test_distributions_are_drawn_from_their_quantiles(root: Path, given):
    qc, barcodes = given
    quantiles = sample_tables(qc, barcodes)["qc_metrics.tsv"]
    own = barcodes[(barcodes["lineage"] == "erythroid") & barcodes["keep"]]
    for metric in ("complexity", "pct_ribo", "stress_score"):
        (row,) = quantiles.query(
            "metric == @metric and lineage == 'erythroid' and fate == 'kept'"
        ).to_dict("records")
        assert row["n"] == len(own)
        for name, at in QUANTILES.items():
            assert row[name] == pytest.approx(np.quantile(own[metric], at))
    lineages = by_size(barcodes)
    axis = sample_states.composition(quantiles, lineages).axes[0]
    drawn = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    shown = quantiles[quantiles["n"] >= sample_states.FEWEST]
    assert sorted(drawn) == sorted(shown.query("metric == 'complexity'")["median"])


def test_what_was_not_measured_has_no_row_and_is_said(given):
    qc, barcodes = given
    blank = barcodes.assign(pct_hb=np.nan, phase=None, s_score=np.nan, g2m_score=np.nan)
    tables = sample_tables(qc, blank)
    assert "pct_hb" not in set(tables["qc_metrics.tsv"]["metric"])
    counts, quantiles = tables["qc_lineages.tsv"], tables["qc_metrics.tsv"]
    assert counts.filter(like="phase_").to_numpy().sum() == 0
    lineages = by_size(blank)
    said = [
        text.get_text() for text in sample_states.composition(quantiles, lineages).axes[2].texts
    ]
    assert said == ["not measured"]
    figure = sample_states.states(blank, counts, quantiles, lineages)
    assert [text.get_text() for text in figure.axes[0].texts] == ["not scored"]
    nothing = quantiles[quantiles["metric"] != "stress_score"]
    assert sample_states.states(blank, counts, nothing, lineages) is None


def test_a_library_of_which_nothing_is_kept_has_its_tables(given):
    qc, barcodes = given
    gone = barcodes.assign(keep=False)
    tables = sample_tables(qc, gone)
    assert set(tables["qc_metrics.tsv"]["fate"]) == {"removed"}
    assert tables["qc_lineages.tsv"].filter(like="phase_").to_numpy().sum() == 0
    lineages = by_size(gone)
    assert sample_states.composition(tables["qc_metrics.tsv"], lineages) is not None
    counts, quantiles = tables["qc_lineages.tsv"], tables["qc_metrics.tsv"]
    assert sample_states.states(gone, counts, quantiles, lineages) is None


def test_every_sample_of_the_rule_has_these_tables(given):
    rules = (Path(__file__).parents[1] / "workflow/rules/report.smk").read_text(encoding="utf-8")
    body = rules[rules.index("rule qc_page:") : rules.index("rule provenance:")]
    named = re.search(r"qc_\{name\}\.tsv\"\s+for name in (\([^)]*\))", body)[1]
    written = {Path(name).stem.removeprefix("qc_") for name in sample_tables(*given)}
    assert set(re.findall(r'"(\w+)"', named)) == written


def test_ambient_genes_are_numbers_in_a_file_and_on_the_page(root: Path, given):
    qc, _ = given
    told = read_table(root / "samples/s3/qc_ambient.tsv")
    assert told["gene"].tolist() == [row["gene"] for row in qc["ambient_genes"]]
    table = ambient_table(told)
    assert table.sources == ("qc_ambient.tsv",) and table.caption
    row = {column.heading: cell for column, cell in zip(table.columns, table.rows[0], strict=True)}
    assert row["Barcodes with it"] == ("number", "21", 21)
    assert row["Share"] == ("number", "84 %", 21 / 25)
    assert not ambient_table(
        sample_tables(qc | {"ambient_genes": []}, given[1])["qc_ambient.tsv"]
    ).rows
