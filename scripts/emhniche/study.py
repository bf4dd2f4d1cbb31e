"""Which mice, tissues and libraries does a simulated study have?

A study is a small YAML file (``config/study.yaml``). The sample sheet of its run follows from it,
so that a plan with more mice is one changed number. Nothing heavy is imported: the Snakefile reads
it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from emhniche.errors import InputError
from emhniche.loading import is_10x, loaded_for
from emhniche.schema import check, complete
from emhniche.sheet import complete_samples

LIBRARY = "library"
"""Metadata column of the simulated file by which a sample's barcodes are selected."""

LABELS = "lineage"
"""Metadata column of the simulated file with the true lineage, for evaluation only."""


@dataclass(frozen=True)
class Study:
    """A checked simulated study.

    Attributes
    ----------
    path
        The YAML file, for messages.
    settings
        Its keys with all defaults filled in (``workflow/schemas/study.schema.yaml``).
    """

    path: str
    settings: dict[str, Any]

    def rows(self, file: str) -> list[dict[str, str]]:
        """Return the rows of the sample sheet, one a library.

        Parameters
        ----------
        file
            Where the simulated counts of all libraries are.

        Returns
        -------
        list of dict
            Columns of ``workflow/schemas/samples.schema.yaml``.
        """
        return [
            {
                "sample": f"{donor}_{tissue.split()[-1]}",
                "dataset": self.settings["dataset"],
                "file": file,
                "format": "h5ad",
                "select": f"{LIBRARY} == {donor}_{tissue.split()[-1]}",
                "species": "mouse",
                "tissue": tissue,
                "donor": donor,
                "condition": arm["condition"],
                "arm": arm["arm"],
                "enrichment": "none",
                "chemistry": self._chemistry(mouse, tissue),
                "cells_loaded": self._loaded(self._chemistry(mouse, tissue)),
                "labels": LABELS,
                "sex": "female",
            }
            for arm in self.settings["arms"]
            for mouse, donor in enumerate(_donors(arm))
            for tissue in self.settings["tissues"]
        ]

    def sheet(self, file: str, schema: dict[str, Any]) -> pd.DataFrame:
        """Return the sample sheet.

        Parameters
        ----------
        file
            Where the simulated counts of all libraries are.
        schema
            Schema of a row of the sample sheet.

        Returns
        -------
        pandas.DataFrame
            As :func:`emhniche.sheet.read_samples` returns it.
        """
        rows = []
        for row in self.rows(file):
            row = complete(row, schema)
            check(row, schema, f"{self.path}: sample '{row['sample']}'")
            rows.append({column: row.get(column, "") for column in schema["properties"]})
        return complete_samples(self.path, pd.DataFrame(rows, dtype=str), schema)

    def conditions(self) -> list[str]:
        """Return the conditions, in the order of the arms."""
        return [arm["condition"] for arm in self.settings["arms"]]

    def depths(self) -> dict[str, float]:
        """Return each chemistry's factor on the counts of a cell."""
        return {one["name"]: one["depth"] for one in self.settings["chemistries"]}

    def _chemistry(self, mouse: int, tissue: str) -> str:
        chemistries = self.settings["chemistries"]
        by_tissue = self.settings["chemistry_by"] == "tissue"
        turn = self.settings["tissues"].index(tissue) if by_tissue else mouse
        return chemistries[turn % len(chemistries)]["name"]

    def _loaded(self, chemistry: str) -> str:
        """Cells that would have been loaded for the study's share of doublets; empty if none."""
        rate = self.settings["doublets"]
        return str(loaded_for(rate)) if rate and is_10x(chemistry) else ""


def read_study(path: str | Path, schema: dict[str, Any]) -> Study:
    """Read, complete and check a simulated study.

    Parameters
    ----------
    path
        YAML file.
    schema
        ``workflow/schemas/study.schema.yaml``.

    Returns
    -------
    Study
        Paths in it are as they were written.

    Raises
    ------
    InputError
        When the file is no YAML, a key is wrong, or two arms or chemistries have one name.
    """
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{path}: not YAML ({line}); write `key: value` lines") from None
    settings = complete(given, schema)
    check(settings, schema, str(path))
    for key, name in (("arms", "condition"), ("chemistries", "name")):
        names = [one[name] for one in settings[key]]
        for position, one in enumerate(names):
            if one in names[:position]:
                raise InputError(
                    f"{path}: {key}[{position}].{name}: '{one}' is used twice; "
                    "give each a name of its own"
                )
    return Study(str(path), settings)


def _donors(arm: dict[str, Any]) -> list[str]:
    return [f"{arm['condition']}{number}" for number in range(1, arm["mice"] + 1)]
