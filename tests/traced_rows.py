"""Every number that a table of a page shows is in the file that its caption links.

A row of the page is found in the file by its texts, and each of its numbers must be that of one
column: the same column in all rows. Which text stands for which column is found out from the
values, so that a table may get columns, or others in their place; :data:`PINS` says of the numbers
that matter most which column they must be.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from emhniche.report import words
from stated import Tables, percent

NUMBER = re.compile(r"(?<![\w.-])[<>+−]?\d[\d,]*(?:\.\d+)?(?:e[−-]?\d+)?(?: %)?(?![\w.]*\d)")

UNSAID = {"–", "", "as above"}
"""Texts that are no value."""

Row = list[tuple[str, str]]

_TESTED = {"#log2 fold change": "effect", "#q": "q", "95 %[0]": "ci_low", "95 %[1]": "ci_high"}
PINS: Mapping[str, Mapping[str, str]] = {
    "samples-table": {"#Cells kept": "n_kept"},
    "quality-table": {
        **{"#Barcodes": "n_in", "#Kept": "n_kept", "#Kept %": "share_kept"},
        **{"#Counts": "median_counts", "#Genes": "median_genes", "#Mito %": "kept_pct_mito"},
        **{"#Doublets %": "share_doublets", "#Ambient %": "ambient"},
    },
    "loss-table": {"#Barcodes": "n_in", "#Kept": "n_kept", "#Lost": "share_lost"},
    "metrics-table": {"#Value": "value", "#Floor": "floor", "#Ceiling": "ceiling", "#Cells": "n"},
    "mixing-table": {"#Mixing": "mixing", "#By chance": "ceiling", "#Uneven": "uneven"},
    "cluster-types-table": {
        **{"#Cells": "n_cells", "#Confidence": "confidence", "#Found again": "found_again"},
        **{"#Margin": "margin", "#Agreement": "agreement"},
    },
    "markers-table": {
        **{"#log2 fold change": "log2_fold_change", "#Cells in": "pct_in", "#q": "q"},
        **{"#Cells outside": "pct_out", "#AUROC": "auroc"},
        "#log2 over donors": "donor_log2_fold_change",
    },
    "null-table": {"#Genes": "n_genes", "#measured": "n_measured"},
    "production-table": {"#Cells with it": "detection", "#Share of its transcripts": "share"},
    "design-table": {
        "#Units, test": "units_test",
        "#Units, ref.": "units_reference",
        "#Known donors, test": "known_donors_test",
        "#Known donors, ref.": "known_donors_reference",
    },
    "contrasts-table": {
        **_TESTED,
        **{"#Counts, test": "counts_test", "#Counts, ref.": "counts_reference"},
    },
    "composition-table": {
        **{"#Test": "fraction_test", "#Reference": "fraction_reference", "#q": "q"},
        **{"#log2 odds ratio": "effect", "#Against the median kind": "effect_compositional"},
        **{"95 %[0]": "ci_low", "95 %[1]": "ci_high", "#q of that": "q_compositional"},
    },
    "supply-table": {
        **_TESTED,
        **{"#Test, per million": "supply_test", "#Reference": "supply_reference"},
        **{"#more cells": "effect_abundance", "#more in each": "effect_expression"},
    },
    "ligand-receptor-table": {"#Score": "score", "#Cells": "ligand_detection"},
    "ligand-receptor-contrasts-table": {
        **{"#log2 change": "effect", "#q": "q", "95 %[0]": "ci_low", "95 %[1]": "ci_high"},
    },
    "score-contrasts-table": {
        **{"#Difference of score": "effect", "#p": "p", "#q": "q"},
        **{"95 %[0]": "ci_low", "95 %[1]": "ci_high", "#in s.d. of random sets": "effect_z"},
    },
    "emh-axes-table": {"#Rank": "rank", "#Spearman, within strata": "rho", "#Donors": "units"},
    "gates-table": {"#Cells": "cells", "#Effect": "effect", "#p": "p"},
    "subsets-table": {"#Cells": "cells", "#Donors": "units", "#Median share": "fraction"},
    "myeloid-clusters-table": {
        **{"#Cells": "cells", "#Share, cases": "share_case", "#q, share": "composition_q"},
        **{"#Share, reference": "share_reference", "#Residual": "signature_effect"},
        "#q, signature": "signature_q",
    },
    "transferred-table": {"#Cells that got it": "n_cells", "#Agree": "agree"},
    "celltypist-table": {"#Cells": "n_cells", "#Share": "share", "#Agree": "agree"},
    "loss-caption": {"#In": "n_in", "#Kept": "n_kept", "#Lost": "share_lost"},
}
"""Table -> heading -> column that it must show, where the table has such a heading."""


def shows(text: str, value: object) -> bool:
    """Tell whether a text is what a number of a file looks like on a page; a dash is no value."""
    if text == "" or words.is_missing(value) or pd.isna(value):
        return text in ("–", "")
    if text == "–":
        return False
    value = float(value)
    plain = text.replace("−", "-").replace(",", "").lstrip("+")
    if text.endswith("%"):
        # a share, or a percentage that the file holds as one
        return percent(plain, value) or percent(plain, value / 100)
    if text.startswith("<"):
        return value < float(plain[1:])
    if "e" in plain:
        return float(plain) == float(f"{value:.{len(plain.split('e')[0].strip('-')) - 1}g}")
    step = 10 ** -len(plain.partition(".")[2])
    if float(plain) == 0 and text[0] in "+−":
        # nothing is neither more nor less than nothing
        return False
    if float(plain) != 0:
        # a p-value has two significant digits and loses its last zeros
        close = abs(float(plain) - value) <= 0.5 * step * (1 + 1e-6)
        return close or float(f"{value:.2g}") == float(plain)
    return abs(value) <= 0.5 * step * (1 + 1e-6)


def faults(
    name: str, rows: Sequence[Row], listed: pd.DataFrame, run: Tables | None = None
) -> list[str]:
    """Return what in the rows of a table is not in its file.

    Parameters
    ----------
    name
        Of the table, for :data:`PINS`.
    rows
        From :func:`page_text.table_rows`.
    listed
        The file.
    run
        The run, whose contrasts have titles.
    """
    listed = listed.reset_index(drop=True)
    shown = pd.DataFrame([dict(row) for row in rows])
    texts = _texts(listed, run.titles if run else {})
    keys, numbers = {}, {}
    for heading in shown:
        column = shown[heading]
        where = [] if heading.startswith("#") else _explaining(column, texts)
        if where:
            keys[heading] = where
        else:
            numbers |= _numbers(heading, column)
    candidates = [_rows(row, keys, texts, len(listed)) for _, row in shown.iterrows()]
    lost = [index for index, ones in enumerate(candidates) if not ones]
    if lost:
        return [f"{name}: no row of the file is {rows[lost[0]]}"]
    numeric = {c: listed[c].tolist() for c in listed if pd.api.types.is_numeric_dtype(listed[c])}
    return [
        f"{name}: {heading} of the page is no column of the file: {values[:3]}"
        for heading, values in numbers.items()
        if not _columns(values, candidates, numeric, PINS.get(name, {}).get(heading))
    ]


def _texts(listed: pd.DataFrame, titles: Mapping[str, str]) -> dict[str, dict[str, set[int]]]:
    """Return for every column: text that may stand for a value -> rows that hold it."""
    found: dict[str, dict[str, set[int]]] = {}
    for column in listed:
        index: dict[str, set[int]] = {}
        for row, value in enumerate(listed[column].astype(object)):
            for text in _wordings(value, titles):
                index.setdefault(text, set()).add(row)
        found[str(column)] = index
    return found


def _wordings(value: object, titles: Mapping[str, str]) -> set[str]:
    if words.is_missing(value) or pd.isna(value):
        return {"–", ""}
    if isinstance(value, float):
        return {f"{value:g}"}
    text = str(value)
    plain = [text, words.name(text), titles.get(text, text), words.set_name(text)]
    plain += [words.set_name(text, control=True), words.reason(text), words.status(text).word]
    plain += [words.VERDICTS.get(text, text), f"{words.name(text)} (lineage)"]
    plain += [text.replace(";", ", "), re.sub(r";(?=\S)", ", ", text)]
    first = words.sentence(text.split(";")[0].split(". ")[0])
    plain += [first, words.capital(first)]
    return {re.sub(r"\s+", " ", one).strip() for one in plain}


def _explaining(column: pd.Series, texts: Mapping[str, Mapping]) -> list[str]:
    """Return the columns of the file that hold every text of a column of the page."""
    told = set(column) - UNSAID
    return [name for name, index in texts.items() if told and told <= set(index)]


def _rows(row: pd.Series, keys: Mapping, texts: Mapping, n: int) -> set[int]:
    found = set(range(n))
    for heading, columns in keys.items():
        if row[heading] not in UNSAID:
            found &= set().union(*(texts[c].get(row[heading], set()) for c in columns))
    return found


def _numbers(heading: str, column: pd.Series) -> dict[str, list[str]]:
    """Return the numbers of a column; of a text with several, ``heading[0]`` and so on."""
    if heading.startswith("#"):
        return {heading: column.tolist()}
    parts = [NUMBER.findall(text) for text in column]
    most = max(map(len, parts), default=0)
    return {
        f"{heading}[{place}]": [part[place] if place < len(part) else "" for part in parts]
        for place in range(most)
    }


def _columns(
    values: Sequence[str],
    candidates: Sequence[set[int]],
    numeric: Mapping[str, list],
    pinned: str | None,
) -> list[str]:
    """Return the columns whose values a column of the page shows, in all rows."""
    return [
        name
        for name in ([pinned] if pinned in numeric else numeric if pinned is None else [])
        if all(
            any(shows(text, numeric[name][row]) for row in rows)
            for text, rows in zip(values, candidates, strict=True)
        )
    ]


def off_by_one(rows: Sequence[Row], heading: str) -> list[Row] | None:
    """Return the rows with the first number below a heading changed; None where there is none."""
    for number, row in enumerate(rows):
        for place, (own, text) in enumerate(row):
            found = NUMBER.search(text)
            if own == heading and found and text[0] not in "<>":
                changed = [list(one) for one in rows]
                changed[number][place] = (own, _bumped(text))
                return changed
    return None


def _bumped(text: str) -> str:
    found = re.search(r"\d[\d,]*(?:\.\d+)?", text)
    plain = found[0].replace(",", "")
    digits = len(plain.partition(".")[2])
    changed = f"{float(plain) + 3 * 10**-digits:,.{digits}f}"
    return text[: found.start()] + changed + text[found.end() :]


def read(path: Path) -> pd.DataFrame:
    """Read a linked table; names that are numbers stay text."""
    named = dict.fromkeys(("sample", "cluster", "rank_"), str)
    return pd.read_csv(path, sep="\t", dtype=named)
