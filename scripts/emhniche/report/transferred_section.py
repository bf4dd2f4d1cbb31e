"""What do published labels of some samples say of all other cells, beside the names of the run?

A heat map of labels by lineage, a table and sentences, where ``annotate.label_samples`` names
samples. Labels have other words and other errors than marker genes: a disagreement is shown, and
who is right is left open.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from emhniche.io import CELL_ID
from emhniche.lineage import UNKNOWN
from emhniche.report import figures, words
from emhniche.report.figures import INK, styled
from emhniche.report.page_tables import Column, PageTable, page_table
from emhniche.report.render import Picture, picture
from emhniche.report.tables import TABLES, TRANSFERRED, RunTables

MAX_LABELS = 40
"""Labels in the heat map: the most frequent; the table holds all."""

MIN_CELLS = 20
"""Fewest cells of a label that a sentence names as a disagreement."""

SOURCES = [
    "transferred_by_lineage.tsv",
    f"../{TRANSFERRED['cells'][0]}",
    f"../{TABLES['annotation'][0]}",
]


def pictures(run: RunTables) -> list[Picture]:
    """Draw labels by lineage; nothing where no sample lends its labels."""
    if run.transferred is None:
        return []
    return [
        picture(
            "transferred",
            heat_map(
                lineages_by_label(run.transferred["cells"], run["annotation"]),
                run.transferred["labels"].set_index("label")["usual_lineage"],
                name="published label",
            ),
            caption="Cells that got each published label, by the lineage that the run names: share "
            "of the label's cells, in brackets the cells. Framed: the lineage that the labelled "
            "cells themselves usually have. What lies outside a frame is a disagreement; "
            "white is no cell. "
            f"{words.capital(UNKNOWN)}: too far from every labelled cell.",
            tables=SOURCES,
            nothing="No cell was left to hand labels to.",
        )
    ]


def section(run: RunTables) -> dict | None:
    """Return the sentences and the table; None where no sample lends its labels."""
    if run.transferred is None:
        return None
    return {"sentences": sentences(run), "table": label_table(run)}


def sentences(run: RunTables) -> list[str]:
    """Say how many cells got a label, how often lineages agree, and where they do most seldom."""
    cells, labels = run.transferred["cells"], run.transferred["labels"]
    known = cells[cells["in_reference"].astype(bool)]
    lent = words.join(run.config["annotate"]["label_samples"])
    agree = int(known["agrees"].fillna(False).astype(bool).sum())
    told = [
        f"Labels of {lent} went to {words.number(len(known))} of "
        f"{words.plural(len(cells), 'other cell')}; {words.number(len(cells) - len(known))} lie "
        f"too far from every labelled cell ({UNKNOWN}).",
    ]
    if len(known):
        share = words.percent(agree, len(known))
        told.append(
            f"{words.number(agree)} of {words.number(len(known))} ({share}) have the lineage "
            "that cells with their label usually have. No name was changed."
        )
    apart = labels[(labels["n_cells"] >= MIN_CELLS) & (labels["agree"] < 0.5)]
    parts = [
        f"{row.label} ({words.percent(row.agree)} {words.name(row.usual_lineage)}; of the others "
        f"most are {words.name(row.other_lineage)})"
        for row in apart.sort_values("agree", kind="stable").itertuples()
    ]
    if parts:
        told.append(f"Fewer than half agree of: {words.join(parts)}.")
    return told


def label_table(run: RunTables) -> PageTable:
    """Return one row a label: where it is from, how many cells got it, and who disagrees."""
    columns = [
        Column("label", "Label", "text"),
        Column("n_labelled", "Labelled cells", "count"),
        Column("usual_lineage", "Their usual lineage"),
        Column("labelled_agree", "have it", "percent"),
        Column("n_cells", "Cells that got it", "count"),
        Column("agree", "Agree", "percent"),
        Column("other_lineage", "Of the others most are"),
    ]
    return page_table(
        "transferred-table",
        run.transferred["labels"],
        columns,
        source=f"../{TRANSFERRED['labels'][0]}",
        caption="Published labels and the lineages of this run. Agree: share of the cells that got "
        "the label whose lineage is the usual one of its labelled cells.",
        searchable=True,
    )


def lineages_by_label(cells: pd.DataFrame, annotation: pd.DataFrame) -> pd.DataFrame:
    """Count the cells with each label (rows, most frequent first) by their lineage.

    Parameters
    ----------
    cells
        ``cell_id`` and ``label``, :data:`~emhniche.lineage.UNKNOWN` where there is none.
    annotation
        ``cell_id`` and ``lineage`` of all cells.
    """
    lineage = annotation.set_index(CELL_ID)["lineage"].reindex(cells[CELL_ID])
    counts = pd.crosstab(cells["label"].to_numpy(dtype=object), lineage.to_numpy(dtype=object))
    size = counts.sum(axis=1)
    order = sorted(counts.index, key=lambda label: (label == UNKNOWN, -size[label], label))
    return counts.loc[order, words.order(counts.columns, list(figures.LINEAGE_COLOURS))]


@styled
def heat_map(counts: pd.DataFrame, usual: pd.Series, *, name: str) -> Figure | None:
    """Draw the share of each label's cells in each lineage.

    Parameters
    ----------
    counts
        Labels x lineages, cells.
    usual
        Label -> lineage that is framed in its row.
    name
        What the labels are.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when no cell got a label.
    """
    if counts.empty:
        return None
    kept = [label for label in counts.index if label != UNKNOWN][:MAX_LABELS]
    counts = counts.loc[kept + [label for label in counts.index if label == UNKNOWN]]
    size = counts.sum(axis=1)
    share = counts.div(size, axis=0) * 100
    width = 3.6 + 0.42 * counts.shape[1]
    figure, axes = figures.new_figure(width, 1.9 + 0.27 * len(counts))
    axis = axes[0, 0]
    shown = np.ma.masked_equal(share.to_numpy(), 0)
    image = axis.imshow(shown, cmap="YlGnBu", vmin=0, vmax=100, aspect="auto")
    for row, label in enumerate(counts.index):
        for column, lineage in enumerate(counts.columns):
            value = share.iat[row, column]
            if counts.iat[row, column]:
                colour = "white" if value > 55 else INK
                text = words.percent(value, 100).removesuffix(" %")
                axis.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
            if usual.get(label) == lineage:
                corner = (column - 0.5, row - 0.5)
                axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#D55E00", lw=2))
    names = [f"{words.short(one, 34)} ({words.number(size[one])})" for one in counts.index]
    axis.set_yticks(range(len(counts)), names)
    ticks = [words.short(words.name(one), 24) for one in counts.columns]
    axis.set_xticks(range(counts.shape[1]), ticks, rotation=45, ha="right", rotation_mode="anchor")
    axis.set(xlabel="lineage by the run", ylabel=f"{name} (cells)")
    axis.tick_params(length=0)
    figure.colorbar(image, ax=axis, label="cells of the label (%)", shrink=0.8, aspect=25)
    return figure
