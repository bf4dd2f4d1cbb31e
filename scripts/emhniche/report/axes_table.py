"""How are the readings of an axis shown: a table a contrast, a row an axis, a column a reading?"""

from collections.abc import Mapping

import pandas as pd

from emhniche.axes import Q_LEVEL, READINGS, RESPONSE
from emhniche.report import words
from emhniche.report.page_tables import Column, PageTable, page_table
from emhniche.report.tables import TABLES, RunTables, contrast_titles

HEADINGS = {
    "production": "Production (ligands)",
    "reception": "Reception (receptors)",
    "restraint": "Restraint (antagonists, decoys)",
    RESPONSE: "Response (genes switched on)",
}


def axes_tables(run: RunTables) -> list[PageTable]:
    """Return a table a contrast: what each reading says of each core axis."""
    every = run["axes"]
    titles = contrast_titles(run)
    verdicts = run["design"].set_index("contrast")["verdict"]
    tables = []
    for number, contrast in enumerate(run.config["niche"]["contrasts"]):
        name = contrast["name"]
        rows = every[(every["contrast"] == name) & (every["tier"] == "core")]
        if rows.empty:
            continue
        caption = f"{titles[name]}: {words.status(verdicts[name]).word}."
        tables.append(
            page_table(
                f"axes-table-{number}",
                _by_axis(rows, contrast),
                [
                    Column("axis", "Axis", "text"),
                    *(Column(key, heading, "prose") for key, heading in HEADINGS.items()),
                ],
                caption=f"{caption} Core axes: ligands in any cell, receptors in blood-forming and "
                f"myeloid cells. Named is the clearest tested difference (q ≤ {Q_LEVEL:g}, with an "
                "interval on one side of 0); that none differs is no evidence that none does.",
                source=f"../{TABLES['axes'][0]}",
            )
        )
    return tables


def _by_axis(rows: pd.DataFrame, contrast: Mapping) -> pd.DataFrame:
    """Return one row an axis with what each reading says, in words."""
    said = {(row["axis"], row["reading"]): _said(row, contrast) for _, row in rows.iterrows()}
    not_asked = "not asked of an interaction" if contrast.get("interaction") else "no set of genes"
    absent = dict.fromkeys(READINGS, "the panel has none") | {RESPONSE: not_asked}
    axes = sorted(set(rows["axis"]))
    table = {key: [said.get((axis, key), absent[key]) for axis in axes] for key in HEADINGS}
    return pd.DataFrame({"axis": axes, **table})


def _said(row: pd.Series, contrast: Mapping) -> str:
    """Say in a few words what one reading found, or why it found nothing."""
    n_rows = words.number(row["n_rows"])
    if row["status"] != "tested":
        word = words.status(row["status"]).word
        if row["status"] == "effect_only" and not words.is_missing(row["effect"]):
            return f"{word}: largest {_where(row, contrast)}"
        why = "" if words.is_missing(row["reason"]) else str(row["reason"])
        if why and row["n_rows"] > 1:
            return f"{word} in any of {n_rows} rows, most often: {why}"
        return f"{word}: {why}" if why else word
    tested = words.number(row["n_tested"])
    if row["direction"] == "none":
        return "1 tested, it does not differ" if tested == "1" else f"none of {tested} tested"
    more = int(row["n_up"]) + int(row["n_down"]) - 1
    both = ", some the other way" if row["direction"] == "both" else ""
    rest = f" and {words.number(more)} more{both}" if more else ""
    caution = "" if words.is_missing(row["caution"]) else f". But {row['caution']}"
    return f"{_where(row, contrast)}{rest}; {tested} tested{caution}"


def _where(row: pd.Series, contrast: Mapping) -> str:
    """Name what differs and how: of an interaction, by how much the change differs."""
    change = "the change is " if contrast.get("interaction") else ""
    return f"{row['name']} in {words.name(row['cell_type'])} {change}{words.fold(row['effect'])}"
