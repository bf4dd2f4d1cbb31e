"""What does the interactive map of cells need, in as few bytes as possible?

A browser draws some hundred thousand dots on a canvas by itself, so no plotting library is shipped.
Each column is one byte a cell (a category's number, or a value in 255 steps), compressed and
written as text: 11,000 cells with 150 columns take about 1 MB. ``templates/umap.js`` unpacks a
column when a reader asks for it. The code 255 means "not measured" and is never drawn as zero. A
larger run is drawn in squares (:mod:`.binned`), which takes as much whatever the number of cells.
"""

import base64
import gzip
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
from emhniche.report import figures, words
from emhniche.report.binned import NOT_GIVEN, SIDE, Bins, bin_cells, composition, means
from emhniche.report.tables import RunTables

NOT_MEASURED = NOT_GIVEN
MAX_CATEGORIES = 250
OTHERS = "others"
"""Name of all categories beyond the most frequent ones that a column has colours for."""

MAX_CELLS = 100_000
"""Cells that are drawn one by one; of a larger run the map is divided into squares."""

SHEET_COLUMNS = ("sample", "dataset", "tissue", "niche", "condition", "donor", "arm", "enrichment")
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
        bytes), and ``names``, ``colours`` or ``low``, ``high``, ``missing``. Of squares, a
        category's ``data`` are those of :func:`.binned.composition`, each packed.
    """
    umap = run["umap"].set_index(CELL_ID)
    frame = cell_frame(run)
    binned = len(frame) > MAX_CELLS
    if not binned:
        frame = frame.iloc[np.random.default_rng(seed).permutation(len(frame))]
    place = umap.reindex(frame.index)
    bins = bin_cells(place["umap_1"], place["umap_2"]) if binned else None
    expression = panel_expression(run.root / "cells.h5ad", genes).reindex(frame.index)
    quality = ["n_counts", "n_genes", "pct_mito", "doublet_score", "ambient"]
    return {
        "cells": len(frame),
        "side": SIDE if binned else 0,
        **(_packed_squares(bins) if binned else _packed_dots(place)),
        "ramp": [to_hex(colormaps["YlGnBu"](step)) for step in np.linspace(0.18, 1, 32)],
        "columns": [
            *_category_columns(frame, bins),
            *_value_columns("Quality", frame, quality, bins),
            *_score_columns(run, frame.index, bins),
            *_value_columns(
                "Panel genes (log1p counts per 10,000)", expression, list(expression.columns), bins
            ),
        ],
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


def pack(values: np.ndarray) -> str:
    """Compress an array and write it as text; equal arrays give equal text."""
    raw = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(gzip.compress(raw, compresslevel=9, mtime=0)).decode("ascii")


def unpack(text: str, dtype: type) -> np.ndarray:
    """Return what :func:`pack` packed."""
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype=dtype)


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


def _category_columns(frame: pd.DataFrame, bins: Bins | None) -> Iterator[dict]:
    groups = {
        "Cells": ["lineage", "cell_type", "cluster"],
        "Sample sheet": [column for column in SHEET_COLUMNS if column in frame],
        "Published labels (no stage used them)": ["label"] if "label" in frame else [],
    }
    for group, columns in groups.items():
        for column in columns:
            values = frame[column].astype(object).where(frame[column].notna(), "")
            counts = values[values != ""].astype(str).value_counts()
            if counts.empty or (group != "Cells" and len(counts) < 2):
                continue
            if len(counts) > MAX_CATEGORIES:
                rare = counts.index[MAX_CATEGORIES - 1 :]
                values = values.astype(str).where(~values.astype(str).isin(rare), OTHERS)
                counts = values[values != ""].value_counts()
            names = list(counts.index)
            names = sorted(names, key=int) if all(n.isdecimal() for n in names) else sorted(names)
            codes = pd.Index(names).get_indexer(values.astype(str))
            codes = np.where(codes < 0, NOT_MEASURED, codes).astype(np.uint8)
            palette = figures.colours(names)
            yield {
                "group": group,
                "name": words.name(column),
                "kind": "category",
                "names": [words.name(name) if column != "sample" else name for name in names],
                "colours": [palette[name] for name in names],
                "data": pack(codes)
                if bins is None
                else {key: pack(part) for key, part in composition(bins, codes).items()},
            }


def _score_columns(run: RunTables, cells: pd.Index, bins: Bins | None) -> Iterator[dict]:
    scores = run["scores"].set_index(CELL_ID).reindex(cells)
    kinds = run["null"].drop_duplicates("set").set_index("set")["kind"]
    shown = [column for column in scores.columns if not column.endswith("__z")]
    for kind, group in (("axis", "Panel axes (score)"), ("signature", "Signatures (score)")):
        yield from _value_columns(group, scores, [c for c in shown if kinds.get(c) == kind], bins)


def _value_columns(
    group: str, frame: pd.DataFrame, columns: Sequence[str], bins: Bins | None
) -> Iterator[dict]:
    for column in columns:
        if column not in frame or not frame[column].notna().any():
            continue
        values = frame[column].to_numpy(dtype=float)
        missing = int((~np.isfinite(values)).sum())
        values = values if bins is None else means(bins, values)
        known = np.isfinite(values)
        low, high = float(values[known].min()), float(np.quantile(values[known], 0.995))
        high = high if high > low else float(values[known].max())
        share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
        codes = np.full(len(values), NOT_MEASURED, dtype=np.uint8)
        codes[known] = np.round(share[known] * (NOT_MEASURED - 1)).astype(np.uint8)
        yield {
            "group": group,
            "name": words.name(column),
            "kind": "value",
            "low": float(f"{low:.4g}"),
            "high": float(f"{high:.4g}"),
            "missing": missing,
            "data": pack(codes),
        }
