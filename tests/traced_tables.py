"""Is every number of the tables of a page in the file that its caption links?"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from emhniche.report import words
from page_text import linked, table_rows
from stated import SIZE, Tables, close, fold, names, percent
from traced_rows import Row, faults, read

WITHOUT_NUMBERS = {"inputs-table"}
"""Tables of names and sums."""


def untraced_tables(run: Tables, page: Path) -> list[str]:
    """Return what in the tables of the index is not in their files."""
    wrong = []
    for name, rows in table_rows(page).items():
        if name not in WITHOUT_NUMBERS and rows:
            files = linked(page, name)
            wrong += untraced_table(run, name, rows, files) if files else [f"{name}: no file"]
    return wrong


def untraced_table(run: Tables, name: str, rows: list[Row], files: list[Path]) -> list[str]:
    """Return what in a table is not in its file; the rows may be other than the page's."""
    listed = read(files[0])
    if name == "samples-table":
        sheet = run.samples.drop(columns=[c for c in listed if c in run.samples])
        listed = listed.merge(sheet.astype(str), left_on="sample", right_index=True)
    if name == "axes-table":
        return _axes(rows, listed, run)
    if name == "production-table":
        return _producers(rows, listed)
    if name == "subsets-table":
        marked = [one for one in rows if not _marked(one, listed)]
        rows = [[cell for cell in row if cell[0] != "Markers"] for row in rows]
        return [f"{name}: markers of {one}" for one in marked] + faults(name, rows, listed, run)
    if name.startswith("zoom-"):
        listed = read(files[0].with_name("found_again.tsv"))
        listed = listed[listed["chosen"]].assign(cluster=listed["cluster"].astype(str))
        listed["share"] = listed["n_cells"] / max(listed["n_cells"].sum(), 1)
    return faults(name, rows, listed, run)


def _producers(rows: list[Row], listed: pd.DataFrame) -> list[str]:
    """Ask for one row a ligand and niche, and whether no other cell type holds it more often."""
    wrong, long = [], []
    for row in rows:
        gene, niche, part = dict(row)["Ligand"], "", []
        groups: list[tuple[str, list]] = []
        for heading, text in row:
            plain = re.sub(r" \(\d+\)$", "", heading)
            if plain.startswith("Most often in "):
                niche, part = plain.removeprefix("Most often in "), [("cell type", text)]
                groups.append((niche, part))
            elif groups:
                part.append((plain, text))
        for niche, part in groups:
            if part[0][1] in ("not testable", "in no cell beyond ambient"):
                wrong += [f"production-table: {row}"] * any(text != "–" for _, text in part[1:])
            else:
                long.append([("Ligand", gene), ("niche", niche), *part])
                best = _best(listed, gene, niche)
                if not percent(dict(part)["#Cells with it"], best):
                    wrong.append(f"production-table: {gene} in {niche} is not the highest: {part}")
    listed = listed.rename(columns={"share_of_tissue": "share"})
    return wrong + (faults("production-table", long, listed) if long else [])


def _best(listed: pd.DataFrame, gene: str, niche: str) -> float:
    table = listed[(listed["gene"] == gene) & (names(listed["niche"]) == niche)]
    sure = (table["status"] != "not_testable") & ~table["ambient"].fillna(False).astype(bool)
    return table.loc[sure, "detection"].max()


def _marked(row: Row, listed: pd.DataFrame) -> bool:
    """Tell whether the markers of a subset are those of one row, each with its donors."""
    cells = dict(row)
    shown = [
        str(one["subset"]).replace(str(one["signature"]), words.name(one["signature"]))
        for _, one in listed.iterrows()
    ]
    mine = listed[np.array(shown, dtype=object) == cells.get("Subset")]
    told = cells.get("Markers", "")
    pairs = re.findall(r"(?:^|, | and )(.+?) \((\d+) of (\d+) donors\)", told)
    if pairs:
        said = ";".join(f"{gene}={n}/{of}" for gene, n, of in pairs)
        return said in set(mine["markers_per_unit"].astype(str))
    donors = re.search(r"(\d+) donors?", told)
    return not donors or (mine["marker_units"] == float(donors[1])).any()


READINGS = {
    "ligands": "production",
    "receptors": "reception",
    "antagonists and decoys": "restraint",
    "responses": "response",
}


def _axes(rows: list[Row], listed: pd.DataFrame, run: Tables) -> list[str]:
    """Ask for what is said of each axis in each contrast."""
    asked = run.config["niche"]["contrasts"]
    places = {one["name"]: one.get("interaction") for one in asked}
    wrong = []
    for (_, axis), *cells in rows:
        for title, text in cells:
            mine = listed[
                (listed["contrast"] == run.contrast[title])
                & (listed["axis"] == axis)
                & (listed["tier"] == "core")
            ].set_index("reading")
            if not _readings(text, mine, places.get(run.contrast[title])):
                wrong.append(f"axes-table: {axis}, {title}: {text}")
    return wrong


def _readings(text: str, mine: pd.DataFrame, second: Mapping | None) -> bool:
    nouns, change, verb, where = "|".join(READINGS), "", "", ""
    if second:
        # of an interaction: in which of its places the change is greater
        change, verb = "the change of ", " is"
        test, reference = (re.escape(words.name(second[one])) for one in ("test", "reference"))
        where = rf" in {test} (?:than|as) in {reference}"
    said = re.findall(rf"\b({nouns}) \((\d+) tested\)", text)
    calm = all(
        close(n, mine.loc[READINGS[noun], "n_tested"])
        and mine.loc[READINGS[noun], "direction"] == "none"
        for noun, n in said
    )
    found = re.findall(
        rf"({nouns})(, no p-value, largest)?: {change}(\S.*?) in (.+?){verb} ({SIZE})"
        rf"{where}(?:; (\d+) more differs?)?(?(2)|.*? \((\d+) tested\))",
        text,
        flags=re.IGNORECASE,
    )
    told = all(
        (gene, cells) == (words.name(row["name"]), words.name(row["cell_type"]))
        and fold(size, row["effect"])
        and (unsure or close(n, row["n_tested"]))
        and (unsure or int(more or 0) == row["n_up"] + row["n_down"] - 1)
        for noun, unsure, gene, cells, size, _, _, more, n in found
        for row in [mine.loc[READINGS[noun.lower()]]]
    )
    # no other number, and every reading that differs is named
    there = ((mine["status"] == "tested") & (mine["direction"] != "none")).sum()
    return (
        calm
        and told
        and len(said) + sum(bool(one[-1]) for one in found) == text.count(" tested)")
        and sum(not one[1] for one in found) == there
        and len(found) == len(re.findall(SIZE, text))
    )
