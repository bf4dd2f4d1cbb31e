"""How are the readings of an axis shown: one row an axis, one column a reading?"""

import pandas as pd

from emhniche.axes import Q_LEVEL
from emhniche.report import words
from emhniche.report.index_tables import run_table
from emhniche.report.page_tables import Column, PageTable
from emhniche.report.tables import RunTables, contrast_titles

HEADINGS = {
    "production": "Production (ligands)",
    "reception": "Reception (receptors)",
    "restraint": "Restraint (antagonists, decoys)",
    "response": "Response (genes switched on)",
}


def axes_table(run: RunTables) -> PageTable:
    """Return one row a contrast and axis, core axes first, with what each reading says."""
    table = run["axes"]
    table = table.assign(said=[_said(row) for _, row in table.iterrows()])
    keys = ["contrast", "tier", "axis"]
    wide = table.pivot_table(index=keys, columns="reading", values="said", aggfunc="first")
    wide = wide.reindex(columns=list(HEADINGS)).astype(object)
    wide = wide.where(wide.notna(), "the panel has none").reset_index()
    titles = contrast_titles(run)
    order = wide["contrast"].map({name: i for i, name in enumerate(titles)})
    wide = wide.assign(order=order).sort_values(["order", "tier", "axis"], kind="stable")
    columns = [Column("contrast", "Contrast"), Column("axis", "Axis", "text")]
    columns += [Column(key, heading, "prose") for key, heading in HEADINGS.items()]
    return run_table(
        run,
        "axes",
        wide.assign(contrast=wide["contrast"].map(titles)),
        columns,
        caption="What each axis shows in each contrast, test against reference: ligands in any "
        "cell, receptors in blood-forming and myeloid cells. Named are tested differences at a "
        f"false discovery rate of {Q_LEVEL:g}, the clearest first; “none of n” is no evidence that "
        "nothing differs.",
        searchable=True,
    )


def _said(row: pd.Series) -> str:
    """Say in a few words what one reading found, or why it found nothing."""
    if row["status"] != "tested":
        word = words.status(row["status"]).word
        if row["status"] == "effect_only" and not words.is_missing(row["effect"]):
            return f"{word}: {_where(row)} {words.fold(row['effect'])}"
        return f"{word}: {words.reason(row['reason'])}" if row["reason"] else word
    if row["direction"] == "none":
        return f"none of {words.number(row['n_tested'])} tested differs"
    more = int(row["n_up"]) + int(row["n_down"]) - 1
    text = f"{_where(row)} {words.fold(row['effect'])}"
    if more:
        both = ", some the other way" if row["direction"] == "both" else ""
        text += f" and {words.number(more)} more{both}"
    text += f"; {words.number(row['n_tested'])} tested"
    return text if words.is_missing(row["caution"]) else f"{text}. But {row['caution']}"


def _where(row: pd.Series) -> str:
    return f"{row['name']} in {words.name(row['cell_type'])}"
