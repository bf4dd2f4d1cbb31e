"""Which published facts came back from the data of this run?"""

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
    asked = asked.assign(answer=asked["status"].map(_ANSWERS), data=asked["scope"].map(_SCOPES.get))
    columns = [
        Column("check", "Check", "text"),
        Column("answer", "Answer", "text"),
        Column("claim", "What is published", "prose"),
        Column("observed", "What was seen", "prose"),
        Column("datasets", "Dataset", "text"),
        Column("data", "Asked of", "text"),
        Column("source", "Source", "text"),
    ]
    left = words.plural(len(table) - len(asked), "check")
    return run_table(
        run,
        "known_answers",
        asked,
        columns,
        caption="Published facts, each asked of the data with a rule that was fixed beforehand. "
        f"{left} could not be asked of these data; the file says why.",
    )
