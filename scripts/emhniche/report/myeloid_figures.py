"""How do myeloid cells of case donors lie beside those of naive donors?

Three figures: residual against maturation in every arm, the donors' shares of cells above the naive
range, and what called cells share with stress and inflammation. :mod:`.myeloid_gates` says which
gates are drawn. Form and fill tell cells apart, so that colour is never all that does.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, styled
from emhniche.report.myeloid_gates import (
    ARMS,
    CONFOUNDER_WORDS,
    MAX_PLACES,
    gate_cells,
    gate_donors,
    overlap,
    place_name,
    several_datasets,
    shown_gates,
    verdict,
)
from emhniche.report.tables import GATE, RunTables

CELLS = {
    "called MDSC-like": {"marker": "D", "color": "#D55E00", "s": 15, "edgecolor": INK},
    "not called": {"marker": "o", "color": "#6B7885", "s": 7},
    "outside the reference's maturation": {"marker": "x", "color": "#9AA4AE", "s": 10},
}
"""How a cell is drawn, by what became of it."""

DONORS = {
    "reference": {"marker": "o", "color": "#0072B2"},
    "inflammation_control": {"marker": "^", "color": "#E69F00"},
    "case": {"marker": "D", "color": "#D55E00"},
}
"""How a donor is drawn, by its arm."""

DASHED = (0, (5, 3))

LINES = ((1.6, "-"), (0.9, DASHED))
"""Width and style of the mean of an arm, and of the line at 5 %."""

MAX_DRAWN = 6000
"""Cells of a panel that are drawn; called cells always are."""

NAMED_DONORS = 30
"""Donors that the figure of the overlap can name."""


@styled
def residuals(run: RunTables) -> Figure | None:
    """Draw residual against maturation of every cell, one panel an arm, one row a place.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when no myeloid cell has a residual.
    """
    gates = _drawn(run)
    parts = [gate_cells(run, gate).dropna(subset=["maturation", "residual"]) for gate in gates]
    columns = max((len(_arms(cells)) for cells in parts), default=0)
    if not columns:
        return None
    figure = Figure(figsize=(0.8 + 2.9 * max(columns, 2), 0.7 + 2.15 * len(gates)))
    figure.set_layout_engine("constrained")
    rows = np.atleast_1d(figure.subfigures(len(gates), 1))
    for row, gate, cells in zip(rows, gates, parts, strict=True):
        axes = row.subplots(1, columns, sharex=True, sharey=True, squeeze=False)[0]
        title = words.capital(place_name(gate, dataset=several_datasets(run["gates"])))
        text = [f"{title}, {words.name(gate['signature'])}", *textwrap.wrap(verdict(gate), 110)]
        row.suptitle("\n".join(text), x=0.01, ha="left", fontsize=9)
        here = _arms(cells)
        for axis, arm in zip(axes, here, strict=False):
            _residual_panel(axis, cells[cells["arm"] == arm], arm, gate)
        for axis in axes[len(here) :]:
            axis.set_visible(False)
        naive = "" if words.is_missing(gate["naive_limit"]) else "naive "
        axes[0].set_ylabel(f"residual ({naive}SD)")
    figure.supxlabel("maturation (late minus early sets, mean z)", fontsize=9)
    present = _fates(pd.concat(parts))
    handles = [Line2D([], [], linestyle="", **_line_style(CELLS[name])) for name in present]
    kinds = {"naive_limit": DASHED, "threshold": "-"}
    lines = [key for key in kinds if any(not words.is_missing(gate[key]) for gate in gates)]
    handles += [Line2D([], [], color=INK, linewidth=0.9, linestyle=kinds[key]) for key in lines]
    named = {"naive_limit": "naive 95th percentile", "threshold": "threshold of the calls"}
    labels = [*present, *(named[key] for key in lines)]
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


@styled
def exceedance(run: RunTables) -> Figure | None:
    """Draw each donor's share of cells above the naive range, by arm, with the gate in words.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when no donor that counts has such a share.
    """
    found = [(gate, gate_donors(run, gate)) for gate in _drawn(run)]
    found = [(gate, donors) for gate, donors in found if len(donors)]
    if not found:
        return None
    arms = [arm for arm in DONORS if any((donors["role"] == arm).any() for _, donors in found)]
    height = 0.9 + (0.85 + 0.3 * len(arms)) * len(found)
    figure, axes = figures.new_figure(6.4, height, rows=len(found), sharex=True)
    for axis, (gate, donors) in zip(axes[:, 0], found, strict=True):
        _strip(axis, donors, arms)
        text = _gate_words(gate, dataset=several_datasets(run["gates"]))
        axis.set_title(text, fontsize=8.5, weight="normal", x=0, linespacing=1.3)
    axes[-1, 0].set_xlabel("cells of the donor above the naive 95th percentile (%)")
    most = max(donors["exceedance"].max() for _, donors in found)
    axes[-1, 0].set_xlim(-0.02 * max(100 * most, 10), max(105 * most, 10))
    handles = [
        Line2D([], [], color=INK, linewidth=width, linestyle=style) for width, style in LINES
    ]
    figure.legend(handles, ["mean of the arm", "5 %"], loc="outside upper left", ncols=2)
    return figure


@styled
def shared(run: RunTables, table: pd.DataFrame) -> Figure | None:
    """Draw how many called and other case cells are high in stress and interferon genes.

    Parameters
    ----------
    run
        Tables of the run.
    table
        As :func:`overlaps` returns it.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when no cell was called or none has such a score.
    """
    if table.empty:
        return None
    found = [
        (dict(zip(GATE, gate, strict=True)), part)
        for gate, part in table.groupby(list(GATE), sort=False)
    ]
    sets = list(CONFOUNDER_WORDS)
    height = [min(table["donor"].nunique(), NAMED_DONORS) for _, table in found]
    figure, axes = figures.new_figure(
        6.9, 0.9 + sum(0.55 + 0.27 * h for h in height), rows=len(found), columns=len(sets),
        sharex=True, sharey="row", gridspec_kw={"height_ratios": [h + 1 for h in height]},
    )  # fmt: skip
    for row, (gate, table) in zip(axes, found, strict=True):
        for axis, name in zip(row, sets, strict=True):
            _overlap_panel(axis, table, name)
        place = words.capital(place_name(gate, dataset=several_datasets(run["gates"])))
        row[0].set_title(place, weight="normal", fontsize=9)
    for axis, name in zip(axes[-1], sets, strict=True):
        axis.set_xlabel(
            f"{CONFOUNDER_WORDS[name]} genes: cells\nabove the naive 95th percentile (%)",
            fontsize=8.5,
        )
    shares = pd.concat([table[["called", "other"]] for _, table in found])
    most = 100 * np.nanmax([0.1, shares.max().max()])
    axes[-1, 0].set_xlim(-0.05 * most, 1.06 * most)
    handles = [
        Line2D([], [], linestyle="", marker="D", color="#D55E00", markeredgecolor=INK),
        Line2D([], [], linestyle="", marker="o", color="#6B7885", markerfacecolor="white"),
        Line2D([], [], color=INK, linewidth=0.9, linestyle=DASHED),
    ]
    labels = ["called cells", "other case cells", "5 %"]
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def cell_counts(run: RunTables) -> pd.DataFrame:
    """Count the cells that :func:`residuals` draws.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    pandas.DataFrame
        Of each gate that is drawn, its ``arm`` (empty: none given) and what became of the cell
        (``fate``): ``cells``, ``known_donors``, ``median_maturation`` and ``median_residual``.
    """
    rows = []
    for gate in _drawn(run):
        cells = gate_cells(run, gate).dropna(subset=["maturation", "residual"])
        for arm in _arms(cells):
            here = cells[cells["arm"] == arm]
            fate = _fate(here)
            for name in _fates(here):
                part = here[fate == name]
                counts = {"cells": len(part), "known_donors": _known_donors(part)}
                middle = part[["maturation", "residual"]].median().add_prefix("median_")
                row = {key: gate[key] for key in GATE} | {"arm": arm, "fate": name}
                rows.append(row | counts | middle.to_dict())
    columns = [*GATE, "arm", "fate", "cells", "known_donors", "median_maturation"]
    return pd.DataFrame(rows, columns=[*columns, "median_residual"])


def overlaps(run: RunTables) -> pd.DataFrame:
    """Compare called with other case cells of each gate that called any.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    pandas.DataFrame
        :func:`emhniche.report.myeloid_gates.overlap` of each, with the columns that name a gate.
    """
    parts = [
        overlap(run, gate).assign(**{key: gate[key] for key in GATE})
        for gate in _drawn(run)
        if gate["code"] == "called"
    ]
    columns = [*GATE, "set", "donor", "n_called", "n_other", "called", "other"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def _known_donors(cells: pd.DataFrame) -> int:
    return int(cells["donor"][~cells["donor"].str.startswith("unknown")].nunique())


def _drawn(run: RunTables) -> list[pd.Series]:
    """Return the gates that the figures show."""
    table = shown_gates(run["gates"], run.config["myeloid"]["signatures"]).head(MAX_PLACES)
    return [gate for _, gate in table.iterrows()]


def _arms(cells: pd.DataFrame) -> list[str]:
    return [arm for arm in ARMS if (cells["arm"] == arm).any()]


def _fate(cells: pd.DataFrame) -> np.ndarray:
    """Name what became of each cell, a key of :data:`CELLS`."""
    called, rest, outside = CELLS
    return np.select([cells["called"], cells["status"] == "unsupported"], [called, outside], rest)


def _fates(cells: pd.DataFrame) -> list[str]:
    present = set(_fate(cells))
    return [name for name in CELLS if name in present]


def _residual_panel(axis: Axes, cells: pd.DataFrame, arm: str, gate: Mapping) -> None:
    """Draw the cells of one arm with the lines of their gate."""
    axis.grid(True)
    fate = _fate(cells)
    for name in reversed(CELLS):
        here = cells[fate == name]
        kept = here.iloc[figures.shuffled(len(here))[:MAX_DRAWN]]
        axis.scatter(
            kept["maturation"], kept["residual"], **_line(CELLS[name]), rasterized=True,
        )  # fmt: skip
    for value, style in ((gate["naive_limit"], DASHED), (gate["threshold"], "-")):
        if not words.is_missing(value):
            axis.axhline(value, color=INK, linewidth=0.9, linestyle=style)
    donors = _known_donors(cells)
    text = f"{ARMS[arm]}: {words.plural(len(cells), 'cell')}"
    text += f", {words.plural(donors, 'known donor')}" if donors else ", no known donor"
    axis.set_title(text, fontsize=8.5, weight="normal")


def _line(style: Mapping) -> dict:
    filled = style["marker"] != "x"
    return {**style, "linewidths": 0.5 if "edgecolor" in style else (0 if filled else 0.7)}


def _line_style(style: Mapping) -> dict:
    return {
        "marker": style["marker"],
        "color": style["color"],
        "markersize": 5 if style["marker"] == "D" else 4,
        "markeredgecolor": style.get("edgecolor", style["color"]),
        "markeredgewidth": 0.6,
    }


def _strip(axis: Axes, donors: pd.DataFrame, arms: Sequence[str]) -> None:
    """Draw one dot a donor and the mean of each arm; dots that would hide others step aside."""
    axis.grid(True, axis="x")
    axis.axvline(5, color=INK, linewidth=0.9, linestyle=DASHED)
    for place, arm in enumerate(reversed(arms)):
        share = 100 * donors.loc[donors["role"] == arm, "exceedance"].sort_values()
        step = np.where(np.arange(len(share)) % 2, 0.14, -0.14) * (len(share) > 1)
        axis.scatter(
            share, place + step, s=40, linewidths=0.6, edgecolor="white", **DONORS[arm], zorder=3,
        )  # fmt: skip
        if len(share) > 1:
            axis.plot([share.mean()] * 2, [place - 0.32, place + 0.32], color=INK, linewidth=1.6)
    axis.set_yticks(range(len(arms)), [ARMS[arm] for arm in reversed(arms)])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.6, len(arms) - 0.4)


def _gate_words(gate: pd.Series, *, dataset: bool) -> str:
    """Write what came of a gate, with its p-values, above its strip."""
    title = f"{words.capital(place_name(gate, dataset=dataset))}, {words.name(gate['signature'])}"
    lines = [title, *textwrap.wrap(verdict(gate), 80)]
    if not words.is_missing(gate["p"]):
        lines.append(f"p {words.p_value(gate['p'])}, adjusted {words.p_value(gate['q'])}")
    return "\n".join(lines)


def _overlap_panel(axis: Axes, table: pd.DataFrame, name: str) -> None:
    """Draw one line a donor between its called and its other cells."""
    donors = list(table["donor"].unique())[:NAMED_DONORS][::-1]
    rows = table[table["set"] == name].set_index("donor").reindex(donors)
    axis.grid(True, axis="x")
    axis.axvline(5, color=INK, linewidth=0.9, linestyle=DASHED)
    for place, (_, row) in enumerate(rows.iterrows()):
        pair = [100 * row["other"], 100 * row["called"]]
        axis.plot(pair, [place, place], color=QUIET, linewidth=1)
        axis.plot(pair[0], place, "o", color="#6B7885", markerfacecolor="white", markersize=9)
        axis.plot(pair[1], place, "D", color="#D55E00", markeredgecolor=INK, markersize=5)
    counts = table.drop_duplicates("donor").set_index("donor").reindex(donors)
    labels = [
        f"{words.short(donor, 16)} ({words.number(row['n_called'])} called, "
        f"{words.number(row['n_other'])} other)"
        for donor, row in counts.iterrows()
    ]
    axis.set_yticks(range(len(donors)), labels)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.6, len(donors) - 0.4)
