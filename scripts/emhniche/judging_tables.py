"""Do the tables of the niche comparison say what was expected of a planted truth?

Each function takes a truth, one of its expectations and the evidence, and returns what the tables
say and whether that is right. A difference that was planted and that a tested contrast does not
call is wrong; where a contrast tests nothing at all, or a table has no such row, nobody can tell.
"""

from collections.abc import Mapping

import pandas as pd

from emhniche.evidence import (
    ALPHA,
    CANNOT_TELL,
    RIGHT,
    WRONG,
    Evidence,
    Finding,
    together,
)
from emhniche.report import words
from emhniche.truths import Truth


def moved(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge ``up`` and ``down`` of expression and of frequency."""
    table = _rows(expected, evidence)
    refusal = _untested(table, expected, evidence)
    if refusal:
        return refusal
    sign = 1 if expected["finding"] == "up" else -1
    texts, verdicts = [], []
    for gene in expected.get("genes", [""]):
        rows = matching(table, expected, gene)
        if rows.empty:
            what = f"{gene} in " if gene else ""
            cells = " or ".join(map(words.name, expected["cell_types"]))
            texts.append(f"There is no row of {what}{cells}.")
            verdicts.append(CANNOT_TELL)
            continue
        called = rows[is_called(rows)]
        right = (called["effect"] * sign > 0).any() and not (called["effect"] * sign < 0).any()
        texts.extend(_sentence(row) for _, row in rows.iterrows())
        verdicts.append(RIGHT if right else WRONG)
    return Finding(" ".join(texts), together(verdicts))


def not_called(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge ``no_call`` of expression and of frequency."""
    table = _rows(expected, evidence)
    refusal = _untested(table, expected, evidence)
    if refusal:
        return refusal
    texts, verdicts = [], []
    genes = expected.get("genes", [""])
    for name, gene in _asked(expected, genes):
        rows = matching(table, {**expected, "cell_types": [name] if name else None}, gene)
        tested = rows[(rows["status"] == "tested") & rows["q"].notna()]
        what = gene or words.name(name)
        of = f"{what}{f' in {words.name(name)}' if gene and name else ''}"
        if tested.empty:
            texts.append(f"{of}: none of {words.plural(len(rows), 'row')} could be tested.")
            verdicts.append(CANNOT_TELL)
            continue
        called = tested[is_called(tested)]
        if called.empty:
            smallest = words.p_value(tested["q"].min())
            texts.append(f"{of}: {words.plural(len(tested), 'row')} tested, smallest q {smallest}.")
        else:
            texts.append(
                f"{of}: {len(called)} of {words.plural(len(tested), 'tested row')} called:"
            )
            texts.extend(_sentence(row) for _, row in called.iterrows())
        verdicts.append(RIGHT if called.empty else WRONG)
    return Finding(" ".join(texts), together(verdicts))


def not_testable(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge ``not_testable``: every row of the genes has that status."""
    table = _rows(expected, evidence)
    texts, verdicts = [], []
    for gene in expected["genes"]:
        rows = table[table["gene"] == gene]
        if rows.empty:
            texts.append(f"{gene}: there is no row.")
            verdicts.append(CANNOT_TELL)
            continue
        other = rows[rows["status"] != "not_testable"]
        counts = rows[["counts_test", "counts_reference"]].max(axis=None)
        most = f"at most {words.number(counts)} counts in an arm"
        if other.empty:
            texts.append(f"{gene}: {words.plural(len(rows), 'row')}, all not testable, {most}.")
        else:
            states = words.join(words.status(key).word for key in other["status"].unique())
            texts.append(
                f"{gene}: {len(other)} of {words.plural(len(rows), 'row')} {states}, {most}."
            )
        verdicts.append(RIGHT if other.empty else WRONG)
    return Finding(" ".join(texts), together(verdicts))


def not_identifiable(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge ``not_identifiable`` of a contrast's rows: none has an interval, p or q."""
    rows = _rows(expected, evidence)
    if rows.empty:
        return Finding(_no_contrast(expected), CANNOT_TELL)
    given = rows[rows[["ci_low", "ci_high", "p", "q"]].notna().any(axis=1)]
    known = rows["status"].isin(["not_identifiable", "not_testable"])
    refused = int((rows["status"] == "not_identifiable").sum())
    right = given.empty and known.all() and refused > 0
    text = (
        f"Of {words.plural(len(rows), 'row')} {words.number(refused)} are not identifiable and "
        f"{words.number((rows['status'] == 'not_testable').sum())} not testable; "
        f"{words.number(len(given))} have an interval, p or q."
    )
    return Finding(text, RIGHT if right else WRONG)


def design(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge what the audit says of a contrast."""
    rows = evidence.design[evidence.design["contrast"] == expected["contrast"]]
    if rows.empty:
        return Finding(_no_contrast(expected), CANNOT_TELL)
    row = rows.iloc[0]
    reason = "" if words.is_missing(row["reason"]) else str(row["reason"])
    right = row["verdict"] == expected["finding"] and expected.get("names", "") in reason
    text = f"{words.capital(words.status(row['verdict']).word)}: {reason or 'no reason given'}"
    return Finding(words.sentence(text), RIGHT if right else WRONG)


def matching(table: pd.DataFrame, expected: Mapping, gene: str = "") -> pd.DataFrame:
    """Return the rows of a contrast that an expectation names.

    Parameters
    ----------
    table
        Rows of ``contrasts.tsv`` or ``composition.tsv``.
    expected
        ``contrast``, and ``level`` and ``cell_types`` where it names them.
    gene
        Gene, where the table has genes.

    Returns
    -------
    pandas.DataFrame
    """
    rows = table[table["contrast"] == expected["contrast"]]
    if expected.get("level"):
        rows = rows[rows["level"] == expected["level"]]
    if expected.get("cell_types"):
        rows = rows[rows["cell_type"].isin(expected["cell_types"])]
    return rows[rows["gene"] == gene] if gene else rows


def is_called(rows: pd.DataFrame) -> pd.Series:
    """Tell which rows the results call a difference."""
    return (rows["status"] == "tested") & (rows["q"] <= ALPHA)


def _rows(expected: Mapping, evidence: Evidence) -> pd.DataFrame:
    """Return the rows of the contrast, or of all contrasts where none is named."""
    table = evidence.contrasts if expected["table"] == "contrasts" else evidence.composition
    return table[table["contrast"] == expected["contrast"]] if "contrast" in expected else table


def _untested(rows: pd.DataFrame, expected: Mapping, evidence: Evidence) -> Finding | None:
    """Say that the design of a contrast allows no p-value, where that is so."""
    audit = evidence.design[evidence.design["contrast"] == expected["contrast"]]
    if audit.empty:
        return Finding(_no_contrast(expected), CANNOT_TELL)
    column = "" if expected["table"] == "contrasts" else "composition_"
    verdict, reason = audit.iloc[0][f"{column}verdict"], audit.iloc[0][f"{column}reason"]
    if verdict == "tested" or (rows["status"] == "tested").any():
        return None
    text = f"The contrast tests nothing, it is {words.status(verdict).word}"
    text += "" if words.is_missing(reason) else f": {reason}"
    return Finding(words.sentence(text), CANNOT_TELL)


def _asked(expected: Mapping, genes: list[str]) -> list[tuple[str, str]]:
    """Return each cell type and gene that must not be called; empty names mean any."""
    return [(name, gene) for gene in genes for name in expected.get("cell_types") or [""]]


def _no_contrast(expected: Mapping) -> str:
    return f"The run has no contrast {expected['contrast']}."


def _sentence(row: pd.Series) -> str:
    """Put one row in words: effect, interval, q and cells, or why it was not tested."""
    gene = row.get("gene", "")
    what = f"{gene} in {words.name(row['cell_type'])}" if gene else words.name(row["cell_type"])
    size = f"log2 {'fold change' if gene else 'odds ratio'} {words.signed(row['effect'])}"
    if gene:
        seen = (row["cells_test"], row["cells_reference"])
        cells = f"{words.number(seen[0])} and {words.number(seen[1])} cells"
    else:
        shares = (row["fraction_test"], row["fraction_reference"])
        cells = f"{words.percent(shares[0])} and {words.percent(shares[1])} of the cells"
        if all(map(words.is_missing, shares)):
            cells = "no single share of the cells"
    if row["status"] != "tested":
        reason = "" if words.is_missing(row["reason"]) else f" ({row['reason']})"
        told = "" if words.is_missing(row["effect"]) else f", {size}, {cells}"
        return f"{what}: {words.status(row['status']).word}{reason}{told}."
    span = f"{words.signed(row['ci_low'])} to {words.signed(row['ci_high'])}"
    return f"{what}: {size} ({span}), q {words.p_value(row['q'])}, {cells}."
