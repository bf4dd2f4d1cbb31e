"""Was a library entered twice, whole or in part?

Barcodes alone cannot tell: libraries of one kit draw them from one list, and many files number
their cells. Counts can. The same cell in two samples has the same counts in every gene, and where a
library was quantified again, with another reference say, its barcodes are the same and each is
more like its namesake than like any other.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import read_h5ad, read_table

MIN_GENES = 50
"""Genes with a count below which two cells may have equal counts by chance."""

MIN_SAME = 10
"""Cells of two samples that must be the same for the samples to share cells at all."""

DUPLICATE_SHARE = 0.1
"""Share of the smaller sample's cells above which the later sample is a duplicate."""

MIN_SHARED_BARCODES = 50
"""Shared barcodes below which profiles are not compared barcode by barcode."""

MIN_BARCODE_SHARE = 0.2
"""Share of the smaller sample's barcodes that must be shared: of a list of 737,000 barcodes two
libraries of 10,000 cells share 1 % by chance."""

N_COMPARED = 200
"""Shared barcodes whose profiles are compared, at most."""

NAMESAKES = 0.5
"""Share of them that must be most alike to their namesake; by chance it is 1 in 200."""


@dataclass(frozen=True)
class Library:
    """Files of one sample: its counts and its ``qc.parquet``."""

    counts: Path
    qc: Path


def fingerprints(counts: ad.AnnData) -> np.ndarray:
    """Return a digest of each barcode's counts, equal where genes and counts are.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.

    Returns
    -------
    numpy.ndarray
        16 hexadecimal digits a barcode, the same for any order and number of genes without a
        count; None for barcodes with counts of fewer than :data:`MIN_GENES` genes.
    """
    matrix = sparse.csr_matrix(counts.X)
    genes = np.array(
        [
            int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
            for name in counts.var_names
        ],
        dtype=np.uint64,
    )
    found = np.full(matrix.shape[0], None, dtype=object)
    rows = np.flatnonzero(matrix.getnnz(axis=1) >= MIN_GENES)
    for start in range(0, len(rows), 10_000):
        part = matrix[rows[start : start + 10_000]]
        part.eliminate_zeros()
        each = _mixed(genes[part.indices] ^ _mixed(part.data.astype(np.uint64)))
        sums = np.add.reduceat(each, part.indptr[:-1])
        found[rows[start : start + 10_000]] = [f"{value:016x}" for value in sums]
    return found


def find_duplicates(libraries: Mapping[str, Library]) -> pd.DataFrame:
    """Find pairs of samples that hold the same cells.

    Only the digests and barcodes are held in memory; counts are read for the few pairs that share
    more barcodes than chance would have it.

    Parameters
    ----------
    libraries
        Sample -> its files, in the order of the sample sheet.

    Returns
    -------
    pandas.DataFrame
        One row a pair that shares cells: ``sample`` (the smaller one, of equals the later;
        largest first), ``other``, ``n_same`` (cells
        with equal counts), ``n_barcodes`` (shared barcodes), ``n_smaller`` (cells of the smaller
        one), ``namesakes`` (share of the compared barcodes that are most alike to their namesake;
        NaN where not compared) and ``level`` (``fail`` or ``warn``).
    """
    cells = {}
    for sample, library in libraries.items():
        table = read_table(library.qc)[["barcode", "fingerprint"]]
        cells[sample] = table.dropna(subset="fingerprint")
    rows = []
    by_size = sorted(libraries, key=lambda name: -len(cells[name]))
    for other, sample in itertools.combinations(by_size, 2):
        first, second = cells[other], cells[sample]
        same = len(np.intersect1d(first["fingerprint"], second["fingerprint"]))
        shared = np.intersect1d(first["barcode"].astype(str), second["barcode"].astype(str))
        smaller = min(len(first), len(second))
        alike = np.nan
        enough = max(MIN_SHARED_BARCODES, MIN_BARCODE_SHARE * smaller)
        if same < DUPLICATE_SHARE * smaller and len(shared) >= enough:
            alike = _namesakes(libraries[other], libraries[sample], shared)
        if same < MIN_SAME and not alike >= NAMESAKES:
            continue
        twice = same >= DUPLICATE_SHARE * smaller or alike >= NAMESAKES
        level = "fail" if twice else "warn"
        rows.append((sample, other, same, len(shared), smaller, alike, level))
    columns = ["sample", "other", "n_same", "n_barcodes", "n_smaller", "namesakes", "level"]
    places = {sample: place for place, sample in enumerate(by_size)}
    rows.sort(key=lambda row: (places[row[0]], places[row[1]]))
    return pd.DataFrame(rows, columns=columns)


def tell_duplicate(row: pd.Series) -> str:
    """Say in words what a row of :func:`find_duplicates` found."""
    what = "duplicate of" if row["level"] == "fail" else "shares cells with"
    evidence = []
    if row["n_same"] >= MIN_SAME:
        evidence.append(
            f"{row['n_same']:,} of {row['n_smaller']:,} cells have the same counts in every gene"
        )
    if row["namesakes"] >= NAMESAKES:
        evidence.append(
            f"{row['n_barcodes']:,} shared barcodes, {100 * row['namesakes']:.0f} % of them most "
            "alike to their namesake"
        )
    return f"{what} {row['other']}: {'; '.join(evidence)}"


def _namesakes(first: Library, second: Library, shared: Sequence[str]) -> float:
    """Return the share of shared barcodes whose profile is most alike to its namesake's."""
    step = max(1, len(shared) // N_COMPARED)
    names = list(shared)[::step][:N_COMPARED]
    one, other = read_h5ad(first.counts), read_h5ad(second.counts)
    genes = one.var_names.intersection(other.var_names)
    if len(genes) < MIN_GENES:
        return float("nan")
    left, right = (_unit_rows(part[names, genes].X) for part in (one, other))
    best = (left @ right.T).toarray().argmax(axis=1)
    return float((best == np.arange(len(names))).mean())


def _unit_rows(matrix: sparse.spmatrix) -> sparse.csr_matrix:
    """Return square roots of counts, scaled to length 1 a row."""
    root = sparse.csr_matrix(matrix, dtype=float).sqrt()
    length = np.sqrt(np.asarray(root.multiply(root).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(length, 1e-9)) @ root)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spread 64-bit numbers evenly (the finaliser of splitmix64; Steele 2014, from memory)."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))
