"""Do simulated cells look like real ones?

Two finished runs are compared lineage by lineage, in the genes that both measure: how many counts
and genes a cell has, how many genes at a given number of counts, how often a gene of a given mean
is absent (dropout), and how much it varies. Dropout and variance are taken within the one library
that holds most cells of the lineage, where no donor or batch adds to them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse, stats

from emhniche.errors import InputError
from emhniche.io import CELL_ID, read_h5ad, read_table

TREATED = ("case", "inflammation_control")
"""Arms that are left out: a planted or real response is no part of how realistic cells are."""

MIN_CELLS = 20
"""Fewer cells of a lineage in a library say nothing about how genes vary in it."""

MIN_GENES = 20
"""Fewer genes have no median worth a line."""

MEAN_BINS = np.logspace(-2.5, 2, 19)
"""Bounds of the bins of mean counts per cell."""

COUNT_BINS = np.logspace(2.2, 4.4, 12)
"""Bounds of the bins of counts of a cell."""

_TINY = 1e-9


@dataclass(frozen=True)
class Run:
    """The kept cells of untreated animals of a finished run.

    Attributes
    ----------
    counts
        Cells x genes, raw counts.
    cells
        One row a cell: ``sample``, ``dataset``, ``lineage``.
    measured
        Genes x datasets, bool.
    """

    counts: sparse.csr_matrix
    cells: pd.DataFrame
    measured: pd.DataFrame


def load_run(folder: str | Path) -> Run:
    """Read kept cells and lineages from the folder of a finished run, untreated animals only."""
    folder = Path(folder)
    for name in ("cells.h5ad", "annotate/annotation.parquet"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name} in it; give the folder of a finished run")
    cells = read_h5ad(folder / "cells.h5ad")
    annotation = read_table(folder / "annotate" / "annotation.parquet").set_index(CELL_ID)
    table = cells.obs[["sample", "dataset"]].astype(str)
    table["lineage"] = annotation["lineage"].astype(str).reindex(table.index)
    known = table["lineage"].notna() & (table["lineage"] != "unresolved")
    known = (known & ~cells.obs["arm"].isin(TREATED)).to_numpy()
    measured = pd.DataFrame(cells.varm["measured"], index=cells.var_names).astype(bool)
    return Run(cells.X.tocsr()[known], table[known], measured)


def shared_genes(runs: Sequence[Run]) -> pd.Index:
    """Return the genes that some dataset of every run measures."""
    genes = runs[0].measured.index
    for run in runs:
        genes = genes.intersection(run.measured.index[run.measured.any(axis=1)])
    return genes.sort_values()


def cell_statistics(run: Run, genes: pd.Index) -> pd.DataFrame:
    """Return counts and detected genes of each cell, of `genes` only.

    Returns
    -------
    pandas.DataFrame
        One row a cell: ``sample``, ``dataset``, ``lineage``, ``counts``, ``genes``, ``mito`` and
        ``ribo`` (percent of counts; NaN where the dataset measures no mitochondrial gene).
    """
    held = run.counts[:, run.measured.index.get_indexer(genes)]
    table = run.cells.copy()
    table["counts"] = np.asarray(held.sum(axis=1)).ravel()
    table["genes"] = held.getnnz(axis=1)
    for name, pattern in {"mito": r"mt-.*", "ribo": r"Rp[sl]\d.*"}.items():
        chosen = genes.str.fullmatch(pattern)
        share = (
            100 * np.asarray(held[:, chosen].sum(axis=1)).ravel() / table["counts"].clip(lower=1)
        )
        has = run.measured.loc[genes[chosen]].any()
        table[name] = share.where(table["dataset"].map(has).astype(bool))
    return table[table["counts"] > 0]


def gene_statistics(counts: sparse.csr_matrix) -> pd.DataFrame:
    """Return how the genes of like cells vary.

    Parameters
    ----------
    counts
        Cells x genes, raw counts of one library and lineage.

    Returns
    -------
    pandas.DataFrame
        One row a gene: ``mean`` and ``variance`` (counts per cell), ``absent`` (share of cells
        without the gene), ``poisson`` (that share, were counting all that differs between cells
        of these sizes) and ``dispersion``: (variance - mean) / mean**2, of which what the spread
        of cell sizes makes is taken off.
    """
    n_cells = counts.shape[0]
    mean = np.asarray(counts.mean(axis=0)).ravel()
    square = np.asarray(counts.multiply(counts).mean(axis=0)).ravel()
    variance = (square - mean**2) * n_cells / (n_cells - 1)
    size = np.asarray(counts.sum(axis=1)).ravel()
    size = size / size.mean()
    poisson = np.exp(-np.outer(size, mean)).mean(axis=0)
    spread = size.var(ddof=1)
    excess = (variance - mean) / np.maximum(mean, _TINY) ** 2
    return pd.DataFrame(
        {
            "mean": mean,
            "variance": variance,
            "absent": 1 - counts.getnnz(axis=0) / n_cells,
            "poisson": poisson,
            "dispersion": np.where(mean > 0, (excess - spread) / (1 + spread), np.nan),
        }
    )


def library_statistics(run: Run, genes: pd.Index, lineage: str) -> pd.DataFrame | None:
    """Return :func:`gene_statistics` of the library that holds most cells of a lineage."""
    mine = run.cells["lineage"] == lineage
    sizes = run.cells.loc[mine, "sample"].value_counts().sort_index(kind="stable")
    if sizes.empty or sizes.max() < MIN_CELLS:
        return None
    sample = sizes.idxmax()
    rows = (mine & (run.cells["sample"] == sample)).to_numpy()
    dataset = run.cells.loc[rows, "dataset"].iloc[0]
    has = run.measured.loc[genes, dataset].to_numpy()
    held = run.counts[rows][:, run.measured.index.get_indexer(genes)]
    table = gene_statistics(held[np.asarray(held.sum(axis=1)).ravel() > 0])
    table.index = genes
    table.insert(0, "sample", sample)
    return table[has & (table["mean"] > 0)]


def binned(x: pd.Series, y: pd.Series, bounds: np.ndarray, *, least: int = 5) -> pd.DataFrame:
    """Return quartiles of `y` in bins of `x`.

    Returns
    -------
    pandas.DataFrame
        Indexed by the bin's (geometric) middle: ``low``, ``middle``, ``high`` (quartiles), ``n``.
        Bins with fewer than `least` values are left out.
    """
    middles = np.sqrt(bounds[1:] * bounds[:-1])
    place = pd.cut(x, bounds, labels=middles).astype(float)
    quartiles = y.groupby(place).quantile([0.25, 0.5, 0.75]).unstack()
    quartiles.columns = ["low", "middle", "high"]
    quartiles["n"] = y.groupby(place).size()
    return quartiles[quartiles["n"] >= least]


def compare_runs(simulated: Run, real: Run) -> pd.DataFrame:
    """Put numbers to how far simulated cells are from real ones.

    Returns
    -------
    pandas.DataFrame
        One row a lineage and quantity: ``lineage``, ``quantity``, ``unit``, ``simulated``,
        ``real``, ``ratio`` (simulated / real), ``library`` (of the real cells, where one alone is
        compared). Empty where a run holds too few cells.
    """
    genes = shared_genes([simulated, real])
    runs = (simulated, real)
    cells = [cell_statistics(run, genes) for run in runs]
    rows = []
    for lineage in sorted(set().union(*(table["lineage"] for table in cells))):
        pair = [_of_cells(table[table["lineage"] == lineage]) for table in cells]
        rows += [(lineage, *key, value, pair[1][key], "") for key, value in pair[0].items()]
        tables = [library_statistics(run, genes, lineage) for run in runs]
        if all(table is not None for table in tables):
            library = tables[1]["sample"].iloc[0]
            rows += [(lineage, *row, library) for row in _of_genes(*tables)]
    columns = ["lineage", "quantity", "unit", "simulated", "real", "library"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(5, "ratio", table["simulated"] / table["real"].where(table["real"] > 0))
    return table


def _of_cells(cells: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return the figures of one lineage's cells in one run, by quantity and unit."""
    near = cells[cells["counts"].between(800, 1250)]
    logs = np.log(cells["counts"])
    return {
        ("cells", "number"): len(cells),
        ("counts of a cell", "median"): _median(cells["counts"]),
        ("counts of a cell", "sd of ln"): logs.std() if len(cells) > 4 else np.nan,
        ("genes of a cell", "median"): _median(cells["genes"]),
        ("genes of a cell of 800 to 1250 counts", "median"): _median(near["genes"]),
        ("mitochondrial counts", "median %"): _median(cells["mito"].dropna()),
        ("ribosomal counts", "median %"): _median(cells["ribo"].dropna()),
    }


def _of_genes(simulated: pd.DataFrame, real: pd.DataFrame) -> Iterator[tuple]:
    """Give the figures of one lineage's genes: quantity, unit, simulated, real."""
    own = [table[table["mean"].between(0.3, 3)] for table in (simulated, real)]
    if min(map(len, own)) >= MIN_GENES:
        beyond = [100 * (table["absent"] - table["poisson"]).mean() for table in own]
        yield ("absent beyond counting, genes of mean 0.3 to 3", "mean % of cells", *beyond)
    both = simulated.index.intersection(real.index)
    simulated, real = simulated.loc[both], real.loc[both]
    high = (simulated["mean"] >= 0.3) & (real["mean"] >= 0.3)
    if high.sum() >= MIN_GENES:
        same = [table.loc[high, "dispersion"].median() for table in (simulated, real)]
        yield ("dispersion, the same genes of mean 0.3 or more", "median", *same)
    rho = stats.spearmanr(simulated["mean"], real["mean"])[0]
    yield ("mean expression against the real library", "Spearman's rho", rho, np.nan)


def _median(values: pd.Series) -> float:
    return float(values.median()) if len(values) > 4 else np.nan
