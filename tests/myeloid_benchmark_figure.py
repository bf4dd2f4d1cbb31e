"""How do calls of planted cells hang on donors, cells, fraction, fold, depth and donor spread?"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from emhniche.io import atomic_path
from emhniche.report.figures import INK, QUIET, STYLE, new_figure, styled

METHODS = {
    "fdr": ("mode fdr (default)", "#0072B2", "o", "-"),
    "power": ("mode power", "#E69F00", "s", "--"),
    "raw_95": ("raw score > 95th percentile", "#5C6670", "^", ":"),
}
"""Method -> words, colour, mark and line: any one of them tells the methods apart."""

LABELS = {
    "donors": "donors an arm",
    "cells": "cells a donor",
    "fraction": "cells planted (%)",
    "fold": "fold change",
    "depth": "counts a cell",
    "donor_sd": "donor effect (log sd)",
}

ROWS = {"sensitivity": "sensitivity", "fdp": "false-discovery proportion"}

Q = 0.10


@styled
def draw(table: pd.DataFrame, path: str | Path) -> None:
    """Draw sensitivity and false-discovery proportion along each curve, with standard errors.

    Parameters
    ----------
    table
        ``docs/myeloid_benchmark.tsv``.
    path
        Where the picture goes, ``.png``.
    """
    figure, axes = new_figure(12.4, 5.2, rows=2, columns=len(LABELS), sharey="row")
    for row, metric in enumerate(ROWS):
        for column, varied in enumerate(LABELS):
            _curve(axes[row, column], table[table["varied"] == varied], metric)
            if row == 1:
                axes[row, column].set_xlabel(LABELS[varied])
        axes[row, 0].set_ylabel(ROWS[metric])
        axes[row, 0].set_ylim(0, 1 if metric == "sensitivity" else None)
    cohorts = table.loc[table["varied"].isin(LABELS), "cohorts"].max()
    figure.suptitle(
        "Planted cohorts, one setting varied (else 6 against 6 donors, 120 cells of 1,500 counts, "
        f"20 % planted at 3-fold, donor sd 0.25).\nMean of {cohorts} cohorts; bars: standard "
        f"error; thin line: q = {Q:g}",
        x=0.01,
        ha="left",
        color=INK,
        fontsize=10,
    )
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(METHODS))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=STYLE["savefig.dpi"], metadata={"Software": None})


def _curve(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    """Draw the methods along one setting; the places are evenly spaced, whatever the values."""
    values = sorted(rows["value"].unique())
    for step, (method, (words, colour, mark, line)) in enumerate(METHODS.items()):
        own = rows[rows["method"] == method].set_index("value").reindex(values)
        axes.errorbar(
            [place + 0.08 * (step - 1) for place in range(len(values))],
            own[metric],
            own[f"{metric}_se"],
            color=colour,
            marker=mark,
            linestyle=line,
            linewidth=1.4,
            markersize=4.5,
            capsize=2,
            label=words,
        )
    scale = 100 if rows["varied"].eq("fraction").any() else 1
    axes.set_xticks(range(len(values)), [f"{value * scale:,g}" for value in values])
    axes.grid(axis="y")
    if metric == "fdp":
        axes.axhline(Q, color=QUIET, linewidth=0.8)
