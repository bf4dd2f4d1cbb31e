"""The dot plot of markers: what stands where, and that many clusters stay readable."""

import numpy as np
import pandas as pd

from emhniche.report import figures
from emhniche.report.marker_figure import DOT, MAX_GENES, MIN_SHOWN, markers

LINEAGES = ["neutrophil", "B", "stroma", "unresolved"]


def run_of(n_clusters: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return levels and names of clusters of which each has three genes of its own."""
    clusters = np.arange(n_clusters)
    levels = pd.DataFrame(
        {
            "cluster": np.tile(clusters, 3 * n_clusters),
            "gene": np.repeat([f"G{number}" for number in range(3 * n_clusters)], n_clusters),
            "marker_of": np.repeat(clusters, 3 * n_clusters),
            "n_cells": 100,
        }
    )
    own = levels["cluster"] == levels["marker_of"]
    levels["pct_cells"] = np.where(own, 81.0, np.where(levels["cluster"] % 2, 9.0, 0.4))
    levels["mean_level"] = np.where(own, 2.0, 0.1)
    named = pd.DataFrame({"cluster": clusters, "dataset": np.nan, "n_cells": 100})
    named["lineage"] = [LINEAGES[number % len(LINEAGES)] for number in clusters]
    return levels, named.assign(cell_type=named["lineage"])


def dots(figure) -> pd.DataFrame:
    """Return the dots that are drawn: panel, row, column, area and colour."""
    rows = []
    *panels, _ = figure.axes  # the last is the scale of the colours
    for number, axis in enumerate(panels):
        for one in axis.collections:
            values = zip(*one.get_offsets().T, one.get_array(), strict=True)
            rows += [(number, y, x, one.get_sizes()[0], value) for x, y, value in values]
    return pd.DataFrame(rows, columns=["panel", "row", "column", "area", "level"])


def test_rows_are_by_lineage_and_each_dot_says_how_many_cells_have_the_gene():
    figure = markers(*run_of(8))
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [row.split()[0] for row in rows] == ["1", "5", "0", "4", "2", "6", "3", "7"]
    genes = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert genes[:6] == ["G3", "G4", "G5", "G15", "G16", "G17"]
    drawn = dots(figure)
    own = drawn[drawn["level"] == 2]
    # the markers of a row stand below it, three by three; areas are in proportion
    assert (own["column"] // 3 == own["row"]).all() and len(own) == 24
    few = drawn.loc[drawn["level"] < 2, "area"]
    assert few.nunique() == 1
    assert own["area"].iloc[0] / few.iloc[0] == 80 / 8
    # below one cell in a hundred there is no dot
    assert len(few) == 4 * 24 - 12
    assert MIN_SHOWN > 0.4


def test_forty_clusters_take_panels_of_a_page_width_and_a_small_file():
    figure = markers(*run_of(40))
    drawn = dots(figure)
    assert drawn["panel"].nunique() == 2
    assert (drawn.groupby("panel")["column"].max() < MAX_GENES).all()
    assert figure.get_figwidth() <= 12 and DOT * 72 >= 10
    assert len(figures.to_svg(figure, name="markers", description="dots")) < 900_000


def test_without_levels_there_is_no_figure():
    levels, named = run_of(4)
    assert markers(levels.iloc[:0], named) is None
