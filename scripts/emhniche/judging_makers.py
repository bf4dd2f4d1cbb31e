"""Do the tables of the niche comparison call a gene only in cells that make it?

Ambient RNA, two cells in a droplet and misnamed cells bring counts of a gene into cells that were
drawn without it. Such counts differ between arms as their sources do, and a call of them says of
the cells what is not so.
"""

from collections.abc import Mapping

import pandas as pd

from emhniche.axes import Q_LEVEL
from emhniche.effects import MAIN_SHARE
from emhniche.evidence import CANNOT_TELL, RIGHT, WRONG, Evidence, Finding
from emhniche.io import CELL_ID
from emhniche.pseudobulk import LEVELS
from emhniche.report import words
from emhniche.truth_cells import SINGLE
from emhniche.truths import Truth


def own_only(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge ``own_only``: no row is called of a gene that its cells were drawn without."""
    rows = evidence.contrasts
    if "contrast" in expected:
        rows = rows[rows["contrast"] == expected["contrast"]]
    foreign = rows[without_maker(rows, evidence)]
    tested = rows[rows["status"] == "tested"]
    if tested.empty or foreign.empty:
        what = "is tested" if tested.empty else "is of a gene that its cells were drawn without"
        return Finding(f"Of {words.plural(len(rows), 'row')} no one {what}.", CANNOT_TELL)
    called = tested[tested["q"] <= Q_LEVEL]
    wrong = called[called.index.isin(foreign.index)]
    calls = f"{words.plural(len(called), 'row')} called at q ≤ {words.number(Q_LEVEL, 1)}"
    text = (
        f"Of {calls}, {words.number(len(wrong))} are of a gene that their cells were drawn "
        f"without. Of {words.plural(len(foreign), 'such row')} with counts "
        f"{words.number(foreign['ambient'].sum())} are taken for ambient."
    )
    names = [f"{row.gene} in {words.name(row.cell_type)}" for row in wrong.itertuples()]
    names = list(dict.fromkeys(names))
    return Finding(text + (f" {words.join(names)}." if names else ""), WRONG if names else RIGHT)


def without_maker(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Tell the rows with counts of a gene that the cells of the row were drawn without.

    Parameters
    ----------
    rows
        Rows of ``contrasts.tsv``.
    evidence
        The run.

    Returns
    -------
    pandas.Series
        Bool. The cells of a row are the cell types that hold a tenth of the live single cells of
        its name (:data:`emhniche.effects.MAIN_SHARE`).
    """
    live = evidence.cells.loc[evidence.cells["state"] == SINGLE, [CELL_ID, "cell_type"]]
    table = evidence.annotation[[CELL_ID, *LEVELS]].merge(
        live.rename(columns={"cell_type": "true_type"}), on=CELL_ID
    )
    rates = evidence.rates
    highest = {}
    for level in LEVELS:
        for name, types in table.groupby(level)["true_type"]:
            share = types.value_counts(normalize=True)
            highest[level, name] = rates[share.index[share >= MAIN_SHARE]].max(axis=1)
    counts = rows[["counts_test", "counts_reference"]].fillna(0).sum(axis=1)
    held = [
        highest[row.level, row.cell_type].get(row.gene, 1.0) > 0
        if (row.level, row.cell_type) in highest
        else True
        for row in rows.itertuples()
    ]
    return (counts > 0) & ~pd.Series(held, rows.index, dtype=bool)
