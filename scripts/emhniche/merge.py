"""Which cells and genes go on, in one matrix that no later stage writes again?

Samples are read one at a time and appended to the file on disk, so memory follows the largest batch
and not the study. A gene that a dataset's matrix does not hold is zero in the file but *not
measured*: ``varm["measured"]`` says so, and later stages treat it as missing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scanpy as sc
from anndata.io import read_elem, sparse_dataset, write_elem
from scipy import sparse

from emhniche.droplets import read_profile
from emhniche.errors import InputError
from emhniche.io import CELL_ID, as_counts, atomic_path, read_h5ad, read_table
from emhniche.resources import check_panel_measured
from emhniche.sheet import OF_THE_FILE

MIN_BATCH_CELLS = 200
"""A smaller batch has no say in which genes are highly variable, unless all are smaller."""

MIN_SHARED_GENES = 200
"""Fewer genes measured in every dataset cannot carry a common latent space."""

QC_COLUMNS = [
    *("n_counts", "n_genes", "pct_mito", "pct_ribo", "pct_hb"),
    *("stress_score", "s_score", "g2m_score", "doublet_score", "ambient"),
]
"""Numbers of ``qc.parquet`` that the cells carry on."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """One sample's files."""

    sample: str
    counts: Path
    qc: Path
    soup: Path


def kept_parts(parts: Sequence[Part], verdicts: pd.DataFrame) -> list[Part]:
    """Return the parts of the samples that their verdict lets through, in their order.

    Parameters
    ----------
    parts
        All samples of the run.
    verdicts
        ``samples.tsv``: ``sample``, ``kept`` and ``verdict_reason``.

    Returns
    -------
    list of Part
    """
    table = verdicts.set_index("sample")
    for sample in table.index[~table["kept"]]:
        logger.warning("%s is kept out: %s", sample, table.at[sample, "verdict_reason"])
    return [part for part in parts if table.at[part.sample, "kept"]]


def merge_samples(
    parts: Sequence[Part],
    sheet: pd.DataFrame,
    output: str | Path,
    *,
    panel: pd.DataFrame,
    signatures: pd.DataFrame,
    lineages: pd.DataFrame,
    genes: str,
    n_hvg: int,
) -> None:
    """Write the kept cells of all samples into one ``cells.h5ad``.

    Parameters
    ----------
    parts
        Counts, qc table and soup of each sample, in the order they are to be written.
    sheet
        Sample sheet, indexed by sample; every column is carried into ``obs``.
    output
        Path of the file.
    panel, signatures, lineages
        Gene tables (:mod:`emhniche.resources`); their genes are kept even where
        ``genes="intersection"`` would drop them.
    genes
        ``union`` keeps every gene that any dataset measured, ``intersection`` those that all did.
    n_hvg
        How many highly variable genes to mark, of those that more than half of the datasets
        measured. (Public files often leave out genes without a count, so a gene that one dataset
        lacks may well be the marker of a cell type that it lacks.)

    Raises
    ------
    InputError
        When no panel gene is in the data, or the datasets share too few genes to be integrated.
    """
    measured = measured_genes(parts, sheet["dataset"])
    in_panel = measured.index.isin(panel["gene"])
    in_signature = measured.index.isin(signatures["genes"].explode())
    _check_shared(measured)
    check_panel_measured(panel, measured.index)
    in_lineage = measured.index.isin(lineages["genes"].explode())
    listed = in_panel | in_signature | in_lineage
    kept = measured.all(axis=1) | listed | (genes == "union")
    measured = measured[kept]
    with atomic_path(output) as temporary, h5py.File(temporary, "w") as store:
        obs, ambient = _append_samples(store, parts, sheet, measured.index)
        var = pd.DataFrame(index=measured.index)
        var["gene_id"] = gene_ids(parts, measured.index)
        var["panel"] = in_panel[kept]
        var["signature"] = in_signature[kept]
        var["n_datasets_measured"] = measured.sum(axis=1)
        var["highly_variable"] = highly_variable(
            sparse_dataset(store["X"]), obs["batch"], measured.mean(axis=1) > 0.5, n_top=n_hvg
        )
        _finish(store, obs, var, {"measured": measured, "ambient": ambient})


def measured_genes(parts: Sequence[Part], dataset: pd.Series) -> pd.DataFrame:
    """Say which dataset's matrix holds which gene.

    Parameters
    ----------
    parts
        The samples.
    dataset
        Dataset of each sample.

    Returns
    -------
    pandas.DataFrame
        Genes (sorted) x datasets, bool. A gene is measured in a dataset when every sample of it
        holds the gene.
    """
    found: dict[str, pd.Index] = {}
    for part in parts:
        with h5py.File(part.counts) as store:
            names = pd.Index(read_elem(store["var"]).index)
        name = dataset[part.sample]
        found[name] = found[name].intersection(names) if name in found else names
    everything = pd.Index(sorted(set().union(*found.values())))
    return pd.DataFrame({name: everything.isin(names) for name, names in found.items()}, everything)


def gene_ids(parts: Sequence[Part], genes: pd.Index) -> pd.Series:
    """Return the Ensembl id of each gene, where a file gives it.

    Parameters
    ----------
    parts
        The samples.
    genes
        Symbols.

    Returns
    -------
    pandas.Series
        Symbol -> id without its version; empty where no file gives one, or files differ.
    """
    given = []
    for part in parts:
        with h5py.File(part.counts) as store:
            var = read_elem(store["var"])
        if "gene_id" in var:
            given.append(var["gene_id"].dropna().astype(str).str.split(".").str[0])
    ids = pd.concat(given) if given else pd.Series(dtype=str)
    ids = ids[ids.str.startswith("ENS")]
    ids = ids.groupby(ids.index).agg(lambda own: own.iloc[0] if own.nunique() == 1 else "")
    return ids.reindex(genes).fillna("").astype(object)


def highly_variable(
    counts: ad.abc.CSRDataset, batch: pd.Series, candidates: pd.Series, *, n_top: int
) -> pd.Series:
    """Choose genes that vary within many batches (not between them).

    Within each batch genes are ranked by the variance of their analytic Pearson residuals (Lause
    2021, doi 10.1186/s13059-021-02451-7). Half of the genes are those ranked high by most batches,
    which keeps out what varies by chance; the other half are those with the best rank in any one
    batch, which keeps the genes of a cell type that one tissue alone holds, as the marrow's stroma.

    Parameters
    ----------
    counts
        Cells x genes on disk.
    batch
        Batch of each cell.
    candidates
        Genes -> whether the gene can be chosen.
    n_top
        How many to choose.

    Returns
    -------
    pandas.Series
        Genes -> bool.
    """
    ranks = _ranks_by_batch(counts, batch, candidates, n_top=n_top)
    order = pd.DataFrame(
        {
            "batches": -ranks.notna().sum(axis=1),
            "median": ranks.median(axis=1),
            "best": ranks.min(axis=1),
        }
    ).dropna()
    common = order.sort_values(["batches", "median"], kind="stable").index[: n_top // 2]
    special = order.drop(common).sort_values(["best", "median"], kind="stable").index
    chosen = common.append(special[: n_top - len(common)])
    return pd.Series(candidates.index.isin(chosen), index=candidates.index)


def _ranks_by_batch(
    counts: ad.abc.CSRDataset, batch: pd.Series, candidates: pd.Series, *, n_top: int
) -> pd.DataFrame:
    """Rank the candidates by variance of Pearson residuals: genes x batches, NaN below the top."""
    genes = candidates.index[candidates]
    columns = np.flatnonzero(candidates)
    sizes = batch.astype(str).value_counts()
    large = sizes.index[sizes >= MIN_BATCH_CELLS]
    large = large if len(large) else sizes.index
    ranks = {}
    for name in sorted(large):
        rows = np.flatnonzero(batch.astype(str) == name)
        part = ad.AnnData(_rows(counts, rows)[:, columns])
        part.var_names = genes
        part = part[:, part.X.getnnz(axis=0) >= 3].copy()
        top = min(n_top, part.n_vars)
        sc.experimental.pp.highly_variable_genes(part, n_top_genes=top, check_values=False)
        ranks[name] = part.var["highly_variable_rank"].reindex(genes)
    return pd.DataFrame(ranks, index=genes)


def _check_shared(measured: pd.DataFrame) -> None:
    """Refuse datasets whose genes are not named alike: there is nothing to integrate over."""
    shared = int(measured.all(axis=1).sum())
    if shared < MIN_SHARED_GENES:
        sizes = ", ".join(f"{name} {n}" for name, n in measured.sum().items())
        raise InputError(
            f"samples: only {shared} genes are measured in every dataset ({sizes}); at least "
            f"{MIN_SHARED_GENES} are needed, so give files whose genes are named alike"
        )


def _append_samples(
    store: h5py.File, parts: Sequence[Part], sheet: pd.DataFrame, genes: pd.Index
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Append each sample's kept cells to ``X``; return ``obs`` and the ambient profiles."""
    obs, ambient = [], {}
    large = sum(map(_stored_values, parts)) > np.iinfo(np.int32).max
    for part in parts:
        counts = read_h5ad(part.counts)
        qc = read_table(part.qc).set_index("barcode")
        profile = read_profile(part.soup)
        ambient[part.sample] = profile.reindex(genes).fillna(0.0).astype(np.float32)
        keep = qc["keep"].to_numpy()
        block = _with_genes(as_counts(counts.X[keep]), counts.var_names, genes)
        if large:  # the file's index type is that of its first block
            block.indices, block.indptr = block.indices.astype("i8"), block.indptr.astype("i8")
        if obs:
            sparse_dataset(store["X"]).append(block)
        else:
            write_elem(
                store, "X", block, dataset_kwargs={"compression": "gzip", "compression_opts": 1}
            )
        obs.append(_sample_obs(part.sample, sheet, counts.obs[keep], qc[keep]))
        logger.info("%s: %d of %d barcodes kept", part.sample, keep.sum(), len(keep))
    table = pd.concat(obs)
    for column in table.columns[table.dtypes.map(pd.api.types.is_string_dtype)]:
        table[column] = table[column].astype("category")
    return table, pd.DataFrame(ambient)


def _stored_values(part: Part) -> int:
    """Count the values that a sample's file stores, without reading them."""
    with h5py.File(part.counts) as store:
        return store["X/data"].shape[0]


def _with_genes(block: sparse.csr_matrix, own: pd.Index, genes: pd.Index) -> sparse.csr_matrix:
    """Move the columns of `block` to their places among `genes`; drop those not wanted."""
    target = genes.get_indexer(own)
    place = sparse.csr_matrix(
        (
            np.ones((target >= 0).sum(), dtype=np.float32),
            (np.flatnonzero(target >= 0), target[target >= 0]),
        ),
        shape=(len(own), len(genes)),
    )
    return as_counts(block @ place)


def _sample_obs(
    sample: str, sheet: pd.DataFrame, obs: pd.DataFrame, qc: pd.DataFrame
) -> pd.DataFrame:
    table = pd.DataFrame({"sample": sample, "barcode": obs.index.astype(str)})
    table.index = pd.Index(sample + ":" + table["barcode"], name=CELL_ID)
    for column, value in sheet.loc[sample].items():
        if column not in OF_THE_FILE:
            table[column] = value if isinstance(value, (bool, np.bool_)) else _text(value)
    table["label"] = obs["label"].map(_text).to_numpy() if "label" in obs else ""
    table[QC_COLUMNS] = qc[QC_COLUMNS].to_numpy()
    table["phase"] = qc["phase"].map(_text).to_numpy()
    table["qc_lineage"] = qc["lineage"].to_numpy()
    return table


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def _rows(counts: ad.abc.CSRDataset, rows: np.ndarray) -> sparse.csr_matrix:
    """Read rows from disk in contiguous runs, which is much quicker than one by one."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return sparse.vstack([sparse.csr_matrix(counts[run[0] : run[-1] + 1]) for run in runs]).tocsr()


def _finish(store: h5py.File, obs: pd.DataFrame, var: pd.DataFrame, varm: dict) -> None:
    """Complete the file to an AnnData on disk."""
    store.attrs["encoding-type"] = "anndata"
    store.attrs["encoding-version"] = "0.1.0"
    elements = {"obs": obs, "var": var, "varm": varm, "obsm": {}, "obsp": {}, "varp": {}}
    for name, value in {**elements, "layers": {}, "uns": {}}.items():
        write_elem(store, name, value)
