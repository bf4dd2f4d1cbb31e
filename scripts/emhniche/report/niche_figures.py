"""Who makes the panel, and what differs: how is it drawn?

A value that was not measured or could not be tested is never drawn as zero: it is hatched on the
map of the panel and left out of the plot of differences. One that ambient RNA explains is crossed
out: its share of cells says nothing of who makes the transcript.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from emhniche.axes import Q_LEVEL, differs
from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, STATUS_COLOURS, styled

MAX_EFFECTS = 30
"""Rows of the forest plot; the table holds all."""

RAMP = LinearSegmentedColormap.from_list(
    "ramp", ["#FFFFFF", "#CFE3E8", "#5FA8C4", "#225EA8", "#0C2C66"]
)
"""Low to high, white at exactly zero; readable with any colour vision and in grey."""

NOT_TESTABLE = {"facecolor": "#F1F3F5", "edgecolor": "#B6BEC6", "hatch": "////"}

FLAGGED = {"marker": "x", "markersize": 4.0, "markeredgewidth": 0.9, "linestyle": ""}
FLAGGED_ON_PALE, FLAGGED_ON_DARK = "#C2410C", "#FFD8A8"
DARK = 40.0
"""Per cent of cells from which a field is so dark that its cross must be pale."""

LOOKS = {
    "differs": ("#0B6B50", "#0B6B50", f"differs (q ≤ {Q_LEVEL:g} and the interval without 0)"),
    "tested": ("#8FBFAE", "#D7EAE3", "tested, no difference"),
    "effect_only": (STATUS_COLOURS["effect_only"], "white", words.status("effect_only").word),
    "not_identifiable": (
        *(STATUS_COLOURS["not_identifiable"], "white", words.status("not_identifiable").word),
    ),
}
"""How a row of the forest plot is drawn: line, fill, and what the legend says."""


@styled
def panel_map(production: pd.DataFrame, niche: str) -> Figure | None:
    """Draw which share of each cell type of a niche holds each gene of the core panel.

    Parameters
    ----------
    production
        ``niche/production.tsv``.
    niche
        Which of its niches.

    Returns
    -------
    matplotlib.figure.Figure or None
        Genes x cell types, by dataset and condition; cell types in which no gene can be judged are
        left out. White is zero in cells that were looked at; hatched is not testable; a cross
        marks what ambient RNA or doublets explain.
    """
    table = production[(production["niche"] == niche) & (production["tier"] == "core")]
    table = table.assign(place=places(table), shown=100 * table["detection"].where(known(table)))
    columns = table[known(table)].drop_duplicates(["place", "cell_type"])
    columns = columns.assign(key=columns["place"].str.casefold()).sort_values(
        ["key", "n_cells"], ascending=[True, False], kind="stable"
    )
    if columns.empty:
        return None
    genes = table.drop_duplicates("gene")
    keys = pd.MultiIndex.from_frame(columns[["place", "cell_type"]])
    most = table.dropna(subset="shown").sort_values("shown", kind="stable")
    most = most.drop_duplicates(["gene", "place", "cell_type"], keep="last")
    fields = most.set_index(["gene", "place", "cell_type"])
    grid, flagged = (
        fields[name].unstack(["place", "cell_type"]).reindex(index=genes["gene"], columns=keys)
        for name in ("shown", "ambient")
    )
    grid = grid.to_numpy(dtype=float)
    figure, axes = figures.new_figure(3.0 + 0.3 * len(columns), 3.0 + 0.185 * len(genes))
    axis = axes[0, 0]
    picture = axis.imshow(grid, cmap=RAMP, norm=PowerNorm(0.5, 0, 100), aspect="auto")
    for row, column in np.argwhere(np.isnan(grid)):
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, linewidth=0, **NOT_TESTABLE))
    crossed = flagged.astype("boolean").fillna(False).to_numpy(dtype=bool) & (grid > 0)
    for here, colour in ((grid < DARK, FLAGGED_ON_PALE), (grid >= DARK, FLAGGED_ON_DARK)):
        down, across = np.nonzero(crossed & here)
        axis.plot(across, down, color=colour, **FLAGGED)
    labels = [
        f"{words.short(words.name(name), 26)} ({words.number(n)})"
        for name, n in zip(columns["cell_type"], columns["n_cells"], strict=True)
    ]
    axis.set_xticks(
        range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=8
    )
    axis.set_yticks(
        range(len(genes)), [words.short(gene, 20) for gene in genes["gene"]], fontsize=8
    )
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    _axis_rules(axis, genes["axis"].tolist(), len(columns))
    _place_rules(axis, columns["place"].tolist())
    bar = figure.colorbar(picture, ax=axis, shrink=0.4, aspect=14, pad=0.12)
    bar.set_label("cells with the transcript (%)")
    bar.set_ticks([0, 1, 5, 20, 50, 100], labels=["0", "1", "5", "20", "50", "100"])
    figure.legend(
        handles=[
            Patch(**NOT_TESTABLE, label="not testable or not measured"),
            Line2D(
                [], [], color=FLAGGED_ON_PALE, **FLAGGED, label="may be ambient RNA or doublets"
            ),
        ],
        loc="outside lower right",
        ncols=2,
    )
    return figure


@styled
def forest(contrasts: pd.DataFrame, design: Mapping) -> Figure | None:
    """Draw the clearest effects of a contrast, with their intervals where they have one.

    Parameters
    ----------
    contrasts
        Rows of ``niche/contrasts.tsv`` of one contrast.
    design
        The contrast, as the configuration has it.

    Returns
    -------
    matplotlib.figure.Figure or None
        At most :data:`MAX_EFFECTS` rows by cell type, higher ones above lower ones, the smallest q
        of each first; dark where the row differs (:func:`emhniche.axes.differs`). None when no
        effect could be estimated.
    """
    table = clearest(contrasts[contrasts["level"] == "cell_type"])
    if table.empty:
        return None
    table = table.assign(look=looks(table), lower=table["effect"] < 0)
    table = table.sort_values("lower", kind="stable").iloc[::-1]
    figure, axes = figures.new_figure(7.6, 1.2 + 0.21 * len(table))
    axis = axes[0, 0]
    axis.axvline(0, color=QUIET, linewidth=0.8)
    for place, (_, row) in enumerate(table.iterrows()):
        colour, fill, _ = LOOKS[row["look"]]
        if pd.notna(row["ci_low"]):
            axis.plot([row["ci_low"], row["ci_high"]], [place, place], color=colour, linewidth=1.4)
        axis.plot(row["effect"], place, "o", color=colour, markersize=5.5, markerfacecolor=fill)
    change = int(table["lower"].sum())
    if 0 < change < len(table):
        axis.axhline(change - 0.5, color=QUIET, linewidth=0.6, linestyle=(0, (4, 3)))
    names = [
        f"{words.short(row['gene'], 18)} in {words.short(words.name(row['cell_type']), 26)}"
        for _, row in table.iterrows()
    ]
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")
    axis.set_xlabel(change_axis(design))
    axis.set_ylim(-0.8, len(table) - 0.2)
    present = [LOOKS[key] for key in LOOKS if key in set(table["look"])]
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, markerfacecolor=fill)
        for colour, fill, _ in present
    ]
    labels = [label for *_, label in present]
    figure.legend(handles, labels, loc="outside upper left", ncols=min(2, len(present)))
    return figure


def looks(rows: pd.DataFrame) -> pd.Series:
    """Tell how each row of a forest plot is drawn.

    Parameters
    ----------
    rows
        Rows of ``niche/contrasts.tsv``.

    Returns
    -------
    pandas.Series
        A key of :data:`LOOKS`: ``differs`` of what the findings may name, else the status.
    """
    return rows["status"].astype(str).mask(differs(rows), "differs")


def change_axis(design: Mapping) -> str:
    """Say what left and right of zero mean.

    Parameters
    ----------
    design
        The contrast, as the configuration has it.

    Returns
    -------
    str
        Label of the axis.
    """
    test, reference = words.name(design["test"]), words.name(design["reference"])
    second = design.get("interaction")
    if not second:
        return f"log2 fold change: higher in {reference} (left) or in {test} (right)"
    there, elsewhere = words.name(second["test"]), words.name(second["reference"])
    return (
        f"difference of log2 fold changes, {test} against {reference}:\n"
        f"raised more in {elsewhere} (left) or in {there} (right)"
    )


def known(production: pd.DataFrame) -> pd.Series:
    """Tell which rows of ``production.tsv`` hold a number that can be shown."""
    return production["detection"].notna() & ~production["status"].isin(
        ["not_testable", "not_measured"]
    )


def places(production: pd.DataFrame) -> pd.Series:
    """Name the dataset of each row, with its condition where it is given."""
    condition = production["condition"].fillna("").astype(str)
    return production["dataset"].astype(str) + ("\n" + condition).where(condition != "", "")


def clearest(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a forest plot shows, tested ones first.

    Parameters
    ----------
    contrasts
        Rows of ``niche/contrasts.tsv``.

    Returns
    -------
    pandas.DataFrame
        At most :data:`MAX_EFFECTS` rows with an effect: those that differ, other tested ones, each
        by q, then the untested ones by size.
    """
    table = contrasts[contrasts["effect"].notna() & (contrasts["status"] != "not_testable")]
    rank = pd.DataFrame(
        {
            "group": looks(table).map({"differs": 0, "tested": 1}).fillna(2),
            "q": table["q"],
            "size": -table["effect"].abs(),
        }
    )
    order = rank.sort_values(["group", "q", "size"], kind="stable").index
    return table.loc[order[:MAX_EFFECTS]]


def _axis_rules(axis: Axes, groups: Sequence[str], width: int) -> None:
    """Part the genes of one panel axis from the next, and name the axis at the right."""
    for first, last in _runs(groups):
        text = words.short(groups[first], 20)
        axis.text(width - 0.35, (first + last) / 2, text, va="center", fontsize=8, color=QUIET)
        if last + 1 < len(groups):
            axis.axhline(last + 0.5, color=INK, linewidth=0.5)


def _place_rules(axis: Axes, groups: Sequence[str]) -> None:
    """Part the cell types of one dataset and condition from the next, and name them on top."""
    for first, last in _runs(groups):
        text = "\n".join(words.short(part, 26) for part in groups[first].split("\n"))
        axis.text(first - 0.4, -0.8, text, rotation=30, fontsize=8, color=QUIET, va="bottom")
        if last + 1 < len(groups):
            axis.axvline(last + 0.5, color=INK, linewidth=0.5)


def _runs(groups: Sequence[str]) -> list[tuple[int, int]]:
    """Return first and last place of each run of equal values."""
    firsts = [i for i, group in enumerate(groups) if i == 0 or groups[i - 1] != group]
    return list(zip(firsts, [i - 1 for i in firsts[1:]] + [len(groups) - 1], strict=True))
