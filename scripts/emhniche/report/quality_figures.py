"""What came in with each sample, what was removed, and how good are the cells that were kept?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, REASON_COLOURS, styled

MEASURES = {"n_counts": "counts", "n_genes": "genes", "pct_mito": "mitochondrial counts (%)"}
"""Measure of a cell that is shown by sample -> its axis."""

ON_LOG = ("n_counts", "n_genes")
"""Measures drawn on a log axis: their spread is in proportion to their size."""

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}

CAME_IN, KEPT = "#E3E8ED", "#5B7083"


def loss_counts(qc: Mapping[str, Mapping]) -> pd.DataFrame:
    """Return the numbers behind :func:`losses`.

    Parameters
    ----------
    qc
        Sample -> its ``qc.json``.

    Returns
    -------
    pandas.DataFrame
        ``sample``, ``fate`` (``kept`` or the reason of removal) and ``barcodes``; of a sample only
        the fates that some barcode met, and ``kept``.
    """
    rows = [
        (sample, fate, n)
        for sample, one in qc.items()
        for fate, n in {"kept": one["n_kept"], **one["removed"]}.items()
    ]
    return pd.DataFrame(rows, columns=["sample", "fate", "barcodes"])


@styled
def losses(counts: pd.DataFrame) -> Figure:
    """Draw how many barcodes of each sample were kept, and which share was removed by which rule.

    Parameters
    ----------
    counts
        ``report/losses.tsv``.

    Returns
    -------
    matplotlib.figure.Figure
        Left barcodes, right percent of the sample's barcodes: a loss of one in twenty can be seen.
    """
    table = counts.pivot(index="sample", columns="fate", values="barcodes").fillna(0)
    table = table.reindex(list(dict.fromkeys(counts["sample"]))[::-1])
    reasons = words.order([one for one in table if one != "kept"], list(REASON_COLOURS))
    palette = figures.reason_colours(reasons)
    total = table.sum(axis=1)
    removed = 100 * table[reasons].div(total.where(total > 0), axis=0)
    figure, axes = figures.new_figure(
        9.2, 1.25 + 0.26 * len(table), columns=2, sharey=True, width_ratios=[2, 3]
    )
    left, right = axes[0]
    places = np.arange(len(table))
    left.barh(places, total, height=0.62, color=CAME_IN)
    left.barh(places, table["kept"], height=0.62, color=KEPT)
    for place, (kept, whole) in enumerate(zip(table["kept"], total, strict=True)):
        text = f"{words.number(kept)} of {words.number(whole)}"
        left.annotate(
            text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8.5
        )
    start = np.zeros(len(table))
    for reason in reasons:
        right.barh(places, removed[reason], left=start, height=0.62, color=palette[reason])
        start += removed[reason].fillna(0).to_numpy()
    widest = max(start.max(), 1.0)
    for place, share in enumerate(start):
        text = words.percent(share, 100) if total.iloc[place] else words.MISSING
        right.text(share + 0.015 * widest, place, text, va="center", fontsize=8.5)
    right.set(xlim=(0, widest * 1.13), xlabel="removed (% of the sample's barcodes)")
    left.set(xlim=(0, max(total.max(), 1) * 1.01), xlabel="barcodes")
    figures.thousands(left.xaxis)
    _sample_names(left, table.index)
    right.tick_params(axis="y", length=0)
    handles = [Patch(color=KEPT), Patch(color=CAME_IN), *(Patch(color=palette[r]) for r in reasons)]
    labels = ["kept", "not kept", *(words.reason(reason) for reason in reasons)]
    figure.legend(handles, labels, loc="outside upper left", ncols=6, handlelength=1)
    return figure


def quality_by_sample(cells: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Return the quantiles of counts, genes and mitochondrial share of each sample's kept cells.

    Parameters
    ----------
    cells
        ``sample`` and the columns of :data:`MEASURES` of each kept cell.
    samples
        The sample sheet, indexed by sample.

    Returns
    -------
    pandas.DataFrame
        ``sample`` and ``metric`` (every pair, in the order of the sheet), ``n_cells`` (with a
        value) and the columns of :data:`QUANTILES`, NaN where no cell has a value.
    """
    groups = dict(list(cells.groupby(cells["sample"].astype(str))))
    rows = []
    for sample in samples.index:
        for metric in MEASURES:
            own = groups.get(sample, cells.iloc[:0])[metric].astype(float).dropna()
            limits = {name: own.quantile(at) for name, at in QUANTILES.items()}
            rows.append({"sample": sample, "metric": metric, "n_cells": len(own)} | limits)
    return pd.DataFrame(rows)


@styled
def quality(table: pd.DataFrame) -> Figure | None:
    """Draw median, quartiles and the middle nine tenths of each sample's kept cells.

    Parameters
    ----------
    table
        ``report/quality_by_sample.tsv``.

    Returns
    -------
    matplotlib.figure.Figure or None
        One panel a measure, one row a sample; None without a kept cell.
    """
    if table["median"].isna().all():
        return None
    samples = list(dict.fromkeys(table["sample"]))[::-1]
    held = set(table.loc[table["n_cells"] > 0, "sample"])
    figure, axes = figures.new_figure(
        9.2, 0.75 + 0.26 * len(samples), columns=len(MEASURES), sharey=True
    )
    for axis, (metric, label) in zip(axes[0], MEASURES.items(), strict=True):
        own = table[table["metric"] == metric].set_index("sample").loc[samples]
        known = own["median"].notna().to_numpy()
        places = np.arange(len(own))
        for low, high, width, colour in (("q05", "q95", 1.2, "#9AA8B5"), ("q25", "q75", 5, KEPT)):
            axis.hlines(
                places[known], own.loc[known, low], own.loc[known, high], colour, linewidth=width
            )
        axis.plot(
            own.loc[known, "median"], places[known], "o", color="white", markersize=4,
            markeredgecolor=INK, markeredgewidth=0.9,
        )  # fmt: skip
        for place in places[~known]:
            text = "not measured" if samples[place] in held else "no cell in the run"
            style = {"color": QUIET, "style": "italic", "fontsize": 8, "va": "center"}
            axis.annotate(text, (0.02, place), xycoords=("axes fraction", "data"), **style)
        positive = known.any() and own.loc[known, "q05"].min() > 0
        if metric in ON_LOG and positive:
            axis.set_xscale("log")
        elif known.any():
            axis.set_xlim(0, max(1.05 * own["q95"].max(), 1))
        axis.set_xlabel(f"{label}, of a kept cell")
        figures.thousands(axis.xaxis)
        axis.grid(True, axis="x")
        axis.tick_params(axis="y", length=0)
    _sample_names(axes[0, 0], samples)
    return figure


def _sample_names(axis: Axes, samples: list[str] | pd.Index) -> None:
    """Name the rows, first sample on top."""
    axis.set_yticks(range(len(samples)), [words.short(sample, 34) for sample in samples])
    axis.set_ylim(-0.6, len(samples) - 0.4)
    axis.tick_params(axis="y", length=0)
