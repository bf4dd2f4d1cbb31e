"""Which published facts came back from the data of this run?"""

import pandas as pd

from emhniche.report import words
from emhniche.report.index_tables import run_table
from emhniche.report.page_tables import Column, PageTable
from emhniche.report.tables import RunTables

_ANSWERS = {"fail": "✗ fail", "pass": "✓ pass"}
_SCOPES = {"published": "own data", "stand_in": "stand-in"}


def known_answers_table(run: RunTables) -> PageTable:
    """Return the checks that the run's data could answer, those that failed first.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    PageTable
        One row a check that passed or failed; the caption counts the others.
    """
    table = run["known_answers"]
    asked = table[table["status"].isin(list(_ANSWERS))]
    asked = asked.sort_values("status", kind="stable")
    asked = asked.assign(
        answer=asked["status"].map(_ANSWERS),
        data=[_asked_of(row) for _, row in asked.iterrows()],
    )
    columns = [
        Column("check", "Check", "text"),
        Column("answer", "Answer", "text"),
        Column("claim", "What is published", "prose"),
        Column("pass_rule", "Rule", "narrow"),
        Column("observed", "What was seen", "prose"),
        Column("data", "Asked of", "narrow"),
        Column("source", "Source", "narrow"),
    ]
    left = words.plural(len(table) - len(asked), "check")
    return run_table(
        run,
        "known_answers",
        asked,
        columns,
        caption="Published facts, each asked of the data with a rule that was fixed beforehand. "
        "Pass means that the rule in the file held, not that the claim was shown. "
        f"{left} could not be asked of these data; the file says why.",
    )


def _asked_of(row: pd.Series) -> str:
    """Say whose data answered; a check without a dataset asks the gene tables alone."""
    if words.is_missing(row["datasets"]):
        return "the gene tables"
    names = words.join(str(row["datasets"]).split(";"))
    return f"{names} ({_SCOPES.get(row['scope'], row['scope'])})"
