"""How are the readings of an axis shown: a row an axis, a column a contrast, in a few words?"""

from collections.abc import Mapping

import pandas as pd

from emhniche.axes import Q_LEVEL, RESPONSE
from emhniche.report import words
from emhniche.report.index_tables import run_table
from emhniche.report.page_tables import Column, PageTable
from emhniche.report.tables import RunTables, contrast_titles

READING_WORDS = {
    "production": "ligands",
    "reception": "receptors",
    "restraint": "antagonists and decoys",
    RESPONSE: "responses",
}
"""What a reading is called on the page."""


def axes_table(run: RunTables) -> PageTable:
    """Return one row a core axis: what its readings say in each contrast.

    What differs comes first, then which readings were tested in vain, then those that nobody could
    test; why not is in the file.
    """
    every = run["axes"]
    rows = every[every["tier"] == "core"]
    titles = contrast_titles(run)
    contrasts = {one["name"]: one for one in run.config["niche"]["contrasts"]}
    shown = [name for name in contrasts if name in set(rows["contrast"])]
    axes = sorted(set(rows["axis"].astype(str)))
    table = pd.DataFrame({"axis": axes})
    for name in shown:
        mine = rows[rows["contrast"] == name]
        table[name] = [_said(mine[mine["axis"] == axis], contrasts[name]) for axis in axes]
    return run_table(
        run,
        "axes",
        table,
        [Column("axis", "Axis", "text"), *(Column(name, titles[name], "prose") for name in shown)],
        caption="Core axes: ligands in any cell, receptors in blood-forming and myeloid cells, "
        "antagonists and decoys, and genes that the signal switches on. Named is the clearest "
        f"tested difference (q ≤ {Q_LEVEL:g}, with an interval on one side of 0); that none "
        "differs is no evidence that none does.",
    )


def _said(rows: pd.DataFrame, contrast: Mapping) -> str:
    """Say in a few words what the readings of an axis found in one contrast."""
    by = {row["reading"]: row for _, row in rows.iterrows()}
    found: list[str] = []
    calm: list[str] = []
    mute: dict[str, list[str]] = {}
    for reading, noun in READING_WORDS.items():
        row = by.get(reading)
        if row is None:
            continue
        tested = f"({words.number(row['n_tested'])} tested)"
        if row["status"] == "tested" and row["direction"] == "none":
            calm.append(f"{noun} {tested}")
        elif row["status"] == "tested":
            found.append(f"{words.capital(noun)}: {_where(row, contrast)}{_rest(row)} {tested}")
        elif row["status"] == "effect_only" and not words.is_missing(row["effect"]):
            found.append(f"{words.capital(noun)}, no p-value, largest: {_where(row, contrast)}")
        else:
            mute.setdefault(words.status(row["status"]).word, []).append(noun)
    parts = [*found, *([f"No difference: {words.join(calm)}"] if calm else [])]
    parts += [f"{words.capital(word)}: {words.join(nouns)}" for word, nouns in mute.items()]
    return " ".join(f"{part}." for part in parts) or words.MISSING


def _rest(row: pd.Series) -> str:
    """Say how many more rows of a reading differ, and what to be careful of."""
    more = int(row["n_up"]) + int(row["n_down"]) - 1
    both = ", some the other way" if row["direction"] == "both" else ""
    rest = f"; {words.number(more)} more {'differs' if more == 1 else 'differ'}{both}"
    rest = rest if more else ""
    return rest if words.is_missing(row["caution"]) else f"{rest}, but {row['caution']}"


def _where(row: pd.Series, contrast: Mapping) -> str:
    """Name what differs and how: of an interaction, in which place its change is the greater."""
    what = f"{words.name(row['name'])} in {words.name(row['cell_type'])}"
    second = contrast.get("interaction")
    if not second:
        return f"{what} {words.fold(row['effect'])}"
    test, reference = (words.name(second[level]) for level in ("test", "reference"))
    how = words.fold(row["effect"])
    than = "as" if how == "the same" else "than"
    return f"the change of {what} is {how} in {test} {than} in {reference}"
