"""Which barcodes of a file are droplets that hold no cell, and where is their profile kept?"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import read_table, write_table

EMPTY_BELOW = 100
"""Barcodes of fewer counts are droplets without a cell, where a file holds them (as SoupX has it,
Young & Behjati 2020, doi 10.1093/gigascience/giaa151; the number from memory)."""

MIN_EMPTY = 1000
"""A file holds droplets without a cell when it has this many, and they are most of its barcodes."""


def empty_droplets(counts: sparse.csr_matrix) -> np.ndarray:
    """Tell which barcodes are droplets without a cell.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.

    Returns
    -------
    numpy.ndarray
        One bool a barcode; none where the file holds called cells, i.e. fewer than
        :data:`MIN_EMPTY` barcodes with counts below :data:`EMPTY_BELOW`, or not most of those with
        a count.
    """
    depth = np.asarray(counts.sum(axis=1)).ravel()
    empty = (depth > 0) & (depth < EMPTY_BELOW)
    known = empty.sum() >= MIN_EMPTY and empty.sum() > 0.5 * (depth > 0).sum()
    return empty if known else np.zeros(len(depth), dtype=bool)


def write_profile(profile: pd.Series | None, path: str | Path) -> None:
    """Write what the soup is made of: ``gene`` and ``share``; no row where it is not known."""
    profile = pd.Series(dtype=float) if profile is None else profile
    write_table(profile.rename_axis("gene").reset_index(name="share"), path)


def read_profile(path: str | Path) -> pd.Series:
    """Read what the soup is made of: the share of each gene, indexed by gene."""
    return read_table(path).set_index("gene")["share"]
