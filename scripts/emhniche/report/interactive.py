"""What does the interactive map of cells need, in as few bytes as possible?

A browser draws some hundred thousand dots on a canvas by itself, so no plotting library is shipped.
Each column is compressed and written as text (:mod:`.packed`), and ``templates/map_data.js``
unpacks it when a reader asks for it; :mod:`.map_columns` says which there are. A larger run is
drawn in squares (:mod:`.binned`), which takes as much whatever the number of cells.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from matplotlib import colormaps
from matplotlib.colors import to_hex
from scipy import sparse

from emhniche.io import CELL_ID
from emhniche.report.binned import SIDE, Bins, bin_cells
from emhniche.report.map_columns import map_columns
from emhniche.report.packed import pack
from emhniche.report.tables import RunTables

MAX_CELLS = 100_000
"""Cells that are drawn one by one; of a larger run the map is divided into squares."""

CHUNK = 20_000
"""Cells of ``cells.h5ad`` read at a time."""


def map_data(run: RunTables, genes: Sequence[str], *, seed: int) -> dict:
    """Pack the map of cells for the page.

    Parameters
    ----------
    run
        Tables of the run.
    genes
        Panel genes to offer as colours; those not in the matrix are left out.
    seed
        Seed of the drawing order of single cells.

    Returns
    -------
    dict
        ``cells`` (their number), ``side`` (squares along a side; 0 where cells are drawn one by
        one), ``x``, ``y`` (packed 16-bit integers, or 8-bit for squares), ``sizes`` (cells of each
        square, packed 32-bit; only of squares), ``ramp`` (colours of a value from low to high) and
        ``columns``: ``group``, ``name``, ``kind`` (``category`` or ``value``), ``data`` (packed
        bytes), and ``names``, ``colours``, ``places`` or ``low``, ``high``, ``missing``, ``zeros``,
        ``unit``; what follows from the sample has ``by`` and ``of_sample`` for ``data``
        (:mod:`.packed`, :mod:`.map_columns`).
    """
    umap = run["umap"].set_index(CELL_ID)
    frame = cell_frame(run)
    binned = len(frame) > MAX_CELLS
    if not binned:
        frame = frame.iloc[np.random.default_rng(seed).permutation(len(frame))]
    place = umap.reindex(frame.index)
    bins = bin_cells(place["umap_1"], place["umap_2"]) if binned else None
    expression = panel_expression(run.root / "cells.h5ad", genes).reindex(frame.index)
    return {
        "cells": len(frame),
        "side": SIDE if binned else 0,
        **(_packed_squares(bins) if binned else _packed_dots(place)),
        "ramp": [to_hex(colormaps["YlGnBu"](step)) for step in np.linspace(0.3, 1, 32)],
        "columns": map_columns(run, frame, expression, bins),
    }


def cell_frame(run: RunTables) -> pd.DataFrame:
    """Join what is known of each cell: sheet and quality columns, cluster, lineage, cell type.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    pandas.DataFrame
        One row a cell of the UMAP, in its order, indexed by cell_id.
    """
    frame = run["umap"][[CELL_ID]].merge(run["clusters"], on=CELL_ID, how="left")
    frame = frame.merge(run["annotation"], on=CELL_ID, how="left").set_index(CELL_ID)
    return frame.join(run.cells.drop(columns=frame.columns, errors="ignore"))


def panel_expression(path: Path, genes: Sequence[str]) -> pd.DataFrame:
    """Read a few genes of ``cells.h5ad`` without loading its matrix.

    Parameters
    ----------
    path
        ``cells.h5ad``: raw counts, CSR.
    genes
        Wanted gene symbols.

    Returns
    -------
    pandas.DataFrame
        Cells x genes found, log1p of counts per 10,000; NaN where the cell's dataset did not
        measure the gene.
    """
    with h5py.File(path, "r") as file:
        obs, var = read_elem(file["obs"]), read_elem(file["var"])
        found = [gene for gene in dict.fromkeys(genes) if gene in var.index]
        where = var.index.get_indexer(found)
        values = np.empty((len(obs), len(found)), dtype=np.float32)
        for start, rows in _row_chunks(file["X"], len(obs), len(var)):
            totals = np.maximum(np.asarray(rows.sum(axis=1)).ravel(), 1)
            part = rows[:, where].toarray()
            values[start : start + rows.shape[0]] = np.log1p(part * (1e4 / totals)[:, None])
        table = pd.DataFrame(values, index=obs.index, columns=found)
        if "measured" in file["varm"]:
            measured = read_elem(file["varm/measured"]).reindex(found)
            for dataset in measured.columns:
                gone = measured.index[~measured[dataset].astype(bool)]
                table.loc[(obs["dataset"].astype(str) == dataset).to_numpy(), gone] = np.nan
    return table


def _row_chunks(
    group: h5py.Group, n_cells: int, n_genes: int
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    indptr = group["indptr"][:]
    for start in range(0, n_cells, CHUNK):
        stop = min(start + CHUNK, n_cells)
        span = slice(int(indptr[start]), int(indptr[stop]))
        rows = (group["data"][span], group["indices"][span], indptr[start : stop + 1] - span.start)
        yield start, sparse.csr_matrix(rows, shape=(stop - start, n_genes))


def _packed_dots(place: pd.DataFrame) -> dict[str, str]:
    return {
        "x": pack(_steps(place["umap_1"], np.uint16)),
        "y": pack(_steps(place["umap_2"], np.uint16)),
    }


def _packed_squares(bins: Bins) -> dict[str, str]:
    return {"x": pack(bins.column), "y": pack(bins.row), "sizes": pack(bins.sizes())}


def _steps(values: pd.Series, dtype: type) -> np.ndarray:
    """Scale coordinates to the full range of an integer type."""
    low, high = float(values.min()), float(values.max())
    share = (values.to_numpy(dtype=float) - low) / max(high - low, 1e-9)
    return np.round(share * np.iinfo(dtype).max).astype(dtype)
