"""What are the few numbers that a hurried reader takes away from a run?"""

from emhniche.axes import differs
from emhniche.report import words
from emhniche.report.tables import RunTables


def glance(run: RunTables) -> list[tuple[str, str, str]]:
    """Return the numbers at the head of the index.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    list of tuple
        For each: the number, what it counts, and the section of the page that tells more. What
        nobody could test or judge is a dash.
    """
    verdicts = [qc["verdict"] for qc in run.qc.values()]
    tally = [
        f"{words.number(verdicts.count(key))} {word}"
        for key, word in words.VERDICTS.items()
        if key in verdicts
    ]
    kept = sum(qc["n_kept"] for qc in run.qc.values() if qc["kept"])
    total = sum(qc["n_in"] for qc in run.qc.values())
    named = set(run["annotation"]["lineage"]) - {"unresolved"}
    clusters = words.plural(run["clusters"]["cluster"].nunique(), "cluster")
    return [
        (words.number(len(verdicts)), f"samples: {words.join(tally)}", "came-in"),
        (words.number(kept), f"cells kept, of {words.plural(total, 'barcode')}", "quality"),
        (words.number(len(named)), f"lineages, in {clusters}", "cells"),
        *_compared(run),
        _called(run),
    ]


def _compared(run: RunTables) -> list[tuple[str, str, str]]:
    """Count the contrasts that can be tested, and the differences of panel genes found."""
    asked = run["design"]["verdict"]
    table = run["contrasts"][run["contrasts"]["level"] == "cell_type"]
    tested = table[table["status"] == "tested"]
    found = words.number(differs(tested).sum()) if len(tested) else words.MISSING
    of = f"of {words.number(len(tested))} tested" if len(tested) else "none could be tested"
    return [
        (
            words.number((asked == "tested").sum()),
            f"of {words.plural(len(asked), 'contrast')} can be tested",
            "contrasts",
        ),
        (found, f"differences of a panel gene in a cell type, {of}", "contrasts"),
    ]


def _called(run: RunTables) -> tuple[str, str, str]:
    """Count the case cells that a gate called MDSC-like, each once however many called it."""
    judged = run["calls"].dropna(subset=["pathological"])
    if judged.empty:
        return words.MISSING, "MDSC-like cells: none could be judged", "myeloid"
    called = judged.loc[judged["pathological"].astype(bool), "cell_id"].nunique()
    cells = words.number(judged["cell_id"].nunique())
    return words.number(called), f"MDSC-like cells, of {cells} case cells judged", "myeloid"
