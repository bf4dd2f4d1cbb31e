"""Of what kind is the RNA of a sample's cells, and in what state are they?

Pictures of a sample page, by lineage: complexity, ribosomal and haemoglobin counts, cell cycle and
stress. They describe; no barcode is removed for any of them.
"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from emhniche.qc_states import PHASES
from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, styled
from emhniche.report.sample_figures import MAX_POINTS

COMPOSITION = {
    "complexity": "Complexity",
    "pct_ribo": "Ribosomal counts",
    "pct_hb": "Haemoglobin counts",
}
UNITS = {
    "complexity": "log10 genes / log10 counts",
    "pct_ribo": "% of the barcode's counts",
    "pct_hb": "% of the barcode's counts",
    "stress_score": "stress score",
}
"""Measure -> its heading, and what its axis says."""

PHASE_NAMES = {"G1": "G1", "S": "S", "G2M": "G2/M"}
PHASE_COLOURS = {"G1": "#B8C4CF", "S": "#E69F00", "G2M": "#882255"}
REMOVED = "#1B1F24"

FEWEST = 5
"""Barcodes below which quantiles would be those of single barcodes."""


@styled
def composition(quantiles: pd.DataFrame, lineages: Sequence[str]) -> Figure | None:
    """Draw the distribution of complexity, ribosomal and haemoglobin share by lineage.

    Parameters
    ----------
    quantiles
        :func:`emhniche.report.sample_tables.metric_quantiles`.
    lineages
        Lineages from bottom to top.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when nothing was measured.
    """
    measured = quantiles[quantiles["n"] >= FEWEST]
    if not measured["metric"].isin(list(COMPOSITION)).any():
        return None
    height = 1.5 + 0.32 * len(lineages)
    figure, axes = figures.new_figure(8.6, height, columns=len(COMPOSITION), sharey=True)
    for axis, (metric, title) in zip(axes[0], COMPOSITION.items(), strict=True):
        _quantile_rows(axis, measured[measured["metric"] == metric], lineages)
        axis.set(title=title, xlabel=UNITS[metric])
        axis.tick_params(axis="y", length=0)
    _name_rows(axes[0, 0], lineages)
    figure.legend(handles=_quantile_legend(), loc="outside upper left", ncols=4, handlelength=1.6)
    return figure


@styled
def states(
    table: pd.DataFrame,
    counts: pd.DataFrame,
    quantiles: pd.DataFrame,
    lineages: Sequence[str],
) -> Figure | None:
    """Draw the scores of the cell cycle, the phases of each lineage and its stress score.

    Parameters
    ----------
    table
        The sample's ``qc.parquet``.
    counts
        :func:`emhniche.report.sample_tables.lineage_counts`.
    quantiles
        :func:`emhniche.report.sample_tables.metric_quantiles`.
    lineages
        Lineages from bottom to top.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when no kept cell has a score.
    """
    kept = table[table["keep"]]
    scored = kept["phase"].notna().any()
    stress = quantiles[(quantiles["metric"] == "stress_score") & (quantiles["n"] >= FEWEST)]
    stress = stress[stress["fate"] == "kept"]
    if not scored and stress.empty:
        return None
    height = max(2.9, 1.5 + 0.32 * len(lineages))
    figure, axes = figures.new_figure(8.6, height, columns=3, width_ratios=[1.1, 1, 1])
    _cycle_scores(axes[0, 0], kept)
    _phase_rows(axes[0, 1], counts, lineages)
    _quantile_rows(axes[0, 2], stress, lineages)
    axes[0, 2].set(title="Stress of dissociation", xlabel=UNITS["stress_score"])
    axes[0, 2].set_yticks([])
    axes[0, 2].axvline(0, color=QUIET, linewidth=0.7, zorder=0)
    axes[0, 2].set_ylim(-0.6, len(lineages) - 0.4)
    handles = [Patch(color=PHASE_COLOURS[one], label=PHASE_NAMES[one]) for one in PHASES]
    handles += _quantile_legend()[:3]
    figure.legend(handles=handles, loc="outside upper left", ncols=6, handlelength=1.2)
    return figure


def _quantile_rows(axis: Axes, quantiles: pd.DataFrame, lineages: Sequence[str]) -> None:
    """Draw 5 to 95 % as a line, 25 to 75 % as a thick one and the median as a dot."""
    both = quantiles["fate"].nunique() > 1
    for row in quantiles.itertuples():
        kept = row.fate == "kept"
        colour = figures.LINEAGE_COLOURS.get(row.lineage, QUIET) if kept else REMOVED
        at = lineages.index(row.lineage) + (0 if not both else 0.14 if kept else -0.2)
        axis.plot([row.q05, row.q95], [at, at], color=colour, linewidth=0.9)
        width = 5 if kept else 2.2
        axis.plot([row.q25, row.q75], [at, at], color=colour, linewidth=width, alpha=0.75)
        axis.plot(row.median, at, "o", color="white", markeredgecolor=colour, markersize=4.2)
    if quantiles.empty:
        _say(axis, "not measured")
    axis.grid(True, axis="x")


def _say(axis: Axes, text: str) -> None:
    """Write why a panel is empty."""
    style = {"ha": "center", "va": "center", "color": QUIET, "style": "italic"}
    axis.text(0.5, 0.5, text, transform=axis.transAxes, **style)


def _name_rows(axis: Axes, lineages: Sequence[str]) -> None:
    axis.set_yticks(range(len(lineages)), [words.short(words.name(x), 28) for x in lineages])
    axis.set_ylim(-0.6, len(lineages) - 0.4)
    axis.tick_params(axis="y", length=0)


def _quantile_legend() -> list[Line2D]:
    """Return what the marks of the rows mean."""
    return [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            color="white",
            markeredgecolor=INK,
            markersize=4.2,
            label="median",
        ),
        Line2D([], [], color=QUIET, linewidth=5, alpha=0.75, label="middle half"),
        Line2D([], [], color=QUIET, linewidth=0.9, label="5 to 95 %"),
        Line2D([], [], color=REMOVED, linewidth=2.2, label="black: removed barcodes"),
    ]


def _cycle_scores(axis: Axes, kept: pd.DataFrame) -> None:
    """Draw the two scores of the cell cycle against each other, a dot a kept cell."""
    shown = kept.iloc[figures.shuffled(len(kept))[:MAX_POINTS]]
    for phase in PHASES:
        part = shown[shown["phase"] == phase]
        dots = {"s": 4, "linewidths": 0, "rasterized": True, "alpha": 0.7}
        axis.scatter(part["s_score"], part["g2m_score"], color=PHASE_COLOURS[phase], **dots)
    if not kept["phase"].notna().any():
        _say(axis, "not scored")
    axis.set(title="Cell cycle", xlabel="S score", ylabel="G2/M score")
    axis.grid(True)


def _phase_rows(axis: Axes, counts: pd.DataFrame, lineages: Sequence[str]) -> None:
    """Draw the phases of each lineage's kept cells, with how many of them have one."""
    rows = counts.set_index("lineage")
    for place, lineage in enumerate(lineages):
        own = [int(rows.at[lineage, f"phase_{phase}"]) for phase in PHASES]
        left, total = 0.0, sum(own)
        for phase, n in zip(PHASES, own, strict=True):
            share = 100 * n / total if total else 0.0
            axis.barh(place, share, left=left, height=0.66, color=PHASE_COLOURS[phase])
            left += share
    names = [words.short(words.name(lineage), 22) for lineage in lineages]
    totals = [int(rows.loc[x, [f"phase_{phase}" for phase in PHASES]].sum()) for x in lineages]
    labels = [f"{n} ({words.number(k)})" for n, k in zip(names, totals, strict=True)]
    axis.set_yticks(range(len(lineages)), labels)
    axis.set(xlim=(0, 100), ylim=(-0.6, len(lineages) - 0.4))
    axis.set(title="Phases", xlabel="kept cells with a phase (%)")
    axis.tick_params(axis="y", length=0)
