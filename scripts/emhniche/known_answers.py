"""Do published facts come back from the data of this run?

Each row of ``resources/known_answers.tsv`` asks one question of the datasets that it names, with a
rule that was fixed beforehand. The answer is ``pass``, ``fail`` or ``not_testable``, and says what
was seen. A fact of one study that is asked of another study's data is marked as a stand-in.

    python -m emhniche.known_answers config/public.yaml

prints the answers of a finished run.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import pandas as pd
import yaml

from emhniche.errors import InputError
from emhniche.io import read_table
from emhniche.known_answer_cells import CELL_KINDS
from emhniche.known_answer_evidence import Cannot, Evidence, gather
from emhniche.known_answer_rows import Check, load_checks
from emhniche.known_answer_tables import TABLE_KINDS

logger = logging.getLogger(__name__)

KINDS: Mapping[str, Callable[[Check, Evidence], tuple[bool, str]]] = {**CELL_KINDS, **TABLE_KINDS}
"""Kind of a check -> what answers it: whether the rule holds, and what was seen."""

COLUMNS = (
    *("check", "id", "scope", "status", "observed", "datasets", "claim", "pass_rule", "direction"),
    *("source", "verification", "caveat"),
)

STATUSES = ("pass", "fail", "not_testable")


@dataclass(frozen=True)
class GeneTables:
    """Where the gene tables of the run are.

    Attributes
    ----------
    signatures
        ``signatures.tsv``.
    species
        ``mouse`` or ``human``.
    """

    signatures: str
    species: str


def check_known_answers(
    cells: ad.AnnData,
    annotation: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    *,
    answers: str | Path,
    genes: GeneTables,
    simulated: bool,
) -> pd.DataFrame:
    """Answer every row of the table of known answers that the run's datasets can answer.

    Parameters
    ----------
    cells
        Cells x genes, raw counts, in memory or backed: ``cells.h5ad``.
    annotation
        ``cell_id``, ``lineage`` and ``cell_type``, one row a cell.
    tables
        ``production``, ``contrasts``, ``gates`` and ``calls`` of the run.
    answers
        ``known_answers.tsv``; ``docs/known_answers.md`` explains its columns.
    genes
        The gene tables.
    simulated
        Whether the cells were simulated: then nothing published can be asked of them.

    Returns
    -------
    pandas.DataFrame
        One row a check, in file order: ``status`` is one of :data:`STATUSES`, ``observed`` says
        what was seen, or why nothing could be.

    Raises
    ------
    InputError
        When a row of `answers` is not as it should be, or a cell has no annotation.
    """
    checks = load_checks(answers)
    evidence = gather(cells, annotation, tables, checks, genes.signatures, genes.species)
    rows = [_answer(check, evidence, simulated=simulated) for check in checks]
    table = pd.DataFrame(rows, columns=[*COLUMNS])
    logger.info("answers:\n%s", readable(table))
    return table


def readable(table: pd.DataFrame) -> str:
    """Write the answers for a terminal.

    Parameters
    ----------
    table
        As :func:`check_known_answers` returns it.

    Returns
    -------
    str
        A line a check, those that failed last, and how many there are of each.
    """
    words = {"pass": "pass", "fail": "FAIL", "not_testable": "-"}
    order = table["status"].map({"not_testable": 0, "pass": 1, "fail": 2})
    shown = table.iloc[order.argsort(kind="stable")]
    wide = max(table["check"].map(len), default=0)
    lines = [
        f"{words[row.status]:4}  {row.check:{wide}}  {row.observed}"
        + (" [stand-in data]" if row.scope == "stand_in" and row.status != "not_testable" else "")
        for row in shown.itertuples()
    ]
    counts = table["status"].value_counts().reindex(list(STATUSES), fill_value=0)
    summary = f"{counts['pass']} pass, {counts['fail']} fail, {counts['not_testable']} not testable"
    return "\n".join([*lines, summary])


def _answer(check: Check, evidence: Evidence, *, simulated: bool) -> dict[str, str]:
    """Return the row of one check."""
    asked = [] if check.of_the_tables else check.datasets(evidence.obs)
    try:
        if simulated and not check.of_the_tables:
            raise Cannot("the cells of this run are simulated")
        if not asked and not check.of_the_tables:
            raise Cannot(f"no dataset of this run is {' or '.join(check.runs_on)}")
        holds, observed = KINDS[check.kind](check, evidence.of(asked))
        status = "pass" if holds else "fail"
    except Cannot as error:
        status, observed = "not_testable", str(error)
    found = {"status": status, "observed": observed, "datasets": ";".join(asked)}
    return {**check.texts, "check": check.name, "scope": check.scope, **found}


def main(arguments: list[str]) -> int:
    """Print the answers of the run that a configuration names."""
    if len(arguments) != 1:
        print("usage: python -m emhniche.known_answers <configuration>.yaml", file=sys.stderr)
        return 2
    try:
        path = Path("results") / _run_name(arguments[0]) / "known_answers.tsv"
        if not path.is_file():
            raise InputError(f"{path}: no such file; run `make known-answers` first")
        print(readable(read_table(path)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run_name(config: str) -> str:
    """Return the name of the run that a configuration file gives."""
    if not Path(config).is_file():
        raise InputError(f"{config}: no such file; name a configuration file")
    try:
        given = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{config}: not YAML ({line}); write `key: value` lines") from None
    name = given.get("run") if isinstance(given, dict) else None
    if not isinstance(name, str) or not name:
        raise InputError(f"{config}: run: missing or no text; give the name of the run")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
