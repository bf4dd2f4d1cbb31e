"""Who makes the panel, and what differs: how is it drawn?

A value that was not measured or could not be tested is never drawn as zero: it is hatched on the
map of the panel and left out of the plot of differences.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, STATUS_COLOURS, styled

MAX_EFFECTS = 30
"""Rows of the forest plot; the table holds all."""

RAMP = LinearSegmentedColormap.from_list(
    "ramp", ["#FFFFFF", "#CFE3E8", "#5FA8C4", "#225EA8", "#0C2C66"]
)
"""Low to high, white at exactly zero; readable with any colour vision and in grey."""

NOT_TESTABLE = {"facecolor": "#F1F3F5", "edgecolor": "#B6BEC6", "hatch": "////"}


@styled
def panel_map(production: pd.DataFrame, niche: str) -> Figure | None:
    """Draw which share of each cell type of a niche holds each panel gene.

    Parameters
    ----------
    production
        ``niche/production.tsv``.
    niche
        Which of its niches.

    Returns
    -------
    matplotlib.figure.Figure or None
        Genes x cell types. White is zero in cells that were looked at; hatched is not testable.
    """
    table = production[production["niche"] == niche]
    if table.empty:
        return None
    genes = table.drop_duplicates("gene")[["axis", "role", "gene"]]
    types = table.drop_duplicates("cell_type").sort_values("n_cells", ascending=False)
    shown = table["detection"].where(known(table)) * 100
    grid = table.assign(shown=shown).pivot_table(
        index="gene", columns="cell_type", values="shown", aggfunc="max", dropna=False
    )
    grid = grid.reindex(index=genes["gene"], columns=types["cell_type"])
    figure, axes = figures.new_figure(3.2 + 0.33 * grid.shape[1], 2.4 + 0.185 * grid.shape[0])
    axis = axes[0, 0]
    picture = axis.imshow(grid.to_numpy(), cmap=RAMP, vmin=0, vmax=100, aspect="auto")
    for row, column in np.argwhere(grid.isna().to_numpy()):
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, linewidth=0, **NOT_TESTABLE))
    axis.set_xticks(
        range(grid.shape[1]),
        [
            f"{words.short(words.name(name), 26)} ({words.number(n)})"
            for name, n in zip(types["cell_type"], types["n_cells"], strict=True)
        ],
        rotation=60,
        ha="right",
        rotation_mode="anchor",
        fontsize=8,
    )
    axis.set_yticks(
        range(grid.shape[0]), [words.short(gene, 20) for gene in grid.index], fontsize=8
    )
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    _axis_rules(axis, genes["axis"].tolist(), grid.shape[1])
    figure.colorbar(
        picture, ax=axis, shrink=0.5, aspect=16, pad=0.12, label="cells with the transcript (%)"
    )
    figure.legend(
        handles=[Patch(**NOT_TESTABLE, label="not testable or not measured")],
        loc="outside lower right",
    )
    return figure


@styled
def forest(contrasts: pd.DataFrame, design: Mapping) -> Figure | None:
    """Draw the largest effects of a contrast, with their intervals where they have one.

    Parameters
    ----------
    contrasts
        Rows of ``niche/contrasts.tsv`` of one contrast.
    design
        Its row of ``niche/design.tsv``.

    Returns
    -------
    matplotlib.figure.Figure or None
        At most :data:`MAX_EFFECTS` rows; None when no effect could be estimated.
    """
    table = strongest(contrasts)
    if table.empty:
        return None
    table = table.sort_values(["effect", "gene", "cell_type"], kind="stable")
    figure, axes = figures.new_figure(7.6, 1.2 + 0.21 * len(table))
    axis = axes[0, 0]
    axis.axvline(0, color=QUIET, linewidth=0.8)
    for place, (_, row) in enumerate(table.iterrows()):
        colour = STATUS_COLOURS.get(row["status"], QUIET)
        if pd.notna(row["ci_low"]):
            axis.plot([row["ci_low"], row["ci_high"]], [place, place], color=colour, linewidth=1.4)
        filled = row["status"] == "tested"
        axis.plot(
            row["effect"], place, "o", color=colour, markersize=5.5,
            markerfacecolor=colour if filled else "white",
        )  # fmt: skip
    names = [
        f"{words.short(row['gene'], 18)}{'*' if row['ambient'] else ''} in "
        f"{words.short(words.name(row['cell_type']), 26)}"
        for _, row in table.iterrows()
    ]
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")
    test, reference = words.name(design["test"]), words.name(design["reference"])
    axis.set_xlabel(f"log2 fold change: higher in {reference} (left) or in {test} (right)")
    axis.set_ylim(-0.8, len(table) - 0.2)
    present = [key for key in STATUS_COLOURS if key in set(table["status"])]
    handles = [
        Line2D(
            [], [], marker="o", linestyle="", color=STATUS_COLOURS[key],
            markerfacecolor=STATUS_COLOURS[key] if key == "tested" else "white",
        )
        for key in present
    ]  # fmt: skip
    labels = [words.status(key).word for key in present]
    figure.legend(handles, labels, loc="outside upper left", ncols=len(present))
    return figure


def known(production: pd.DataFrame) -> pd.Series:
    """Tell which rows of ``production.tsv`` hold a number that can be shown."""
    return production["detection"].notna() & ~production["status"].isin(
        ["not_testable", "not_measured"]
    )


def strongest(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a forest plot shows: tested ones first, then the largest effects."""
    table = contrasts[contrasts["effect"].notna() & (contrasts["status"] != "not_testable")]
    rank = pd.DataFrame(
        {"untested": table["status"] != "tested", "size": -table["effect"].abs()}, index=table.index
    )
    return table.loc[rank.sort_values(["untested", "size"], kind="stable").index[:MAX_EFFECTS]]


def _axis_rules(axis: Axes, groups: Sequence[str], width: int) -> None:
    """Part the genes of one panel axis from the next, and name the axis at the right."""
    start = 0
    for place, group in enumerate(groups):
        last = place + 1 == len(groups)
        if last or groups[place + 1] != group:
            middle = (start + place) / 2
            axis.text(
                width - 0.35, middle, words.short(group, 20), va="center", fontsize=8, color=QUIET
            )
            if not last:
                axis.axhline(place + 0.5, color=INK, linewidth=0.5)
            start = place + 1
