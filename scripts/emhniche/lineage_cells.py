"""What does the myeloid stage need to know of the cells of one lineage?

Counts, depth and origin of the cells, in an order that does not hang on the order of the input, and
the sets that say how mature a cell of the lineage is and what else may raise a signature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError
from emhniche.residual import Covariate
from emhniche.witnesses import Refusal

PLATFORM = "chemistry"
"""Column of the sample sheet that tells platforms apart."""

MATURATION = {
    "neutrophil": {"preNeu": -1, "immNeu": -1, "matNeu": 1},
    "monocyte_macrophage": {"cMono": -1, "ncMono": 1, "RPM": 1},
    "HSPC": {"HSC_MPP": -1, "GMP": 1},
    "DC": {},
}
"""Sets of each lineage that are early (-1) or late (1) in its maturation. No set tells a mature
dendritic cell from an immature one; cDC1, cDC2 and pDC are kinds of cells, not stages."""

CONFOUNDERS = ("Dissociation_IEG", "ISG_Neu")
"""Sets of immediate-early and interferon genes: stress of handling, and infection."""

MIN_STAGE_GENES = 3
"""Measured genes that the early and the late sets need, each, to tell maturation."""


@dataclass(frozen=True)
class LineageCells:
    """Cells of one lineage with at least one count, sorted by cell id.

    Attributes
    ----------
    obs
        Indexed by cell id: ``donor``, ``arm`` and, where known, ``tissue``, ``platform``, ``batch``
        and ``enrichment``.
    counts
        Cells x measured genes.
    genes
        Position of each measured gene.
    """

    obs: pd.DataFrame
    counts: sparse.csc_matrix
    genes: dict[str, int]

    @cached_property
    def depth(self) -> np.ndarray:
        """Total count of each cell."""
        return np.asarray(self.counts.sum(axis=1), dtype=float).ravel()

    @cached_property
    def cells_with_gene(self) -> dict[str, int]:
        """Cells that hold a count of each gene."""
        return dict(zip(self.genes, np.diff(self.counts.indptr).tolist(), strict=True))

    @cached_property
    def rates(self) -> dict[str, float]:
        """Share of all counts of each gene."""
        totals = np.asarray(self.counts.sum(axis=0), dtype=float).ravel()
        return dict(zip(self.genes, (totals / totals.sum()).tolist(), strict=True))

    def take(self, rows: np.ndarray) -> "LineageCells":
        """Return the cells at the positions `rows`."""
        return LineageCells(self.obs.iloc[rows], self.counts[rows], self.genes)

    def of(self, genes: Sequence[str], rows: np.ndarray | None = None) -> np.ndarray:
        """Return the counts of measured `genes`, cells (all, or `rows`) x genes, dense float32."""
        positions = [self.genes[gene] for gene in genes]
        chosen = self.counts[:, positions]
        chosen = chosen if rows is None else chosen[rows]
        return chosen.toarray().astype(np.float32, copy=False)


def read_obs(
    adata: ad.AnnData, lineage: str, lineage_column: str, columns: Mapping[str, str | None]
) -> pd.DataFrame:
    """Return the columns that the caller names, of the cells of the lineage."""
    named = {role: column for role, column in columns.items() if column is not None}
    for role, column in {"lineage": lineage_column, **named}.items():
        if column not in adata.obs:
            raise InputError(
                f"obs: column {column!r} ({role}) is missing; it has "
                f"{', '.join(map(str, adata.obs.columns))}"
            )
    for axis, names in (("obs_names", adata.obs_names), ("var_names", adata.var_names)):
        if not names.is_unique:
            twice = names[names.duplicated()][0]
            raise InputError(f"{axis}: {twice!r} is there twice; every name would be unique")
    chosen = adata.obs[adata.obs[lineage_column].astype(str) == lineage].sort_index()
    table = pd.DataFrame(index=chosen.index)
    for role, column in named.items():
        table[role] = chosen[column].astype(object).where(chosen[column].notna(), "").astype(str)
    return table


def run_obs(cells: ad.AnnData, annotation: pd.DataFrame) -> pd.DataFrame:
    """Return donor, arm, origin and lineage of every cell of a run."""
    lineage = annotation.set_index("cell_id")["lineage"].reindex(cells.obs_names)
    if lineage.isna().any():
        missing = lineage.index[lineage.isna()][0]
        raise InputError(f"annotation: cell {missing} has no lineage; annotate every kept cell")
    table = pd.DataFrame({"lineage": lineage.astype(str)}, index=cells.obs_names)
    for column in ("dataset", "tissue", "donor", "arm", "batch", "enrichment", PLATFORM):
        table[column] = cells.obs[column].astype(object).fillna("").astype(str)
    return table.rename(columns={PLATFORM: "platform"})


def gather(
    counts: sparse.spmatrix | np.ndarray, genes: Sequence[str], obs: pd.DataFrame
) -> LineageCells:
    """Sort cells by name and drop cells without a count.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    genes
        Names of the genes, unique.
    obs
        Indexed by cell id, in the order of the rows.

    Returns
    -------
    LineageCells
        The same for any order of cells and genes.
    """
    matrix = sparse.csr_matrix(counts)
    filled = np.asarray(matrix.sum(axis=1)).ravel() > 0
    order = np.argsort(obs.index.to_numpy(dtype=str), kind="stable")
    rows = order[filled[order]]
    if not np.array_equal(rows, np.arange(len(obs))):
        matrix = matrix[rows]
    columns = sparse.csc_matrix(matrix)
    columns.eliminate_zeros()
    return LineageCells(obs.iloc[rows], columns, {name: i for i, name in enumerate(genes)})


def counts_refusal(counts: sparse.spmatrix | np.ndarray) -> Refusal | None:
    """Refuse a matrix that holds anything but non-negative integers."""
    values = counts.data if sparse.issparse(counts) else np.asarray(counts)
    if values.size == 0:
        return None
    if not np.isfinite(values).all():
        problem = "values that are not numbers"
    elif values.min() < 0:
        problem = "negative values"
    elif (values != np.floor(values)).any():
        problem = "fractions"
    else:
        return None
    return Refusal(
        "not_counts",
        f"The matrix holds {problem}, so it is not raw counts; the score rests on how counts vary.",
    )


def maturation_sets(lineage: str, maturation: Mapping[str, int] | None) -> dict[str, int]:
    """Return the early and late sets of `lineage`, or those that the caller names.

    Raises
    ------
    InputError
        When the lineage is not known and no sets are given, or one side has none.
    """
    sets = dict(maturation or MATURATION.get(lineage, {}))
    known_without = lineage in MATURATION and not maturation and not MATURATION[lineage]
    if not known_without and not {-1, 1} <= set(sets.values()):
        raise InputError(
            f"maturation: no early and late set for lineage {lineage!r}; it would be a mapping of "
            f"set to -1 or 1, and has a default for {', '.join(filter(MATURATION.get, MATURATION))}"
        )
    return sets


def covariate_genes(
    signatures: pd.DataFrame, stages: Mapping[str, int], genes: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return the measured positive genes of the maturation sets and the confounders.

    Parameters
    ----------
    signatures
        Columns ``set``, ``polarity`` and ``genes`` (a sequence of symbols).
    stages
        Maturation sets.
    genes
        Measured genes.

    Returns
    -------
    dict
        Set to its measured genes; sets without any are left out.
    """
    found = {}
    for name in [*stages, *CONFOUNDERS]:
        measured = [gene for gene in positive_genes(signatures, name) if gene in genes]
        if measured:
            found[name] = measured
    return found


def positive_genes(signatures: pd.DataFrame, name: str) -> list[str]:
    """Return the positive genes of one set; empty when there is no such set."""
    rows = signatures[(signatures["set"] == name) & (signatures["polarity"] == "positive")]
    return list(dict.fromkeys(gene for genes in rows["genes"] for gene in genes))


def build_covariates(
    cells: LineageCells, genes: Mapping[str, Sequence[str]], stages: Mapping[str, int]
) -> list[Covariate]:
    """Return the covariates of the cells; sets that are not maturation have stage 0."""
    return [Covariate(name, cells.of(names), stages.get(name, 0)) for name, names in genes.items()]


def maturation_refusal(
    genes: Mapping[str, Sequence[str]], stages: Mapping[str, int]
) -> Refusal | None:
    """Refuse cells in which maturation cannot be told."""
    if not stages:
        return Refusal(
            "no_maturation_genes",
            "There is no set of genes that tells how mature a cell of this lineage is, so nothing "
            "could be adjusted for it.",
        )
    for stage, word in ((-1, "early"), (1, "late")):
        names = [name for name, value in stages.items() if value == stage]
        count = len({gene for name in names for gene in genes.get(name, ())})
        if count < MIN_STAGE_GENES:
            return Refusal(
                "no_maturation_genes",
                f"{count} genes of the {word} maturation sets ({', '.join(names)}) are measured, "
                f"at least {MIN_STAGE_GENES} are needed to adjust for maturation.",
            )
    return None
