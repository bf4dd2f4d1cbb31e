"""What does a simulated run hold that a planted truth can be judged by?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import anndata as ad
import pandas as pd

from emhniche.io import read_table
from emhniche.study import Study
from emhniche.truth_cells import read_barcodes

RIGHT, WRONG, NOT_ASKED, CANNOT_TELL = "right", "wrong", "not asked", "cannot tell"

VERDICTS = (RIGHT, WRONG, NOT_ASKED, CANNOT_TELL)
"""``wrong``: anything but what was expected; ``cannot tell``: the results hold no answer."""

ALPHA = 0.05
"""q at or below which the results call a difference."""

MIN_CELLS = 20
"""Cells below which a lineage or a stage is not judged."""


@dataclass(frozen=True)
class Finding:
    """What the results say of one expectation.

    Attributes
    ----------
    text
        One or more sentences, with numbers.
    verdict
        One of :data:`VERDICTS`.
    """

    text: str
    verdict: str


def together(verdicts: Sequence[str]) -> str:
    """Return the verdict of several parts: one that is wrong makes all wrong."""
    return next((one for one in (WRONG, CANNOT_TELL) if one in verdicts), RIGHT)


@dataclass(frozen=True)
class Evidence:
    """The tables of a run, each read when it is first asked for.

    Attributes
    ----------
    root
        Folder of the run.
    study
        The simulated study.
    """

    root: Path
    study: Study

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Return the truth: what each barcode was simulated as."""
        return read_table(self.root / "simulate" / "cells.parquet")

    @cached_property
    def rates(self) -> pd.DataFrame:
        """Return genes x cell types: the share that a gene has in the counts of a cell type."""
        return read_table(self.root / "simulate" / "rates.tsv").set_index("gene")

    @cached_property
    def barcodes(self) -> pd.DataFrame:
        """Return what quality control says of each barcode."""
        return read_barcodes(self.root, sorted(set(self.cells["sample"])))

    @cached_property
    def annotation(self) -> pd.DataFrame:
        """Return the named lineage of each kept cell."""
        return read_table(self.root / "annotate" / "annotation.parquet")

    @cached_property
    def design(self) -> pd.DataFrame:
        """Return what each contrast allows."""
        return read_table(self.root / "niche" / "design.tsv")

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """Return the differences in expression."""
        return read_table(self.root / "niche" / "contrasts.tsv")

    @cached_property
    def composition(self) -> pd.DataFrame:
        """Return the differences in frequency."""
        return read_table(self.root / "niche" / "composition.tsv")

    def counts(self, gene: str) -> pd.DataFrame:
        """Return the counts of a gene in each kept cell (``gene``) and of all genes (``all``).

        Indexed by cell_id; no row where the gene is not in the data.
        """
        cells = ad.read_h5ad(self.root / "cells.h5ad", backed="r")
        if gene not in cells.var_names:
            return pd.DataFrame(columns=["gene", "all"])
        held = cells.X[:, [cells.var_names.get_loc(gene)]].toarray().ravel()
        return pd.DataFrame(
            {"gene": held, "all": cells.obs["n_counts"].to_numpy()}, cells.obs_names
        )

    @cached_property
    def gates(self) -> pd.DataFrame:
        """Return what came of each comparison of myeloid cells."""
        return read_table(self.root / "myeloid" / "gates.tsv")

    @cached_property
    def calls(self) -> pd.DataFrame:
        """Return the myeloid cells with their scores and calls."""
        return read_table(self.root / "myeloid" / "calls.parquet")
