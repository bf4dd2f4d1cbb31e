"""Are a cluster's first markers its own, or do other clusters hold as much of them?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from emhniche.lineage import UNRESOLVED
from emhniche.report import figures, words
from emhniche.report.figures import INK, LINEAGE_COLOURS, QUIET, styled
from emhniche.report.niche_figures import RAMP

MAX_GENES = 60
"""Genes side by side in one panel; more go into a further panel below."""

DOT = 0.145
"""Inches between two dots."""

MIN_SHOWN = 1.0
"""Share of the cells, in %, below which there is no dot."""

STEP = 2.0
"""Shares are drawn to this many %: finer than an eye tells, and a fraction of the page's size."""

SIZES = (10, 25, 50, 100)
"""Shares of the cells, in %, that the legend shows."""


@styled
def markers(levels: pd.DataFrame, named: pd.DataFrame) -> Figure | None:
    """Draw the first markers of each cluster in every cluster, as dots.

    Parameters
    ----------
    levels
        ``annotate/marker_levels.tsv``.
    named
        ``annotate/clusters.tsv``.

    Returns
    -------
    matplotlib.figure.Figure or None
        Clusters x genes, by lineage; the area of a dot is the share of the cluster's cells with
        the gene, its colour the mean level. None when no cluster has a marker.
    """
    if levels.empty:
        return None
    levels = levels.astype({"cluster": str, "marker_of": str})
    clusters = _by_lineage(named, levels["cluster"])
    place = {cluster: row for row, cluster in enumerate(clusters.index)}
    of = levels.drop_duplicates("gene").set_index("gene")["marker_of"]
    genes = of.map(place).sort_values(kind="stable").index
    blocks = _blocks(of[genes].tolist())
    widest = max(last - first for first, last in blocks)
    # a row a cluster, the names of the genes, and what stands between two panels
    height = 0.9 + len(blocks) * (max(DOT * 1.15 * len(clusters), 0.6) + 0.85)
    figure, axes = figures.new_figure(3.1 + DOT * max(widest, 16), height, rows=len(blocks))
    top = max(float(levels["mean_level"].quantile(0.98)), 0.1)
    for axis, (first, last) in zip(axes[:, 0], blocks, strict=True):
        part = levels[levels["gene"].isin(genes[first:last])]
        column = {gene: number for number, gene in enumerate(genes[first:last])}
        part = part.assign(x=part["gene"].map(column), y=part["cluster"].map(place))
        _dots(axis, part, Normalize(0, top))
        axis.set_xticks(
            range(len(column)), [words.short(gene, 14) for gene in column],
            rotation=90, fontsize=7.5, style="italic",
        )  # fmt: skip
        axis.set_xlim(-1.9, max(widest, 16) - 0.3)
        _cluster_names(axis, clusters)
    shades = ScalarMappable(Normalize(0, top), RAMP)
    bar = figure.colorbar(
        shades, ax=axes[:, 0], shrink=0.7 / len(blocks), aspect=14, pad=0.02, extend="max"
    )
    bar.set_label("mean level,\nln(1 + counts per 10,000)", fontsize=8)
    figure.legend(handles=_sizes(), loc="outside upper left", ncols=len(SIZES), handletextpad=0.1)
    return figure


def _by_lineage(named: pd.DataFrame, shown: pd.Series) -> pd.DataFrame:
    """Return the row of each whole cluster, lineages in the order of their colours."""
    whole = named[named["dataset"].isna() | (named["dataset"] == "")]
    whole = whole.assign(cluster=whole["cluster"].astype(str))
    whole = whole[whole["cluster"].isin(set(shown))]
    order = words.order(whole["lineage"], [one for one in LINEAGE_COLOURS if one != UNRESOLVED])
    keys = {
        "lineage": whole["lineage"].astype(str).map(order.index),
        "cell_type": whole["cell_type"].astype(str),
        "number": whole["cluster"].astype(int),
    }
    return whole.loc[pd.DataFrame(keys).sort_values([*keys]).index].set_index("cluster")


def _blocks(groups: Sequence[str]) -> list[tuple[int, int]]:
    """Divide genes into panels of at most :data:`MAX_GENES`, markers of a cluster together."""
    n_blocks = -(-len(groups) // MAX_GENES)
    wanted = -(-len(groups) // n_blocks)
    ends = [0]
    for number in range(1, len(groups)):
        if groups[number] != groups[number - 1] and number - ends[-1] >= wanted:
            ends.append(number)
    return list(zip(ends, [*ends[1:], len(groups)], strict=True))


def _dots(axis: Axes, part: pd.DataFrame, norm: Normalize) -> None:
    """Draw the dots of a panel, one call a size: then the SVG names a shape once."""
    size = (part["pct_cells"] / STEP).round() * STEP
    for percent, same in part.groupby(size.where(part["pct_cells"] >= MIN_SHOWN)):
        axis.scatter(
            same["x"], same["y"], s=_area(max(percent, MIN_SHOWN)), c=same["mean_level"],
            cmap=RAMP, norm=norm, edgecolors=QUIET, linewidths=0.3,
        )  # fmt: skip


def _area(percent: float | Sequence[float]) -> np.ndarray:
    """Return the area of a dot in square points: at 100 % dots nearly touch."""
    return np.asarray(percent, dtype=float) / 100 * (0.92 * DOT * 72) ** 2


def _cluster_names(axis: Axes, clusters: pd.DataFrame) -> None:
    """Name the rows, with the colour of each lineage beside them, first on top."""
    palette = figures.colours(list(dict.fromkeys(clusters["lineage"].astype(str))))
    names = [words.short(words.name(one), 24) for one in clusters["cell_type"]]
    labels = [
        f"{cluster}  {name} ({words.number(n)})"
        for cluster, name, n in zip(clusters.index, names, clusters["n_cells"], strict=True)
    ]
    axis.set_yticks(range(len(labels)), labels, fontsize=7.5)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    lineage = clusters["lineage"].astype(str).tolist()
    for row, name in enumerate(lineage):
        axis.add_patch(Rectangle((-1.6, row - 0.5), 0.5, 1, color=palette[name], linewidth=0))
        if row and name != lineage[row - 1]:
            axis.axhline(row - 0.5, color=figures.RULE, linewidth=0.6, zorder=0)


def _sizes() -> list[Line2D]:
    """Return the legend of the areas."""
    return [
        Line2D(
            [], [], marker="o", linestyle="", color="white", markeredgecolor=INK,
            markeredgewidth=0.5, markersize=float(np.sqrt(area)), label=f"{percent} % of the cells",
        )
        for percent, area in zip(SIZES, _area(SIZES), strict=True)
    ]  # fmt: skip
