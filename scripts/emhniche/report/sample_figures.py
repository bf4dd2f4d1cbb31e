"""What does each picture of a sample page show?

Every function takes the sample's ``qc.parquet`` (and what it needs of ``qc.json``) and returns one
figure that answers one question of the page.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, REASON_COLOURS, styled

MAX_POINTS = 20_000
"""Dots drawn in a scatter; beyond it a fixed random part of the barcodes stands for all."""


@styled
def counts(table: pd.DataFrame, thresholds: Sequence[Mapping]) -> Figure:
    """Draw how many counts barcodes hold: their rank curve, and by lineage with thresholds.

    Parameters
    ----------
    table
        The sample's ``qc.parquet``.
    thresholds
        ``qc.json``'s thresholds.

    Returns
    -------
    matplotlib.figure.Figure
    """
    lineages = by_size(table)
    height = max(2.9, 0.9 + 0.3 * len(lineages))
    figure, axes = figures.new_figure(
        8.6, height, columns=2, gridspec_kw={"width_ratios": [1, 1.35]}
    )
    _rank_curve(axes[0, 0], table)
    _strips(axes[0, 1], table, "n_counts", lineages, thresholds, log=True)
    axes[0, 1].set(title="Counts by lineage", xlabel="counts per barcode")
    return figure


@styled
def genes(table: pd.DataFrame) -> Figure:
    """Draw genes against counts, each barcode coloured by why it was kept or removed."""
    figure, axes = figures.new_figure(5.6, 3.9)
    axis = axes[0, 0]
    shown = table.iloc[figures.shuffled(len(table))[:MAX_POINTS]]
    fates = fate_order(table)
    palette = figures.reason_colours(fates)
    size = 9 if len(shown) < 1000 else 4
    for fate in fates:
        part = shown[shown["fate"] == fate]
        axis.scatter(
            part["n_counts"].clip(lower=1),
            part["n_genes"].clip(lower=1),
            s=size,
            color="#8FA1B3" if fate == "kept" else palette[fate],
            alpha=0.55 if fate == "kept" else 0.8,
            linewidths=0,
            rasterized=True,
            label=f"{words.reason(fate if fate != 'kept' else '')} "
            f"({words.number((table['fate'] == fate).sum())})",
        )
    axis.set(xscale="log", yscale="log", xlabel="counts per barcode", ylabel="genes per barcode")
    figures.thousands(axis.xaxis)
    figures.thousands(axis.yaxis)
    axis.grid(True)
    axis.legend(loc="upper left", markerscale=2, handletextpad=0.1, borderaxespad=0.2)
    return figure


@styled
def mitochondrial(table: pd.DataFrame, thresholds: Sequence[Mapping]) -> Figure:
    """Draw the mitochondrial share of counts by lineage, with each lineage's upper threshold."""
    lineages = by_size(table)
    figure, axes = figures.new_figure(5.6, max(2.2, 0.9 + 0.3 * len(lineages)))
    _strips(axes[0, 0], table, "pct_mito", lineages, thresholds, log=False)
    axes[0, 0].set_xlabel("mitochondrial counts (% of the barcode's counts)")
    return figure


@styled
def losses(lineages: Sequence[Mapping]) -> Figure:
    """Draw which share of each lineage was removed, and why.

    Parameters
    ----------
    lineages
        ``qc.json``'s lineages: ``lineage``, ``n_in``, ``n_kept``, ``removed`` (reason -> n).

    Returns
    -------
    matplotlib.figure.Figure
        One bar a lineage, the one that lost most on top.
    """
    rows = sorted(lineages, key=lambda row: (1 - row["n_kept"] / max(row["n_in"], 1), row["n_in"]))
    reasons = words.order([r for row in rows for r in row["removed"]], list(REASON_COLOURS))
    palette = figures.reason_colours(reasons)
    figure, axes = figures.new_figure(7.4, 1.0 + 0.3 * len(rows))
    axis = axes[0, 0]
    for place, row in enumerate(rows):
        left = 0.0
        for reason in reasons:
            share = 100 * row["removed"].get(reason, 0) / max(row["n_in"], 1)
            axis.barh(place, share, left=left, height=0.66, color=palette[reason])
            left += share
        axis.barh(place, 100 - left, left=left, height=0.66, color="#EDF1F4")
        lost = row["n_in"] - row["n_kept"]
        axis.text(
            101,
            place,
            f"{words.percent(lost, row['n_in'])} lost: {words.number(lost)} of "
            f"{words.number(row['n_in'])}",
            va="center",
            fontsize=8.5,
            color=INK,
        )
    axis.set(xlim=(0, 100), xlabel="barcodes of the lineage (%)")
    axis.set_yticks(range(len(rows)), [words.short(words.name(row["lineage"])) for row in rows])
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    handles = [
        Line2D([], [], marker="s", linestyle="", markersize=7, color=palette[r]) for r in reasons
    ]
    handles.append(Line2D([], [], marker="s", linestyle="", markersize=7, color="#DDE3E8"))
    labels = [words.reason(reason) for reason in reasons] + ["kept"]
    figure.legend(handles, labels, loc="outside upper left", ncols=4, handletextpad=0.2)
    return figure


@styled
def doublets(scores: pd.Series, threshold: float | None) -> Figure:
    """Draw the doublet scores and where the line between singlets and doublets was put."""
    figure, axes = figures.new_figure(5.6, 2.6)
    axis = axes[0, 0]
    axis.hist(scores.dropna(), bins=60, color="#8FA1B3", log=True)
    if not words.is_missing(threshold):
        axis.axvline(threshold, color=REASON_COLOURS["doublet"], linewidth=1.4)
        axis.text(
            threshold,
            0.98,
            f" called a doublet from {threshold:.2f} ",
            ha="right" if threshold > scores.max() / 2 else "left",
            transform=axis.get_xaxis_transform(),
            va="top",
            color=REASON_COLOURS["doublet"],
        )
    axis.set(xlabel="doublet score", ylabel="barcodes")
    figures.thousands(axis.yaxis)
    return figure


def with_fate(table: pd.DataFrame) -> pd.DataFrame:
    """Add ``fate`` to a ``qc.parquet``: ``kept`` or the reason of removal."""
    reason = table["reason"].fillna("").astype(str)
    return table.assign(fate=reason.where(~table["keep"], "kept").replace("", "not stated"))


def fate_order(table: pd.DataFrame) -> list[str]:
    """Return the fates present, kept first, then in the order the rules are tried."""
    return words.order(table["fate"], list(REASON_COLOURS))


def by_size(table: pd.DataFrame) -> list[str]:
    """Return the lineages present, smallest first (the top row of a plot is the largest)."""
    size = table["lineage"].astype(str).value_counts()
    return sorted(size.index, key=lambda lineage: (size[lineage], lineage))


def _rank_curve(axis: Axes, table: pd.DataFrame) -> None:
    ranked = table.sort_values("n_counts", ascending=False, kind="stable")
    rank = np.arange(1, len(ranked) + 1)
    axis.plot(rank, ranked["n_counts"].clip(lower=1), color=QUIET, linewidth=0.8)
    for keep, colour, label in ((True, "#009E73", "kept"), (False, "#D55E00", "removed")):
        part = (ranked["keep"] == keep).to_numpy()
        if part.any():
            axis.scatter(
                rank[part],
                ranked["n_counts"].clip(lower=1)[part],
                s=5,
                color=colour,
                linewidths=0,
                rasterized=True,
                label=label,
            )
    axis.set(
        xscale="log",
        yscale="log",
        title="Counts by rank",
        xlabel="barcodes, most counts first",
        ylabel="counts per barcode",
    )
    figures.thousands(axis.xaxis)
    figures.thousands(axis.yaxis)
    axis.grid(True)
    axis.legend(loc="lower left", markerscale=2.4, handletextpad=0.1)


def _strips(
    axis: Axes,
    table: pd.DataFrame,
    metric: str,
    lineages: Sequence[str],
    thresholds: Sequence[Mapping],
    *,
    log: bool,
) -> None:
    """Draw one row of jittered dots a lineage, with its thresholds as ticks."""
    noise = np.random.default_rng(0)
    shown = table.iloc[figures.shuffled(len(table))[:MAX_POINTS]]
    for place, lineage in enumerate(lineages):
        part = shown[(shown["lineage"].astype(str) == lineage) & shown[metric].notna()]
        height = place + noise.uniform(-0.3, 0.3, len(part))
        values = part[metric].clip(lower=1) if log else part[metric]
        colour = np.where(part["keep"], figures.LINEAGE_COLOURS.get(lineage, QUIET), "#1B1F24")
        axis.scatter(
            values,
            height,
            s=3.5,
            c=colour,
            alpha=np.where(part["keep"], 0.5, 0.75),
            linewidths=0,
            rasterized=True,
        )
        for row in thresholds:
            if row["lineage"] == lineage and row["metric"] == metric:
                _tick(axis, row["value"], place)
    if log:
        axis.set_xscale("log")
        figures.thousands(axis.xaxis)
    names = [words.short(words.name(lineage), 28) for lineage in lineages]
    size = table["lineage"].astype(str).value_counts()
    axis.set_yticks(
        range(len(lineages)),
        [f"{n} ({words.number(size[key])})" for n, key in zip(names, lineages, strict=True)],
    )
    axis.set_ylim(-0.6, len(lineages) - 0.4)
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")


def _tick(axis: Axes, value: float | None, place: int) -> None:
    if not words.is_missing(value) and np.isfinite(value):
        axis.plot([value, value], [place - 0.42, place + 0.42], color="#C1121F", linewidth=1.5)
