"""How do planted differences look beside what was found?"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from emhniche.evidence import Evidence
from emhniche.io import CELL_ID
from emhniche.judging_tables import is_called, matching
from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, STATUS_COLOURS, styled
from emhniche.truths import Truth

MARKS = {
    "planted, called": {"marker": "o", "color": "#D55E00", "s": 16, "linewidths": 0.8},
    "planted, not called": {"marker": "o", "facecolor": "white", "edgecolor": "#D55E00", "s": 16},
    "not planted, called": {"marker": "X", "color": "#000000", "s": 26, "linewidths": 0},
    "not planted, not called": {"marker": ".", "color": "#AEB7C0", "s": 12, "linewidths": 0},
}
"""How a cell is drawn: by form and fill, so that colour is never all that tells them apart."""

MAX_DONORS = 40
"""Donors that the figure of a state can name."""


def planted_rows(truths: Sequence[Truth], evidence: Evidence) -> pd.DataFrame:
    """Put every planted difference beside the rows of the results that should show it.

    Parameters
    ----------
    truths
        The planted truths.
    evidence
        The tables of the run.

    Returns
    -------
    pandas.DataFrame
        One row a row of the results: ``name``, ``planted`` (log2), ``effect``, ``ci_low``,
        ``ci_high``, ``status`` and ``called``.
    """
    tables = {"contrasts": evidence.contrasts, "composition": evidence.composition}
    found = []
    for truth in truths:
        for expected in truth.expect:
            if expected["table"] in tables and expected["finding"] in ("up", "down"):
                for gene in expected.get("genes", [""]):
                    size = _planted(truth, gene)
                    rows = matching(tables[expected["table"]], expected, gene)
                    if size is not None and len(rows):
                        found.append(_named(rows, gene).assign(planted=size))
    columns = ["name", "planted", "effect", "ci_low", "ci_high", "status", "called"]
    return pd.concat([pd.DataFrame(columns=columns), *found])[columns].reset_index(drop=True)


@styled
def effects(table: pd.DataFrame) -> Figure | None:
    """Draw planted differences beside the found ones with their intervals.

    Parameters
    ----------
    table
        As :func:`planted_rows` returns it.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when no row has an effect.
    """
    table = table[table["effect"].notna()].iloc[::-1]
    if table.empty:
        return None
    figure, axes = figures.new_figure(7.6, 1.3 + 0.3 * len(table))
    axis, green = axes[0, 0], STATUS_COLOURS["tested"]
    axis.axvline(0, color=QUIET, linewidth=0.8)
    for place, (_, row) in enumerate(table.iterrows()):
        if pd.notna(row["ci_low"]):
            axis.plot([row["ci_low"], row["ci_high"]], [place, place], color=green, linewidth=1.4)
        axis.plot(
            row["effect"], place, "o", color=green, markersize=6,
            markerfacecolor=green if row["called"] else "white",
        )  # fmt: skip
        axis.plot(
            row["planted"], place, "d", color=INK, markersize=7.5, markerfacecolor="none",
            markeredgewidth=1.2, zorder=3,
        )  # fmt: skip
    axis.set_yticks(range(len(table)), [words.short(name, 48) for name in table["name"]])
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")
    axis.set_ylim(-0.7, len(table) - 0.3)
    axis.set_xlabel("log2 fold change of expression, or log2 odds ratio of frequency")
    handles = [
        Line2D([], [], marker="d", linestyle="", color=INK, markerfacecolor="none"),
        Line2D([], [], marker="o", color=green),
        Line2D([], [], marker="o", color=green, markerfacecolor="white"),
    ]
    labels = ["planted", "found and called", "found, not called"]
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def state_cells(truth: str, expected: Mapping, evidence: Evidence) -> pd.DataFrame:
    """Return the cells among which a state was planted and looked for.

    Parameters
    ----------
    truth
        Id of the truth.
    expected
        Its expectation of ``myeloid``.
    evidence
        The tables of the run.

    Returns
    -------
    pandas.DataFrame
        One row a cell of the tissue and lineage: ``donor``, ``residual`` and ``mark`` (a key of
        :data:`MARKS`).
    """
    calls, cells = evidence.calls, evidence.cells
    keys = ["lineage", "signature"]
    asked = calls[(calls[keys] == [expected[key] for key in keys]).all(axis=1)]
    table = asked.merge(cells[cells["tissue"] == expected["tissue"]], on=CELL_ID)
    table = table[table["residual"].notna()]
    planted = table["planted"] == truth
    hit = table["pathological"].fillna(False).astype(bool)
    *marks, rest = MARKS
    names = np.select([planted & hit, planted, hit], marks, rest)
    return pd.DataFrame({"donor": table["donor"], "residual": table["residual"], "mark": names})


@styled
def state(cells: pd.DataFrame, donors: Sequence[str], threshold: float | None) -> Figure | None:
    """Draw the cells of each donor by how far they lie above what is expected of naive cells.

    Parameters
    ----------
    cells
        As :func:`state_cells` returns it.
    donors
        Donors in the order of the study.
    threshold
        Residual at and above which cells are called; None where none is.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when there is no such cell.
    """
    donors = [donor for donor in donors if donor in set(cells["donor"])][:MAX_DONORS]
    if not donors:
        return None
    figure, axes = figures.new_figure(max(5.4, 0.9 + 0.85 * len(donors)), 4.2)
    axis, rng = axes[0, 0], np.random.default_rng(0)
    place = cells["donor"].map({donor: number for number, donor in enumerate(donors)})
    at = place + rng.uniform(-0.3, 0.3, len(cells))
    for name in reversed(MARKS):
        here = (cells["mark"] == name) & place.notna()
        axis.scatter(at[here], cells.loc[here, "residual"], **MARKS[name])
    if threshold is not None:
        axis.axhline(threshold, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    number = cells["donor"].value_counts()
    labels = [
        f"{words.short(donor, 14)}\n{words.plural(number[donor], 'cell')}" for donor in donors
    ]
    axis.set_xticks(range(len(donors)), labels)
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("residual of the score (naive SD)")
    present = [name for name in MARKS if (cells["mark"] == name).any()]
    handles = [axis.scatter([], [], **MARKS[name]) for name in present]
    if threshold is not None:
        handles.append(Line2D([], [], color=INK, linewidth=0.9, linestyle=(0, (4, 3))))
        present = [*present, "threshold of the calls"]
    figure.legend(handles, present, loc="outside upper left", ncols=3)
    return figure


def _planted(truth: Truth, gene: str) -> float | None:
    """Return the planted log2 change of a gene, or of a frequency where no gene is named."""
    for plant in truth.plant:
        if gene and plant["kind"] == "expression" and gene in plant["genes"]:
            return float(plant["log2_fold"])
        if not gene and plant["kind"] == "abundance":
            return float(np.log2(plant["fold"]))
    return None


def _named(rows: pd.DataFrame, gene: str) -> pd.DataFrame:
    """Return rows of the results with what they are called in the figure."""
    cells = rows["cell_type"].map(words.name)
    name = f"{gene} in " + cells if gene else cells + ", frequency"
    return rows.assign(name=name, called=is_called(rows))
