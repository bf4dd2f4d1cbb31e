"""What does each picture of the run's report show?

Every function takes tables of the run and returns one figure, or None when its tables hold nothing
to draw; the page then says so. :mod:`.niche_figures` draws the panel and the contrasts.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from emhniche.report import figures, words
from emhniche.report.figures import CYCLE, GREY, styled


@styled
def training(history: pd.DataFrame) -> Figure | None:
    """Draw the model's loss by epoch, on the cells it learned from and on those held out."""
    parts = [("elbo", "ELBO loss (nats per cell)"), ("reconstruction_loss", "reconstruction loss")]
    parts = [(key, text) for key, text in parts if f"{key}_train" in history]
    if history.empty or not parts:
        return None
    figure, axes = figures.new_figure(3.9 * len(parts), 2.7, columns=len(parts))
    for axis, (key, text) in zip(axes[0], parts, strict=True):
        for part, colour, label in (
            ("train", "#0072B2", "training cells"),
            ("validation", "#D55E00", "held-out cells"),
        ):
            if f"{key}_{part}" in history:
                known = history[["epoch", f"{key}_{part}"]].dropna()
                axis.plot(known["epoch"], known[f"{key}_{part}"], color=colour, label=label)
        axis.set(xlabel="epoch", ylabel=text)
        figures.thousands(axis.yaxis)
        axis.grid(True)
    axes[0, 0].legend(loc="upper right")
    return figure


METRIC_WORDS = {
    **{"ilisi": "iLISI", "clisi": "cLISI", "kbet": "kBET", "nmi": "NMI", "ari": "ARI"},
    "apart": "types of one tissue apart",
}
"""Metrics whose name in the table is not how a reader would write it."""


@styled
def metrics(table: pd.DataFrame) -> Figure | None:
    """Draw where each integration metric lies between the floor and ceiling of its controls.

    Parameters
    ----------
    table
        ``integration/metrics.tsv``. Of a metric that is measured on many pairs or lineages
        (``batch_mixing:<a>|<b>``) each is a pale dot and the median a full one.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when no metric has a value and both controls.
    """
    table = table[table[["value", "floor", "ceiling"]].notna().all(axis=1)]
    if table.empty:
        return None
    table = table.assign(
        family=table["metric"].str.split(":").str[0],
        at=(table["value"] - table["floor"]) / (table["ceiling"] - table["floor"]),
    )
    families, methods = table["family"].unique()[::-1], list(table["method"].unique())
    figure, axes = figures.new_figure(7.6, 1.1 + 0.3 * len(families) * len(methods))
    axis, labels = axes[0, 0], []
    for place, family in enumerate(families):
        for number, method in enumerate(methods):
            part = table[(table["family"] == family) & (table["method"] == method)]
            height = place + 0.18 - 0.36 * number / max(len(methods) - 1, 1)
            _metric_row(axis, part, height, CYCLE[number])
        members = table.loc[table["family"] == family, "metric"].nunique()
        more = f" ({members}{' pairs' if family == 'batch_mixing' else ''})" if members > 1 else ""
        labels.append(METRIC_WORDS.get(family, words.name(family)) + more)
    axis.set_yticks(range(len(families)), labels)
    axis.set_xticks([0, 1], ["floor", "ceiling"])
    axis.set_ylim(-0.5, len(families) - 0.5)
    axis.tick_params(axis="y", length=0)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=CYCLE[i]) for i in range(len(methods))
    ]
    figure.legend(handles, methods, loc="outside upper left", ncols=len(methods))
    return figure


@styled
def umap(place: pd.DataFrame, cells: pd.DataFrame, columns: Sequence[str]) -> Figure:
    """Draw the map of cells once for each column, categories named on the map or in a legend.

    Parameters
    ----------
    place
        ``umap_1`` and ``umap_2``, indexed by cell_id.
    cells
        The columns, in the same order.
    columns
        What to colour by; the first is named on the map.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels a row.
    """
    rows = -(-len(columns) // 2)
    figure, axes = figures.new_figure(9.2, 4.3 * rows, rows=rows, columns=2)
    drawn = figures.shuffled(len(place))[:100_000]
    size = float(np.clip(12_000 / len(drawn), 0.4, 8))
    for axis in axes.ravel()[len(columns) :]:
        axis.set_visible(False)
    for axis, column in zip(axes.ravel(), columns, strict=False):
        values = cells[column].astype(object).where(cells[column].notna(), "not given").astype(str)
        values = values.replace("", "not given")
        names = sorted(values.unique())
        palette = figures.colours(names, {"not given": GREY})
        axis.scatter(
            place["umap_1"].to_numpy()[drawn],
            place["umap_2"].to_numpy()[drawn],
            s=size,
            c=[palette[value] for value in values.to_numpy()[drawn]],
            linewidths=0,
            rasterized=True,
        )
        axis.set(title=words.name(column).capitalize(), xticks=[], yticks=[], xlabel="UMAP 1")
        axis.set_ylabel("UMAP 2")
        axis.set_aspect("equal", adjustable="box")
        if column == columns[0]:
            for name in names:
                middle = place[(values == name).to_numpy()].median()
                text = words.short(words.name(name), 24)
                figures.label_point(axis, middle["umap_1"], middle["umap_2"], text)
        else:
            _dot_legend(
                axis, [words.name(n) if column != "sample" else n for n in names], palette, names
            )
    return figure


@styled
def composition(table: pd.DataFrame) -> Figure:
    """Draw the lineages of each sample's kept cells; a star marks samples sorted by a gate.

    Parameters
    ----------
    table
        ``report/composition_by_sample.tsv``.

    Returns
    -------
    matplotlib.figure.Figure
        One bar a sample.
    """
    order = list(dict.fromkeys(table["sample"]))[::-1]
    share = table.pivot(index="sample", columns="lineage", values="share").reindex(order) * 100
    lineages = words.order(share.columns, list(figures.LINEAGE_COLOURS))
    palette = figures.colours(lineages)
    figure, axes = figures.new_figure(8.2, 1.4 + 0.28 * len(order))
    axis = axes[0, 0]
    left = np.zeros(len(order))
    for lineage in lineages:
        axis.barh(range(len(order)), share[lineage], left=left, color=palette[lineage], height=0.7)
        left += share[lineage].to_numpy()
    enrichment = table.drop_duplicates("sample").set_index("sample")["enrichment"]
    sorted_by_gate = enrichment.reindex(order).fillna("none") != "none"
    names = [
        f"{words.short(sample, 34)}{'*' if gate else ''}"
        for sample, gate in zip(order, sorted_by_gate, strict=True)
    ]
    axis.set_yticks(range(len(order)), names)
    axis.set(xlim=(0, 100), xlabel="kept cells of the sample (%)")
    axis.tick_params(axis="y", length=0)
    handles = [Patch(color=palette[lineage]) for lineage in lineages]
    labels = [words.name(lineage) for lineage in lineages]
    figure.legend(handles, labels, loc="outside upper left", ncols=5, handlelength=1)
    return figure


def _metric_row(axis: Axes, part: pd.DataFrame, height: float, colour: str) -> None:
    """Draw one metric of one method: its bar, its pairs and its median with the value."""
    axis.plot([0, 1], [height] * 2, color="#DDE3E8", linewidth=4, solid_capstyle="butt", zorder=1)
    if part.empty:
        return
    if len(part) > 1:
        axis.scatter(part["at"], [height] * len(part), s=16, color=colour, alpha=0.3, linewidths=0)
    axis.plot(part["at"].median(), height, "o", color=colour, markersize=6.5)
    axis.annotate(
        words.significant(part["value"].median(), 2),
        (1, height),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=colour,
    )


def _dot_legend(
    axis: Axes, labels: Sequence[str], palette: Mapping[str, str], names: Sequence[str]
) -> None:
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=4.5, color=palette[n]) for n in names
    ]
    axis.legend(
        handles,
        [words.short(label, 30) for label in labels],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.06),
        ncols=2,
        fontsize=8,
        handletextpad=0.1,
        columnspacing=1,
    )
