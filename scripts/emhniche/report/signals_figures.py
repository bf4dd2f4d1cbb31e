"""Do the signals arrive, and is blood made where they do: how is it drawn and said?

Responses are a map of sets and lineages, the EMH index a dot a donor. What could not be tested is
hatched, never white, since white is no difference.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from emhniche.axes import Q_LEVEL, differs
from emhniche.emh_axes import ALPHA
from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, styled
from emhniche.report.finding import Finding, source
from emhniche.report.index_tables import run_table
from emhniche.report.niche_figures import NOT_TESTABLE
from emhniche.report.page_tables import Column, PageTable, with_interval
from emhniche.report.tables import RunTables, contrast_titles

MAX_ROWS = 100
"""Rows of a table on the page; the linked file holds all."""

NO_ORDER = f"With these donors no order gives p ≤ {ALPHA:g}; the ranking says nothing."

NAMED = 4
"""Rows named in a sentence."""

BLOOD = ("HSPC", "erythroid", "megakaryocyte", "neutrophil")
"""Lineages that hold a branch of the EMH index."""

DIVERGING = LinearSegmentedColormap.from_list(
    "diverging", ["#7B3294", "#C2A5CF", "#FFFFFF", "#A6DBA0", "#1B7837"]
)
"""Lower to higher, white at no difference; its ends differ with any colour vision."""

BRANCHES = {
    "emh_index": "EMH index",
    "log2_hspc": "HSPC",
    "log2_erythroid": "erythroid",
    "log2_megakaryocyte": "megakaryocyte",
    "log2_neutrophil_precursor": "neutrophil precursor",
}


@styled
def responses(table: pd.DataFrame, titles: dict[str, str]) -> Figure | None:
    """Draw how each response differs in each lineage, one map a contrast.

    Parameters
    ----------
    table
        ``niche/responses.tsv``.
    titles
        Name of each contrast -> its title.

    Returns
    -------
    matplotlib.figure.Figure or None
        Sets x lineages; None when no response has a size.
    """
    table = table[(table["level"] == "lineage") & table["set"].fillna("").ne("")]
    sized = table[table["effect"].notna()]
    shown = [name for name in titles if name in set(sized["contrast"])]
    if not shown:
        return None
    sets = table.drop_duplicates("set")[["set", "axis", "kind"]]
    lineages = words.order(sized["cell_type"], list(figures.LINEAGE_COLOURS))
    reach = max(0.5, float(sized["effect"].abs().quantile(0.98)))
    names = [words.short(words.name(one), 22) for one in lineages]
    height = 0.9 + len(shown) * (1.4 + 0.24 * len(sets))
    figure, axes = figures.new_figure(3.6 + 0.42 * len(lineages), height, rows=len(shown))
    for axis, name in zip(axes[:, 0], shown, strict=True):
        part = table[table["contrast"] == name].set_index(["set", "cell_type"])
        grid = part["effect"].astype(float).unstack("cell_type")
        grid = grid.reindex(index=sets["set"], columns=lineages).to_numpy(dtype=float)
        picture = axis.imshow(grid, cmap=DIVERGING, norm=Normalize(-reach, reach), aspect="auto")
        for row, column in np.argwhere(np.isnan(grid)):
            axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, linewidth=0, **NOT_TESTABLE))
        called = part["q"].astype(float).unstack("cell_type") <= Q_LEVEL
        called = called.reindex(index=sets["set"], columns=lineages, fill_value=False)
        for row, column in np.argwhere(called.to_numpy(dtype=bool)):
            axis.plot(column, row, "o", color=INK, markersize=4)
        axis.set_yticks(range(len(sets)), _set_names(sets), fontsize=8)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(words.short(titles[name], 60))
        axis.set_xticks(
            range(len(lineages)), names, rotation=50, ha="right", rotation_mode="anchor", fontsize=8
        )
    bar = figure.colorbar(picture, ax=axes[:, 0], shrink=0.6 / len(shown) + 0.2, aspect=14)
    bar.set_label("mean log2 fold change of the\nresponse beyond its background", fontsize=8)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=INK, markersize=4, label=f"q ≤ {Q_LEVEL:g}"),
        Patch(**NOT_TESTABLE, label="not testable, or not read in these cells"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    return figure


def _set_names(sets: pd.DataFrame) -> list[str]:
    """Name each set with its axis, or as the control that it is."""
    of = sets["axis"].where(sets["kind"] != "control", "control")
    return [
        words.short(f"{words.name(name)} ({axis})", 30)
        for name, axis in zip(sets["set"], of, strict=True)
    ]


@styled
def emh_index(table: pd.DataFrame) -> Figure | None:
    """Draw the EMH index and its branches, one dot a donor.

    Parameters
    ----------
    table
        ``niche/emh_index.tsv``.

    Returns
    -------
    matplotlib.figure.Figure or None
        One panel a tissue and dataset; None when no unit has an index.
    """
    table = table[table["emh_index"].notna()]
    if table.empty:
        return None
    places = list(table.groupby(["tissue", "dataset"], sort=True))
    conditions = words.order(table["condition"].fillna("").replace("", "no condition given"))
    colour = dict(zip(conditions, figures.CYCLE * len(conditions), strict=False))
    marks = dict(zip(conditions, "osD^vP" * len(conditions), strict=False))
    figure, axes = figures.new_figure(7.2, 0.6 + 2.6 * len(places), rows=len(places))
    for axis, ((tissue, dataset), part) in zip(axes[:, 0], places, strict=True):
        axis.axhline(0, color=QUIET, linewidth=0.8)
        condition = part["condition"].fillna("").replace("", "no condition given").astype(str)
        for place, column in enumerate(BRANCHES):
            for number, one in enumerate(conditions):
                values = part.loc[condition == one, column].dropna().sort_values()
                spread = np.linspace(-0.07, 0.07, len(values)) if len(values) > 1 else [0.0]
                x = place + (number - (len(conditions) - 1) / 2) * 0.24
                axis.plot(
                    x + np.array(spread)[: len(values)], values, marks[one], color=colour[one],
                    markersize=5.5, alpha=0.85, linestyle="",
                )  # fmt: skip
            if part[column].isna().all():
                axis.text(
                    place,
                    0,
                    "not measured",
                    rotation=90,
                    ha="center",
                    va="bottom",
                    color=QUIET,
                    style="italic",
                    fontsize=8,
                )
        axis.set_xticks(range(len(BRANCHES)), list(BRANCHES.values()))
        axis.set_xlim(-0.6, len(BRANCHES) - 0.4)
        axis.grid(True, axis="y")
        axis.set_ylabel("log2 odds against\nreference donors")
        axis.set_title(words.short(f"{words.name(tissue)}, {dataset}", 60))
    handles = [
        Line2D([], [], marker=marks[one], linestyle="", color=colour[one], label=words.short(one))
        for one in conditions
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 5))
    return figure


def sentences(run: RunTables) -> Iterator[Finding]:
    """Say for each contrast which scores and responses differ."""
    for contrast, title in contrast_titles(run).items():
        for table, noun in (("score_contrasts", "score"), ("responses", "response")):
            rows = run[table][run[table]["contrast"] == contrast]
            tested = rows[rows["status"] == "tested"]
            if "tier" in tested:
                # what names a cell is no finding about its state
                tested = tested[tested["tier"] != "identity"]
            if len(tested):
                text = f"{title}, {_named(tested, noun)}"
                yield Finding("tested", text, source(table))


def blood_made(run: RunTables) -> Iterator[Finding]:
    """Say for each contrast whether more blood is made outside the marrow, and what that is of."""
    for contrast, title in contrast_titles(run).items():
        rows = run["emh_contrasts"][run["emh_contrasts"]["contrast"] == contrast]
        for _, row in rows[rows["measure"] == "emh_index"].iterrows():
            status = str(row["status"])
            text = f"{title}: {_index_words(row)}"
            if status == "tested":
                text += _other_shares(run, contrast, float(row["effect"]))
            yield Finding(status, text, source("emh_contrasts"))


def _index_words(row: pd.Series) -> str:
    """Write what came of comparing the EMH index, and its size where it has one."""
    if words.is_missing(row["effect"]):
        why = words.sentence(row.get("reason"))
        return f"the EMH index cannot be compared. {words.capital(why)}".strip()
    size = f"{words.signed(row['effect'])} in log2 odds"
    if row["status"] != "tested":
        return f"the EMH index differs by {size}, with no p-value."
    called = bool(differs(row.to_frame().T).iloc[0])
    way = "higher" if row["effect"] > 0 else "lower"
    said = f"is {way}" if called else "does not differ"
    ends = f"{words.signed(row['ci_low'])} to {words.signed(row['ci_high'])}"
    return (
        f"the EMH index {said} at a false discovery rate of {Q_LEVEL:g}: {size} (95 % {ends}, q "
        f"{words.p_value(row['q'])})."
    )


def _other_shares(run: RunTables, contrast: str, effect: float) -> str:
    """Say that other cells' growth lowers the index, or their loss lifts it, where either is so.

    Odds are of shares of the library: what one kind of cell gains, all others lose.
    """
    table = run["composition"]
    rows = table[(table["contrast"] == contrast) & (table["level"] == "lineage")]
    rows = rows[(rows["status"] == "tested") & (rows["q"] <= Q_LEVEL)]
    others = rows[~rows["lineage"].isin(BLOOD) & (np.sign(rows["effect"]) == -np.sign(effect))]
    if others.empty:
        return ""
    named = others.loc[others["effect"].abs().sort_values(ascending=False, kind="stable").index]
    who = words.join(words.cells(one) for one in named["lineage"].head(NAMED))
    way, rest = ("more", "falls") if effect < 0 else ("less", "rises")
    return (
        f" The index is made of shares: {who} became {way} frequent, and with that every other "
        f"share {rest}, also where as many cells are made."
    )


def _named(tested: pd.DataFrame, noun: str) -> str:
    """Name the rows that differ by their test, and no other."""
    tested = _once(tested)
    tested = tested.assign(
        set_name=_set_names_in_words(tested), cells=_cells_in_words(tested, words.cells)
    )
    differ = tested[tested["q"] <= Q_LEVEL].sort_values("p", kind="stable")
    found = f"{noun}s that differ at a false discovery rate of {Q_LEVEL:g}: "
    if differ.empty:
        return f"{found}none of {words.number(len(tested))}."
    top = differ.drop_duplicates("set").head(NAMED)
    names = [
        f"{row['set_name']} {'higher' if row['effect'] > 0 else 'lower'} in {row['cells']}"
        for _, row in top.iterrows()
    ]
    top_of = "" if len(differ) == 1 else "the clearest "
    return f"{found}{len(differ)} of {words.number(len(tested))}: {top_of}{words.join(names)}."


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out cell types that are all of their lineage, whose comparison is the lineage's."""
    same = ("contrast", "set", "effect", "ci_low", "ci_high", "p", "cells_test", "cells_reference")
    order = (rows["level"] != "lineage").sort_values(kind="stable").index
    again = rows.loc[order].duplicated([key for key in same if key in rows])
    return rows[~(again.reindex(rows.index) & (rows["level"] == "cell_type"))]


def _set_names_in_words(rows: pd.DataFrame) -> list[str]:
    """Name sets for a reader; a set that others are judged by is called a control."""
    kinds = rows.reindex(columns=["kind", "role"])
    control = (kinds["kind"] == "control") | (kinds["role"] == "negative_control")
    return [
        words.set_name(name, control=one) for name, one in zip(rows["set"], control, strict=True)
    ]


def _cells_in_words(rows: pd.DataFrame, write: Callable[[object], str] = words.name) -> list[str]:
    """Name cells for a reader; a lineage that shares its name with a cell type is called one."""
    types = set(rows.loc[rows["level"] == "cell_type", "cell_type"])
    return [
        write(cells) + (" (lineage)" if level == "lineage" and cells in types else "")
        for cells, level in zip(rows["cell_type"], rows["level"], strict=True)
    ]


def score_table(run: RunTables) -> PageTable:
    """Return the scores that have a size, by p, then by size; names of cells stay in the file."""
    table = run["score_contrasts"]
    judged = _once(table[(table["tier"] != "identity") & table["effect"].notna()])
    judged = judged.assign(
        size=-judged["effect_z"].abs(),
        name=_set_names_in_words(judged),
        cells=_cells_in_words(judged),
        units=[f"{words.number(a)} / {words.number(b)}" for a, b in _units(judged)],
    )
    shown = judged.sort_values(["p", "size", "set", "level"], kind="stable").head(MAX_ROWS)
    columns = [
        Column("contrast", "Contrast", "narrow"),
        Column("name", "Set", "text"),
        Column("cells", "Cells", "text"),
        Column("effect", "Difference of score", "number"),
        Column("interval", "95 %", "text"),
        Column("effect_z", "in s.d. of random sets", "signed"),
        Column("p", "p", "p"),
        Column("q", "q", "p"),
        Column("units", "Units, test / ref.", "text"),
        Column("status", "Status", "status"),
    ]
    order = "smallest p first"
    if shown["p"].isna().all():
        order = "largest first, in standard deviations of random sets; none has a p-value"
    return run_table(
        run,
        "score_contrasts",
        with_interval(shown, words.significant).assign(
            contrast=shown["contrast"].map(contrast_titles(run))
        ),
        columns,
        caption=f"Scores of axes and of states of cells (0 to 1), compared over donors: "
        f"{words.number(len(shown))} of {words.number(len(judged))} that have a size, {order}.",
        searchable=True,
    )


def _units(rows: pd.DataFrame) -> zip:
    """Return the units of both arms, row by row."""
    return zip(rows["units_test"], rows["units_reference"], strict=True)


def axis_table(run: RunTables) -> PageTable:
    """Return the axes by how they follow the EMH index."""
    table = run["emh_axes"]
    shown = table[table["rho"].notna()].head(MAX_ROWS)
    columns = [
        Column("rank", "Rank", "count"),
        Column("axis", "Axis", "text"),
        Column("side", "Side"),
        Column("lineage", "Cells"),
        Column("genes", "Genes", "prose"),
        Column("rho", "Spearman, within strata", "hundredths"),
        Column("units", "Donors", "count"),
        Column("min_attainable_p", "Smallest p possible", "p"),
        Column("p", "p", "p"),
        Column("q", "q", "p"),
        Column("status", "Status", "status"),
    ]
    return run_table(
        run,
        "emh_axes",
        shown.assign(genes=shown["genes"].astype(str).str.replace(";", ", ")),
        columns,
        caption="Sides of axes by how they follow the EMH index from donor to donor of one "
        f"condition, tissue and platform: {len(shown)} of {words.number(len(table))}.",
        searchable=True,
        folded=NO_ORDER if len(shown) and not _can_be_tested(shown) else "",
    )


def _can_be_tested(axes: pd.DataFrame) -> bool:
    """Tell whether some order of the donors could give a small p for any row."""
    return bool((axes["min_attainable_p"] <= ALPHA).any())
