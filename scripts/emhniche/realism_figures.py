"""What do simulated and real cells look like side by side?

Blue, solid and round is simulated; orange-red, broken and square is real. One panel a lineage, but
for the first figure, which has one row a lineage.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from emhniche.realism import COUNT_BINS, MEAN_BINS, Run, binned, cell_statistics, library_statistics
from emhniche.report import words
from emhniche.report.figures import QUIET, new_figure, styled

SIDES = {"simulated": ("#0072B2", "-", "o"), "real": ("#D55E00", "--", "s")}
"""Colour (Okabe-Ito), line and marker of each side."""

_COLUMNS = 4


def draw_all(simulated: Run, real: Run, genes: pd.Index) -> dict[str, Figure]:
    """Draw every figure, by name.

    Parameters
    ----------
    simulated, real
        Two finished runs.
    genes
        Genes that both measure.
    """
    runs = {"simulated": simulated, "real": real}
    cells = {side: cell_statistics(run, genes) for side, run in runs.items()}
    both = set(cells["simulated"]["lineage"]) & set(cells["real"]["lineage"])
    tables = {
        lineage: {side: library_statistics(run, genes, lineage) for side, run in runs.items()}
        for lineage in sorted(both)
    }
    tables = {
        lineage: sides
        for lineage, sides in tables.items()
        if all(table is not None for table in sides.values())
    }
    return {
        "realism_cells": cell_figure(cells),
        "realism_genes": genes_figure(cells, sorted(both)),
        "realism_dropout": dropout_figure(tables),
        "realism_variance": variance_figure(tables),
    }


@styled
def cell_figure(cells: dict[str, pd.DataFrame]) -> Figure:
    """Draw counts and genes of the cells of each lineage as boxes."""
    lineages = sorted(set().union(*(table["lineage"] for table in cells.values())), reverse=True)
    figure, axes = new_figure(8, 0.42 * len(lineages) + 1.3, columns=2, sharey=True)
    for panel, column in zip(axes[0], ("counts", "genes"), strict=True):
        for side, shift in (("simulated", 0.18), ("real", -0.18)):
            colour = SIDES[side][0]
            for row, lineage in enumerate(lineages):
                values = cells[side].loc[cells[side]["lineage"] == lineage, column]
                if len(values) < 5:
                    continue
                low, first, middle, third, high = values.quantile([0.05, 0.25, 0.5, 0.75, 0.95])
                where = row + shift
                panel.plot([low, high], [where, where], color=colour, linewidth=1)
                width = third - first
                panel.barh(where, width, 0.28, left=first, color=colour, alpha=0.45, linewidth=0)
                panel.plot(middle, where, marker="|", markersize=9, color=colour, markeredgewidth=2)
        _log_axis(panel.xaxis, steps=(1, 3))
        panel.grid(axis="x")
        panel.set_xlabel(f"{column} per cell, in the shared genes")
    axes[0, 0].set_yticks(range(len(lineages)), [words.name(one) for one in lineages])
    handles = [
        Line2D([], [], color=SIDES[side][0], linewidth=6, alpha=0.6, label=side) for side in SIDES
    ]
    _legend(figure, handles, "box: middle half; line: 5 to 95 %")
    return figure


@styled
def genes_figure(cells: dict[str, pd.DataFrame], lineages: list[str]) -> Figure:
    """Draw how many genes a cell of so many counts has."""

    def draw(axes: Axes, lineage: str) -> None:
        for side, table in cells.items():
            mine = table[table["lineage"] == lineage]
            _band(axes, side, binned(mine["counts"], mine["genes"], COUNT_BINS))
        _log_axis(axes.xaxis, steps=(1, 3))
        _log_axis(axes.yaxis, steps=(1, 3))

    return _panels(lineages, draw, "counts per cell", "genes per cell")


@styled
def dropout_figure(tables: dict[str, dict[str, pd.DataFrame]]) -> Figure:
    """Draw in how many cells genes of so many counts are absent."""

    def draw(axes: Axes, lineage: str) -> None:
        mean = np.logspace(-2.5, 2, 100)
        axes.plot(mean, 100 * np.exp(-mean), color=QUIET, linewidth=1, linestyle=":")
        for side, table in tables[lineage].items():
            _band(axes, side, binned(table["mean"], 100 * table["absent"], MEAN_BINS))
        _log_axis(axes.xaxis)

    return _panels(
        list(tables), draw, "mean counts per cell", "cells without the gene (%)", poisson=True
    )


@styled
def variance_figure(tables: dict[str, dict[str, pd.DataFrame]]) -> Figure:
    """Draw the variance of genes of so many counts."""

    def draw(axes: Axes, lineage: str) -> None:
        axes.plot([3e-3, 1e2], [3e-3, 1e2], color=QUIET, linewidth=1, linestyle=":")
        for side, table in tables[lineage].items():
            _band(axes, side, binned(table["mean"], table["variance"], MEAN_BINS))
        _log_axis(axes.xaxis)
        _log_axis(axes.yaxis)

    return _panels(list(tables), draw, "mean counts per cell", "variance (counts²)", poisson=True)


def _band(axes: Axes, side: str, table: pd.DataFrame) -> None:
    """Draw the medians of bins as a line and their middle half as a band."""
    colour, line, marker = SIDES[side]
    axes.fill_between(
        table.index, table["low"], table["high"], color=colour, alpha=0.2, linewidth=0
    )
    axes.plot(
        table.index, table["middle"], color=colour, linestyle=line, marker=marker, markersize=3
    )


def _panels(
    lineages: list[str],
    draw: Callable[[Axes, str], None],
    xlabel: str,
    ylabel: str,
    *,
    poisson: bool = False,
) -> Figure:
    """Draw a panel for each lineage, with shared axes and one legend."""
    rows = -(-len(lineages) // _COLUMNS)
    figure, axes = new_figure(
        9.5, 2.1 * rows + 0.8, rows=rows, columns=_COLUMNS, sharex=True, sharey=True
    )
    for panel, lineage in zip(axes.flat, lineages, strict=False):
        draw(panel, lineage)
        panel.grid()
        panel.set_title(words.capital(words.name(lineage)))
    for panel in axes.flat[len(lineages) :]:
        panel.set_visible(False)
    for position in range(len(lineages)):
        if position + _COLUMNS >= len(lineages):
            axes.flat[position].tick_params(labelbottom=True)
    figure.supxlabel(xlabel, fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, markersize=4, label=side)
        for side, (colour, line, marker) in SIDES.items()
    ]
    if poisson:
        handles.append(Line2D([], [], color=QUIET, linestyle=":", label="counting alone (Poisson)"))
    _legend(figure, handles, "line: median; band: middle half")
    return figure


def _log_axis(axis: Axis, *, steps: tuple[int, ...] = (1,)) -> None:
    """Make an axis logarithmic, with plain numbers at `steps` times the powers of ten."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, handles: list[Line2D], note: str) -> None:
    handles = [*handles, Line2D([], [], linestyle="", label=note)]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
