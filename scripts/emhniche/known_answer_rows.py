"""What is asked in the table of known answers?

The table is checked when the configuration is read, so nothing heavy is imported here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from emhniche import gene_tables
from emhniche.errors import InputError
from emhniche.known_answer_settings import KINDS, parts, read_settings

ANY = "*"
"""Instead of datasets: every dataset of the run is asked."""

SCOPES = ("published", "stand_in")

_TEXTS = (
    *("id", "claim", "dataset", "test", "pass_rule", "direction", "source", "verification"),
    "caveat",
)
_COLUMNS = (*_TEXTS, "check", "kind", "runs_on", "scope", "settings")
_FILLED = ("check", "id", "claim", "source", "verification", "runs_on")


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Attributes
    ----------
    name, kind
        Its name, and which checker answers it.
    runs_on
        Datasets (or studies) of the sample sheet that are asked, or :data:`ANY`.
    scope
        ``published``: the data the claim is of, or that it names; ``stand_in``: other data, in
        which it should hold as well.
    settings
        What the checker needs, as text.
    texts
        The columns for readers.
    """

    name: str
    kind: str
    runs_on: tuple[str, ...]
    scope: str
    settings: Mapping[str, str]
    texts: Mapping[str, str]

    @property
    def of_the_tables(self) -> bool:
        """Whether the gene tables are asked and no cell."""
        return self.kind == "refused"

    def datasets(self, obs: pd.DataFrame) -> list[str]:
        """Return the datasets of the run that are asked, by their name or their study's."""
        wanted = {name.casefold() for name in self.runs_on}
        sheet = obs.reindex(columns=["dataset", "study"]).astype(str).drop_duplicates()
        named = sheet.apply(lambda column: column.str.casefold().isin(wanted)).any(axis=1)
        return sorted(set(sheet["dataset"][named | (ANY in wanted)]))

    def one(self, key: str) -> str:
        """Return a setting."""
        return self.settings[key]

    def many(self, key: str) -> list[str]:
        """Return a setting that lists several values."""
        return parts(self.settings[key])

    def number(self, key: str) -> float:
        """Return a setting that is a number."""
        return float(self.settings[key])


def load_checks(path: str | Path) -> list[Check]:
    """Read the table of known answers.

    Parameters
    ----------
    path
        ``known_answers.tsv``.

    Returns
    -------
    list of Check
        In file order.

    Raises
    ------
    InputError
        When the file or a column is missing, a check comes twice, a column that every check needs
        is empty, a kind or scope is unknown, or the settings are not those of the kind.
    """
    table = gene_tables.read_rows(path, _COLUMNS)
    gene_tables.check_unique(path, table, ["check"])
    return [
        _check(f"{path}: row {number} ({row['check']})", row)
        for number, row in zip(table.index, table.to_dict("records"), strict=True)
    ]


def _check(where: str, row: Mapping[str, str]) -> Check:
    """Return the check of a row."""
    for column in _FILLED:
        gene_tables.check_filled(where, column, row[column])
    gene_tables.check_choice(where, "kind", row["kind"], KINDS)
    gene_tables.check_choice(where, "scope", row["scope"], SCOPES)
    runs_on = tuple(map(str.strip, row["runs_on"].split(";")))
    if not all(runs_on):
        raise InputError(
            f"{where}: runs_on {row['runs_on']!r} has an empty name; put one ';' between datasets"
        )
    return Check(
        name=row["check"],
        kind=row["kind"],
        runs_on=runs_on,
        scope=row["scope"],
        settings=read_settings(where, row["kind"], row["settings"]),
        texts={column: row[column] for column in _TEXTS},
    )
