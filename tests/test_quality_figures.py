"""Figures of quality by sample show the numbers of their tables, and nothing where nothing is."""

import numpy as np
import pandas as pd
import pytest

from emhniche.report.quality_figures import loss_counts, losses, quality, quality_by_sample

QC = {
    "a": {"n_in": 700, "n_kept": 665, "removed": {"doublet": 28, "high_mito": 7}},
    "b": {"n_in": 20, "n_kept": 20, "removed": {}},
}


def cells() -> pd.DataFrame:
    counts = np.arange(1, 102) * 10.0
    whole = pd.DataFrame(
        {"sample": "a", "n_counts": counts, "n_genes": counts / 2, "pct_mito": 3.0}
    )
    return pd.concat([whole, whole.assign(sample="b", pct_mito=np.nan)], ignore_index=True)


SHEET = pd.DataFrame(index=["a", "b", "out"])


def test_losses_show_barcodes_and_on_their_own_axis_what_was_removed():
    left, right = losses(loss_counts(QC)).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["b", "a"]
    assert left.get_xlim()[1] == pytest.approx(707), "no more than the barcodes need"
    widths = {bar.get_y(): 0.0 for bar in right.patches}
    for bar in right.patches:
        widths[bar.get_y()] += bar.get_width()
    assert sorted(widths.values()) == pytest.approx([0, 5])
    assert right.get_xlim()[1] < 6, "a loss of 5 % fills the axis"
    assert {text.get_text() for text in right.texts} == {"5 %", "0 %"}


def test_quantiles_are_those_of_the_kept_cells():
    table = quality_by_sample(cells(), SHEET).set_index(["sample", "metric"])
    row = table.loc["a", "n_counts"]
    assert (row["n_cells"], row["q25"], row["median"], row["q95"]) == (101, 260, 510, 960)
    assert table.loc[("b", "pct_mito"), "n_cells"] == 0
    assert np.isnan(table.loc[("b", "pct_mito"), "median"])
    assert table.loc["out", "n_cells"].eq(0).all()


def test_counts_are_on_a_log_axis_and_what_was_not_measured_is_said():
    counts, genes, mito = quality(quality_by_sample(cells(), SHEET)).axes
    assert counts.get_xscale() == genes.get_xscale() == "log" and mito.get_xscale() == "linear"
    assert [text.get_text() for text in mito.texts] == ["no cell in the run", "not measured"]
    assert [text.get_text() for text in counts.texts] == ["no cell in the run"]
    assert quality(quality_by_sample(cells().iloc[:0], SHEET)) is None
