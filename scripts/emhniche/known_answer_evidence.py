"""What of a run can answer what is asked in the table of known answers?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError
from emhniche.known_answer_rows import Check
from emhniche.resources import load_signatures

MIN_CELLS = 20
"""Cells that a group needs in a library."""

MIN_COUNTS = 10
"""Counts below which a gene is not called seen."""

_BLOCK = 20_000


class Cannot(Exception):
    """The data cannot answer; the message says why."""


@dataclass(frozen=True)
class Evidence:
    """What checkers look at.

    Attributes
    ----------
    obs
        One row a cell: the sheet's columns, ``n_counts``, ``label``, ``lineage``, ``cell_type``.
    counts
        Cells x genes that any check names, raw counts.
    measured
        Genes x datasets, bool.
    tables
        Tables of the run: ``production``, ``contrasts``, ``gates``, ``calls``.
    signatures, path
        The signatures of the species, and the file of all.
    """

    obs: pd.DataFrame
    counts: pd.DataFrame
    measured: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    signatures: pd.DataFrame
    path: str

    def of(self, datasets: Collection[str]) -> "Evidence":
        """Return the cells of some datasets, and the rows of those tables that name datasets."""
        rows = self.obs["dataset"].astype(str).isin(datasets)
        return replace(
            self,
            obs=self.obs[rows],
            counts=self.counts[rows.to_numpy()],
            measured=self.measured[[*datasets]],
            tables={
                name: table[table["dataset"].isin(datasets)] if "dataset" in table else table
                for name, table in self.tables.items()
            },
        )

    @cached_property
    def libraries(self) -> list[str]:
        """Names of the libraries, sorted."""
        return sorted(self.obs["sample"].astype(str).unique())

    def where(self, keep: pd.Series) -> "Evidence":
        """Return the cells for which `keep` holds."""
        return replace(self, obs=self.obs[keep], counts=self.counts[keep.to_numpy()])

    def only(self, check: Check, *columns: str) -> "Evidence":
        """Return the cells that have what the settings ask of some columns, if they ask."""
        here = self
        for column in columns:
            if column in check.settings:
                wanted = check.many(column)
                here = here.where(here.obs[column].astype(str).isin(wanted))
        if here.obs.empty:
            asked = ", ".join(f"{c} {check.settings[c]}" for c in columns if c in check.settings)
            raise Cannot(f"no cell has {asked}")
        return here

    def require(self, genes: Sequence[str]) -> None:
        """Raise :class:`Cannot` where a dataset does not measure a gene."""
        held = self.held(genes)
        absent = [gene for gene in dict.fromkeys(genes) if gene not in held]
        if absent:
            raise Cannot(f"{', '.join(absent)} not measured in {', '.join(self.measured.columns)}")

    def held(self, genes: Sequence[str]) -> list[str]:
        """Return those of some genes that every dataset measures; of others no 0 is a count."""
        unique = list(dict.fromkeys(genes))
        everywhere = self.measured.reindex(unique, fill_value=False).all(axis=1)
        return [gene for gene in unique if everywhere[gene]]

    def groups(self, check: Check) -> pd.Series:
        """Return the group of each cell: ``by`` a column, some lineages (``whole``) as one group.

        Raises
        ------
        Cannot
            When the cells have no such names.
        """
        column = check.one("by")
        names = self.obs.get(column, pd.Series("", self.obs.index)).astype(object)
        names = names.where(names.notna(), "").astype(str)
        if "whole" in check.settings:
            lineage = self.obs["lineage"].astype(str)
            names = names.where(~lineage.isin(check.many("whole")), lineage)
        if not names.ne("").any():
            raise Cannot(f"no cell of {', '.join(self.measured.columns)} has a {column}")
        return names

    def logcpm(self, library: str, groups: pd.Series) -> pd.DataFrame:
        """Return log2(1 + counts per million) of a library's groups of enough cells, by gene."""
        here = self.where((self.obs["sample"].astype(str) == library) & (groups != ""))
        names = groups[here.obs.index]
        size = names.value_counts()
        kept = sorted(size.index[size >= MIN_CELLS])
        counts = here.counts.groupby(names.to_numpy()).sum().reindex(kept)
        depth = here.obs["n_counts"].astype(float).groupby(names.to_numpy()).sum().reindex(kept)
        return np.log2(1 + counts.div(depth, axis=0) * 1e6)


def gather(
    cells: ad.AnnData,
    annotation: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    checks: Sequence[Check],
    signatures: str | Path,
    species: str,
) -> Evidence:
    """Collect what the checks look at: of the counts only the genes that they name.

    Parameters
    ----------
    cells
        Cells x genes, raw counts, in memory or backed.
    annotation
        ``cell_id``, ``lineage`` and ``cell_type``.
    tables
        Tables of the run.
    checks
        What will be asked.
    signatures
        ``signatures.tsv``.
    species
        Species of the run.

    Returns
    -------
    Evidence
        Of all datasets.

    Raises
    ------
    InputError
        When a cell has no annotation.
    """
    obs = cells.obs.join(annotation.set_index("cell_id")[["lineage", "cell_type"]])
    if obs["lineage"].isna().any():
        first = obs.index[obs["lineage"].isna()][0]
        raise InputError(
            f"annotation: cell '{first}' has no row; annotate the cells of the same run"
        )
    known = load_signatures(signatures, species)
    named = {gene for check in checks for gene in _genes(check, known)}
    genes = [gene for gene in cells.var_names if gene in named]
    columns = cells.var_names.get_indexer(genes)
    blocks = [
        sparse.csr_matrix(cells.X[start : start + _BLOCK])[:, columns].toarray()
        for start in range(0, cells.n_obs, _BLOCK)
    ]
    return Evidence(
        obs=obs,
        counts=pd.DataFrame(np.vstack(blocks), obs.index, genes),
        measured=pd.DataFrame(cells.varm["measured"], index=cells.var_names).astype(bool),
        tables=tables,
        signatures=known,
        path=str(signatures),
    )


def set_genes(signatures: pd.DataFrame, name: str) -> list[str]:
    """Return the positive genes of a signature, none where the species has no such set."""
    rows = signatures[(signatures["set"] == name) & (signatures["polarity"] == "positive")]
    return [gene for genes in rows["genes"] for gene in genes]


def _genes(check: Check, signatures: pd.DataFrame) -> list[str]:
    """Return the genes that a check may look at, those of its signatures among them."""
    named = [key for key in ("genes", "without") if key in check.settings]
    sets = [key for key in ("early", "late", "sets") if key in check.settings]
    return [
        *(gene for key in named for gene in check.many(key)),
        *(gene for key in sets for name in check.many(key) for gene in set_genes(signatures, name)),
    ]
