"""What must a reader know who reads a few lines of the index and no more?

What came in and what failed; of each contrast the clearest differences, or that there is none, or
why nobody could look; and whether blood is made outside the marrow.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

from emhniche.axes import Q_LEVEL, differs
from emhniche.report import words
from emhniche.report.findings import OUTCOMES, cells_kept, without_formula
from emhniche.report.signals_figures import blood_made
from emhniche.report.tables import RunTables, contrast_titles

NAMED = 3
"""Differences of a contrast that are named."""

NAMED_SAMPLES = 6
"""Samples named in a sentence."""


def standfirst(run: RunTables) -> list[str]:
    """Say in a few lines what a hurried reader must know.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    list of str
        Samples and cells, failed samples first; then a line a contrast and one of blood made
        outside the marrow.
    """
    lines = list(_came_in(run))
    designs = run["design"].set_index("contrast")
    by_type = run["contrasts"][run["contrasts"]["level"] == "cell_type"]
    for contrast in run.config["niche"]["contrasts"]:
        name = contrast["name"]
        if name in designs.index:
            rows = by_type[by_type["contrast"] == name]
            title = contrast_titles(run)[name]
            lines.append(_compared(contrast, title, designs.loc[name], rows))
    return lines + [one.text for one in blood_made(run)]


def _came_in(run: RunTables) -> Iterator[str]:
    """Say which samples failed, how much came in, and which samples carry a warning."""
    yield from _failed(run)
    kept, total = cells_kept(run)
    used = [sample for sample, qc in run.qc.items() if qc["kept"]]
    datasets = words.plural(run.samples.loc[used, "dataset"].nunique(), "dataset")
    yield (
        f"{words.plural(kept, 'cell')} of {words.plural(len(used), 'sample')} from "
        f"{datasets} are in this report, of {words.number(total)} barcodes."
    )
    warned = [sample for sample, qc in run.qc.items() if qc["verdict"] == "warn"]
    if warned:
        text = "carries a warning" if len(warned) == 1 else "carry a warning"
        why = [f"{sample} ({run.qc[sample]['verdict_reason']})" for sample in warned]
        named = f": {words.join(why)}" if len(why) <= NAMED_SAMPLES else ""
        total = words.plural(len(run.qc), "sample")
        yield f"{words.number(len(warned))} of {total} {text}{named}."


def _compared(contrast: Mapping, title: str, design: pd.Series, rows: pd.DataFrame) -> str:
    """Name the clearest differences of a contrast in one line, or say why there is none.

    What ambient RNA may explain is not named: a difference in soup is none of the cells.
    """
    verdict = str(design["verdict"])
    if verdict != "tested":
        reason = words.sentence(without_formula(str(design["reason"]).split(";")[0]))
        return f"{title}: {reason} {OUTCOMES.get(verdict, '')}".strip()
    tested = rows[(rows["status"] == "tested") & ~rows["ambient"].fillna(False).astype(bool)]
    if tested.empty:
        return (
            f"{title}: no gene of the panel could be tested in any cell type; too few counts, "
            "cells or donors hold it."
        )
    clear = tested[differs(tested)].sort_values(["q", "p"], kind="stable")
    if clear.empty:
        pairs = words.plural(len(tested), "tested pair")
        return (
            f"{title}: none of {pairs} of gene and cell type differs at a false discovery rate of "
            f"{Q_LEVEL:g}. That is no evidence that none does."
        )
    named = words.join(_difference(row) for _, row in clear.head(NAMED).iterrows())
    more = len(clear) - NAMED
    rest = f"; {words.number(more)} more {'differs' if more == 1 else 'differ'}" if more > 0 else ""
    return f"{title}: {named}{rest}."


def _difference(row: pd.Series) -> str:
    """Write a difference with its fold change, the interval of that, and q."""
    ends = sorted(2 ** abs(float(row[key])) for key in ("ci_low", "ci_high"))
    low, high = (words.number(end, 1 if end < 10 else 0) for end in ends)
    return (
        f"{row['gene']} in {words.name(row['cell_type'])} {words.fold(row['effect'])} "
        f"(95 % {low} to {high}, q {words.p_value(row['q'])})"
    )


def _failed(run: RunTables) -> Iterator[str]:
    """Say which samples failed, why, and whether they are in the run."""
    failed = {sample: qc for sample, qc in run.qc.items() if qc["verdict"] == "fail"}
    total = words.plural(len(run.qc), "sample")
    for kept, outcome in (
        (False, "failed quality control and {verb} kept out of everything below"),
        (True, "failed quality control but {verb} kept, as the sample sheet says"),
    ):
        hit = {sample: qc for sample, qc in failed.items() if bool(qc["kept"]) == kept}
        if not hit:
            continue
        named = [f"{sample} ({qc['verdict_reason']})" for sample, qc in hit.items()]
        more = len(named) - NAMED_SAMPLES
        if more > 0:
            named = [*named[:NAMED_SAMPLES], f"{words.number(more)} more, in the table of quality"]
        text = outcome.format(verb="is" if len(hit) == 1 else "are")
        yield f"{words.number(len(hit))} of {total} {text}: {words.join(named)}."
