"""What are the counts of one sample, cell by cell and gene by official symbol?

Files are parsed once for all samples cut out of them (``parse_files``); each sample is then a
selection of cells (``select_sample``). Counts that are not counts are refused here, before any
stage computes with them.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.errors import InputError
from emhniche.formats import Source, read_counts, read_metadata
from emhniche.genes import ERCC, resolve_symbols, sum_by_symbol
from emhniche.io import as_counts
from emhniche.sheet import parse_select

logger = logging.getLogger(__name__)

SOURCE = "source_"
"""Prefix of the metadata columns that come from the files."""

ENSEMBL = re.compile(r"ENS[A-Z]*G\d{6,}")
LETTER = re.compile(r"[A-Za-z]")
MIN_SYMBOLS = 100
"""Symbols of three letters or more by which the species is told."""

MAX_SHOWN = 20
"""Values of a metadata column that a message lists."""


def parse_files(
    paths: Sequence[str | Path], *, file_format: str, aliases: Mapping[str, str], species: str
) -> ad.AnnData:
    """Read counts and metadata of one group of files.

    Parameters
    ----------
    paths
        The first holds the counts; the others hold metadata, joined by barcode (a bare R factor
        by order).
    file_format
        Format of the first file, or ``auto``.
    aliases
        Old gene name to official symbol.
    species
        ``mouse`` or ``human``: how official symbols are written.

    Returns
    -------
    anndata.AnnData
        All cells x unique official symbols. ``X``: counts, float32 CSR. ``obs``: ``source_*``
        metadata. ``var``: ``source_symbol`` and, when known, ``gene_id``. ``uns["ingest"]``:
        ``n_barcodes_in``, ``n_genes_in``, ``n_aliases_resolved``, ``n_ercc_dropped``,
        ``n_duplicate_symbols_summed``, ``n_joined_left`` and the table ``files``.

    Raises
    ------
    InputError
        When a file is broken, counts are not whole numbers from 0, a barcode stands twice, or
        metadata match no cell.
    """
    source = read_counts(paths[0], file_format)
    _check_barcodes(paths[0], source)
    _check_counts(paths[0], source)
    _check_symbols(paths[0], source.genes, species)
    cells = source.cells
    for path in paths[1:]:
        cells = _join(path, cells, read_metadata(path))
    counts, genes, figures = _resolve_genes(source, aliases, species)
    obs = pd.DataFrame(
        {SOURCE + str(name): _categories(cells[name]) for name in cells},
        index=pd.Index(source.barcodes.astype(str), name="barcode"),
    )
    files = [item for path in paths for item in _checksums(Path(path))]
    figures["n_barcodes_in"] = counts.shape[0]
    logger.info("%s: %d cells x %d genes; %s", paths[0], *counts.shape, figures)
    uns = {"ingest": figures | {"files": pd.DataFrame(files)}}
    return ad.AnnData(counts, obs=obs, var=genes, uns=uns)


def select_sample(parsed: ad.AnnData, *, sample: str, select: str, labels: str) -> ad.AnnData:
    """Cut the cells of one sample out of parsed files.

    Parameters
    ----------
    parsed
        What ``parse_files`` returned; may be backed by its file.
    sample
        Name of the sample, for messages.
    select
        Conditions on metadata columns, ``column == value`` or ``column != value``, several joined
        by ``;``, all of which hold. ``NA`` stands for a missing value. Empty: every cell.
    labels
        Metadata column with published cell types; empty when there is none.

    Returns
    -------
    anndata.AnnData
        The selected cells, all genes; ``obs["label"]`` holds the published type or NaN.

    Raises
    ------
    InputError
        When a column does not exist, a condition cannot be read, or no cell is left.
    """
    chosen = _matches(parsed.obs, sample, select)
    if not chosen.any():
        raise InputError(
            f"sample {sample}: select '{select}' keeps none of {len(chosen)} cells; "
            f"{_values_there(parsed.obs, select)}"
        )
    subset = parsed[chosen]
    subset = subset.to_memory() if parsed.isbacked else subset.copy()
    subset.X = as_counts(subset.X)
    subset.obs["label"] = (
        subset.obs[_column(subset.obs, sample, "labels", labels)].astype("category")
        if labels
        else pd.Categorical([None] * subset.n_obs, categories=pd.Index([], dtype=str))
    )
    subset.uns["ingest"]["n_barcodes_selected"] = subset.n_obs
    logger.info("%s: %d of %d cells selected", sample, subset.n_obs, len(chosen))
    return subset


def _check_barcodes(path: str | Path, source: Source) -> None:
    barcodes = pd.Index(source.barcodes)
    if barcodes.has_duplicates:
        name = barcodes[barcodes.duplicated()][0]
        raise InputError(
            f"{path}: barcode '{name}' stands twice; each cell needs a name of its own"
        )


def _check_counts(path: str | Path, source: Source) -> None:
    """Refuse values that are not whole numbers from 0, naming the first."""
    values = source.counts.data
    # NaN compares unequal to itself, so it is wrong here too; infinity is caught by isfinite.
    wrong = (values != np.floor(values)) | (values < 0) | ~np.isfinite(values)
    if not wrong.any():
        return
    first = int(np.argmax(wrong))
    cell = int(np.searchsorted(source.counts.indptr, first, side="right")) - 1
    gene = source.genes[source.counts.indices[first]]
    raise InputError(
        f"{path}: cell '{source.barcodes[cell]}', gene '{gene}': {values[first]:g} is not a count; "
        "give raw counts, not normalised values"
    )


def _check_symbols(path: str | Path, genes: np.ndarray, species: str) -> None:
    """Refuse Ensembl ids, and symbols written as those of the other species are."""
    if sum(bool(ENSEMBL.match(name)) for name in genes) > len(genes) / 2:
        raise InputError(
            f"{path}: genes are Ensembl ids (first '{genes[0]}'); give gene symbols, by which the "
            "panel and the signatures name genes"
        )
    written = [name for name in genes if len(LETTER.findall(name)) >= 3]
    upper = sum(name == name.upper() for name in written)
    human = upper > len(written) / 2
    if len(written) >= MIN_SYMBOLS and human != (species == "human"):
        raise InputError(
            f"{path}: {upper} of {len(written)} gene symbols are in capitals, as human ones are; "
            f"the sample sheet says {species}; correct `species` or `file`"
        )


def _join(
    path: str | Path, cells: pd.DataFrame, metadata: pd.DataFrame | pd.Series
) -> pd.DataFrame:
    """Add metadata to cells by barcode; a bare factor by order. Cells without a match get NaN."""
    if isinstance(metadata, pd.Series):
        if len(metadata) != len(cells):
            raise InputError(
                f"{path}: {len(metadata)} values without barcodes for {len(cells)} cells; give a "
                "table keyed by barcode"
            )
        return cells.assign(**{str(metadata.name): metadata.to_numpy()})
    if metadata.index.has_duplicates:
        name = metadata.index[metadata.index.duplicated()][0]
        raise InputError(f"{path}: barcode '{name}' stands twice; keep one row a cell")
    n_matched = int(cells.index.isin(metadata.index).sum())
    if n_matched == 0:
        raise InputError(
            f"{path}: none of {len(metadata)} barcodes (first '{metadata.index[0]}') is in the "
            f"counts (first '{cells.index[0]}'); write them alike"
        )
    logger.info("%s: metadata of %d of %d cells", path, n_matched, len(cells))
    return pd.concat(
        [cells.drop(columns=metadata.columns, errors="ignore"), metadata.reindex(cells.index)],
        axis=1,
    )


def _resolve_genes(
    source: Source, aliases: Mapping[str, str], species: str
) -> tuple[sparse.csr_matrix, pd.DataFrame, dict[str, int]]:
    """Drop spike-ins, name genes by official symbol and add up what has the same."""
    kept = np.array([ERCC.fullmatch(name) is None for name in source.genes])
    table = resolve_symbols(source.genes[kept], aliases, species=species)
    matrix = source.counts[:, np.flatnonzero(kept)] if not kept.all() else source.counts
    counts, symbols, codes = sum_by_symbol(as_counts(matrix), table["symbol"])
    by_column = table["source_symbol"].groupby(codes)
    genes = pd.DataFrame(
        {"source_symbol": by_column.agg(";".join)}, index=pd.Index(symbols, name="symbol")
    )
    genes["source_symbol"] = by_column.agg(";".join).to_numpy()
    if source.gene_ids is not None:
        genes["gene_id"] = pd.Series(source.gene_ids[kept]).groupby(codes).first().to_numpy()
    left = table.loc[table["rule"] == "joined_left", "source_symbol"]
    if len(left):
        logger.info("%d joined names left as they are: %s", len(left), ", ".join(left))
    figures = {
        "n_genes_in": len(kept),
        "n_ercc_dropped": int((~kept).sum()),
        "n_aliases_resolved": int(table["rule"].isin(["alias", "joined"]).sum()),
        "n_joined_left": len(left),
        "n_duplicate_symbols_summed": len(table) - len(genes),
    }
    return as_counts(counts), genes, figures


def _matches(obs: pd.DataFrame, sample: str, select: str) -> np.ndarray:
    """Return which cells meet every condition of `select`."""
    chosen = np.ones(len(obs), dtype=bool)
    for name, operator, value in parse_select(select):
        column = _column(obs, sample, "select", name)
        same = _normalised(obs[column]) == _normal(value)
        chosen &= same if operator == "==" else ~same
    return chosen


def _column(obs: pd.DataFrame, sample: str, key: str, name: str) -> str:
    """Return the column of `obs` for a source column."""
    if SOURCE + name not in obs:
        there = ", ".join(column.removeprefix(SOURCE) for column in obs) or "none"
        raise InputError(
            f"sample {sample}: {key}: the files have no metadata column '{name}'; "
            f"there are: {there}"
        )
    return SOURCE + name


def _values_there(obs: pd.DataFrame, select: str) -> str:
    """Say which values the selected columns have."""
    said = []
    for name in dict.fromkeys(name for name, _, _ in parse_select(select)):
        values = sorted(set(_normalised(obs[SOURCE + name])))
        shown = ", ".join(values[:MAX_SHOWN]) + (", ..." if len(values) > MAX_SHOWN else "")
        said.append(f"'{name}' has {shown}")
    return "; ".join(said)


def _normalised(values: pd.Series) -> np.ndarray:
    return np.array([_normal(value) for value in values.astype(object)], dtype=object)


def _normal(value: object) -> str:
    """Write a value for comparing: numbers alike (1.0 is 1), missing as NA."""
    if pd.isna(value):
        return "NA"
    text = str(value).strip()
    try:
        return f"{float(text):.15g}"
    except ValueError:
        return text


def _categories(values: pd.Series) -> pd.Categorical:
    """Return metadata as text categories, missing values kept."""
    text = [None if pd.isna(value) else str(value) for value in values]
    return pd.Categorical(text)


def _checksums(path: Path) -> list[dict[str, str]]:
    """Return name and sha256 of a file, or of every file of a folder."""
    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    items = []
    for item in files:
        with item.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        items.append({"file": item.name, "sha256": digest})
    return items
