"""What does a tissue hold more of, and who talks more: how is it drawn and listed?

The product of expression and abundance is drawn with its two parts beside it, since the same
product comes of more cells or of more in each cell, and only the parts tell which.
"""

from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from emhniche.axes import Q_LEVEL, differs
from emhniche.report import figures, words
from emhniche.report.figures import INK, QUIET, styled
from emhniche.report.finding import Finding, source
from emhniche.report.index_tables import run_table
from emhniche.report.niche_figures import change_axis
from emhniche.report.page_tables import Column, PageTable, with_interval
from emhniche.report.tables import RunTables, contrast_titles

MAX_SUPPLIES = 16
"""Rows of the plot; the table holds more and the file all."""

MAX_ROWS = 300

NAMED = 4
"""Supplies named in a sentence."""

PARTS = {
    "effect_abundance": ("more cells", "#E69F00", "s"),
    "effect_expression": ("more in each cell", "#0072B2", "^"),
}
"""Part of the effect -> its words, colour and marker."""


@styled
def supplies(supply: pd.DataFrame, contrast: Mapping) -> Figure | None:
    """Draw the largest tested changes of what lineages supply, with their parts.

    Parameters
    ----------
    supply
        Rows of ``niche/supply.tsv`` of one contrast.
    contrast
        The contrast, as the configuration has it.

    Returns
    -------
    matplotlib.figure.Figure or None
        At most :data:`MAX_SUPPLIES` rows, smallest p first; None when nothing was tested.
    """
    table = supply[(supply["level"] == "lineage") & (supply["status"] == "tested")]
    if table.empty:
        return None
    table = table.sort_values(["p", "gene", "cell_type"], kind="stable").head(MAX_SUPPLIES)
    table = table.sort_values(["effect", "gene", "cell_type"], kind="stable")
    figure, axes = figures.new_figure(7.6, 1.4 + 0.26 * len(table))
    axis = axes[0, 0]
    axis.axvline(0, color=QUIET, linewidth=0.8)
    for place, (_, row) in enumerate(table.iterrows()):
        axis.plot([row["ci_low"], row["ci_high"]], [place, place], color=INK, linewidth=1.4)
        axis.plot(row["effect"], place, "o", color=INK, markersize=5.5)
        for part, (_, colour, marker) in PARTS.items():
            axis.plot(row[part], place - 0.28, marker, color=colour, markersize=4.5)
    names = [
        f"{words.short(row['gene'], 18)} of {words.short(words.name(row['cell_type']), 26)}"
        for _, row in table.iterrows()
    ]
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")
    axis.set_xlabel(change_axis(contrast))
    axis.set_ylim(-0.9, len(table) - 0.2)
    handles = [Line2D([], [], marker="o", color=INK, markersize=5.5, linewidth=1.4)]
    handles += [
        Line2D([], [], marker=marker, color=colour, markersize=4.5, linestyle="")
        for _, colour, marker in PARTS.values()
    ]
    labels = ["in the tissue, 95 % interval", *(f"part: {text}" for text, _, _ in PARTS.values())]
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def verdict(supply: pd.DataFrame) -> str:
    """Say that nothing is called where nothing is.

    Parameters
    ----------
    supply
        Rows of ``niche/supply.tsv`` of one contrast.

    Returns
    -------
    str
        A sentence, empty where some row of a lineage differs.
    """
    tested = supply[(supply["level"] == "lineage") & (supply["status"] == "tested")]
    if tested.empty or (tested["q"] <= Q_LEVEL).any():
        return ""
    return f"None of {words.number(len(tested))} differs at q ≤ {Q_LEVEL:g}."


def untested(run: RunTables) -> str:
    """Name the contrasts in which no supply of a lineage was tested.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    str
        A sentence; empty where every contrast has one, or none has: the table says that.
    """
    table = run["supply"]
    tested = table[(table["level"] == "lineage") & (table["status"] == "tested")]
    titles = contrast_titles(run)
    mute = [title for name, title in titles.items() if name not in set(tested["contrast"])]
    if not mute or (len(mute) == len(titles) and not _tested(table).any()):
        return ""
    return f"No supply of a lineage could be tested: {'; '.join(mute)}."


def sentences(run: RunTables) -> Iterator[Finding]:
    """Say for each contrast which supplies of a lineage differ; what may be soup is not named."""
    table = run["supply"]
    for contrast, title in contrast_titles(run).items():
        rows = table[(table["contrast"] == contrast) & (table["level"] == "lineage")]
        tested = rows[rows["status"] == "tested"]
        if "ambient" in tested:
            tested = tested[~tested["ambient"].fillna(False).astype(bool)]
        if tested.empty:
            continue
        clear = tested[differs(tested)].sort_values("p", kind="stable")
        lead = f"{title}, supply of ligands at a false discovery rate of {Q_LEVEL:g}: "
        if clear.empty:
            lead += f"none of {words.number(len(tested))} differs."
        else:
            parts = [
                f"{row['gene']} of {words.cells(row['cell_type'])} {words.fold(row['effect'])}"
                for _, row in clear.head(NAMED).iterrows()
            ]
            lead += f"{words.number(len(clear))} of {words.number(len(tested))} "
            lead += f"differ{'s' * (len(clear) == 1)}: "
            lead += f"{'the clearest ' * (len(clear) > 1)}{words.join(parts)}."
        yield Finding("tested", lead, source("supply"))


def _tested(table: pd.DataFrame) -> pd.Series:
    """Tell which rows the table of the page may show."""
    return (table["status"] == "tested") & (table["level"] != "cell_type")


def supply_table(run: RunTables) -> PageTable:
    """Return the changes of supply that were tested, smallest p first."""
    table = run["supply"]
    tested = table[_tested(table)]
    shown = tested.sort_values("p", kind="stable").head(MAX_ROWS)
    shown = with_interval(shown).assign(contrast=shown["contrast"].map(contrast_titles(run)))
    columns = [
        Column("contrast", "Contrast", "narrow"),
        Column("gene", "Gene", "text"),
        Column("cell_type", "Supplied by"),
        Column("supply_test", "Test, per million", "number"),
        Column("supply_reference", "Reference", "number"),
        Column("effect", "log2 fold change", "signed"),
        Column("effect_abundance", "more cells", "signed"),
        Column("effect_expression", "more in each", "signed"),
        Column("interval", "95 %", "text"),
        Column("q", "q", "p"),
    ]
    return run_table(
        run,
        "supply",
        shown,
        columns,
        caption="Transcripts of each ligand that all cells of a lineage hold together, per million "
        "transcripts of the tissue (mean of the donors; “all” is the whole tissue), and what the "
        f"change is made of. Shown: {words.number(len(shown))} of {words.number(len(tested))} "
        "tested rows, from libraries that were not sorted.",
        searchable=True,
    )


def pair_contrast_table(run: RunTables) -> PageTable:
    """Return the ligand-receptor scores that were compared, smallest p first."""
    table = run["ligand_receptor_contrasts"]
    compared = table[table["effect"].notna()]
    shown = compared.sort_values("p", kind="stable").head(MAX_ROWS)
    shown = with_interval(shown).assign(contrast=shown["contrast"].map(contrast_titles(run)))
    columns = [
        Column("contrast", "Contrast", "narrow"),
        Column("ligand", "Ligand", "text"),
        Column("sender", "made by"),
        Column("receptor", "Receptor", "text"),
        Column("receiver", "held by"),
        Column("sign", "Sign"),
        Column("effect", "log2 change", "signed"),
        Column("interval", "95 %", "text"),
        Column("q", "q", "p"),
        Column("status", "Status", "status"),
    ]
    return run_table(
        run,
        "ligand_receptor_contrasts",
        shown,
        columns,
        caption="Scores of ligand and receptor, compared donor by donor: "
        f"{words.number(len(shown))} of {words.number(len(compared))} combinations that could be "
        "compared.",
        searchable=True,
    )
