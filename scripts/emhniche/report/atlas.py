"""How do counts and all per-cell tables become one file that other tools open?

``atlas.h5ad`` is a copy of ``cells.h5ad`` with the tables' columns written into it. The matrix is
copied as bytes on disk and never loaded, so memory follows the number of cells, not of counts.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem, write_elem

from emhniche.io import CELL_ID, atomic_path, read_table
from emhniche.report.cellxgene import cellxgene_fields


def build_atlas(
    cells: Path,
    output: Path,
    *,
    clusters: Path,
    umap: Path,
    annotation: Path,
    scores: Path,
    calls: Path,
    latents: Mapping[str, Path],
    title: str,
    published: set[str],
) -> None:
    """Write ``atlas.h5ad``.

    Parameters
    ----------
    cells
        ``cells.h5ad``: raw counts with sample-sheet and quality columns.
    output
        Where the atlas goes.
    clusters, umap, annotation, scores, calls
        The tables of the stages, keyed by ``cell_id``.
    latents
        Method -> its ``latent.parquet``; becomes ``obsm["X_<method>"]``.
    title
        Title of the dataset.
    published
        Datasets that come from the registry of public files; their cells are not primary data.

    Raises
    ------
    ValueError
        When a table does not hold exactly the cells of `cells`.
    """
    with atomic_path(output) as temporary:
        shutil.copyfile(cells, temporary)
        with h5py.File(temporary, "r+") as file:
            obs = read_elem(file["obs"])
            obs = join_columns(
                obs,
                clusters=read_table(clusters),
                annotation=read_table(annotation),
                scores=read_table(scores),
                calls=read_table(calls),
            )
            fields, dataset_fields, missing = cellxgene_fields(obs, published=published)
            # a sheet column that bears a field's name has been taken over into the field
            obs = obs.drop(columns=fields.columns, errors="ignore").join(fields)
            write_elem(file, "obs", plain_frame(obs))
            write_elem(file, "var", plain_frame(read_elem(file["var"])))
            for name in file["varm"]:
                write_elem(file["varm"], name, plain_frame(read_elem(file["varm"][name])))
            for name, path in {**latents, "umap": umap}.items():
                write_elem(file["obsm"], f"X_{name}", _matrix(read_table(path), obs.index))
            for key, value in {"title": title, **dataset_fields}.items():
                write_elem(file["uns"], key, value)
            write_elem(file["uns"], "cellxgene_missing", np.array(missing, dtype=object))


def join_columns(
    obs: pd.DataFrame,
    *,
    clusters: pd.DataFrame,
    annotation: pd.DataFrame,
    scores: pd.DataFrame,
    calls: pd.DataFrame,
) -> pd.DataFrame:
    """Add cluster, annotation, scores and myeloid columns to the cells.

    Parameters
    ----------
    obs
        Cells, indexed by cell_id.
    clusters, annotation, scores
        One row a cell.
    calls
        One row a myeloid cell and signature.

    Returns
    -------
    pandas.DataFrame
        `obs` with ``cluster``, ``lineage``, ``cell_type``, ``confidence``, ``score_<set>``,
        ``maturation``, ``residual_<signature>`` and ``pathological`` (``yes``, ``no``,
        ``no_call``). What was not measured is NaN.
    """
    plain = scores[[column for column in scores.columns if not column.endswith("__z")]]
    plain = plain.rename(
        columns=lambda column: column if column == CELL_ID else f"score_{_key(column)}"
    )
    joined = obs.copy()
    for table in (clusters, annotation, plain):
        columns = _aligned(table, obs.index)
        joined = joined.drop(columns=columns.columns, errors="ignore").join(columns)
    joined = joined.join(myeloid_columns(calls, obs.index))
    text = [
        c
        for c in joined
        if joined[c].dtype == object or isinstance(joined[c].dtype, pd.StringDtype)
    ]
    return joined.astype(dict.fromkeys(text, "category"))


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Hold text as plain strings, so that every reader of h5ad can open the file.

    pandas 3 holds text in a nullable type, which anndata writes as ``nullable-string-array``. Older
    anndata and the readers of R know ``string-array`` only.

    Parameters
    ----------
    frame
        Annotation of cells or genes.

    Returns
    -------
    pandas.DataFrame
        The same, with index, column names and text columns of dtype object.
    """
    frame = frame.set_axis(frame.index.astype(object)).set_axis(
        frame.columns.astype(object), axis=1
    )
    text = [column for column in frame if isinstance(frame[column].dtype, pd.StringDtype)]
    return frame.astype(dict.fromkeys(text, object))


def myeloid_columns(calls: pd.DataFrame, cells: pd.Index) -> pd.DataFrame:
    """Return the myeloid columns of every cell; cells outside the gates have NaN and no call.

    Parameters
    ----------
    calls
        ``myeloid/calls.parquet``: one row a myeloid cell and signature.
    cells
        Ids of the cells wanted, in order.

    Returns
    -------
    pandas.DataFrame
        ``maturation``, ``residual_<signature>`` and ``pathological`` (``yes``, ``no``,
        ``no_call``).
    """
    columns = pd.DataFrame(index=cells)
    by_cell = calls.groupby(CELL_ID, sort=False)
    columns["maturation"] = by_cell["maturation"].first().reindex(cells).astype("float32")
    for signature, part in calls.groupby("signature", sort=True):
        residual = part.set_index(CELL_ID)["residual"].groupby(level=0).first()
        columns[f"residual_{_key(signature)}"] = residual.reindex(cells).astype("float32")
    called = calls.dropna(subset=["pathological"])
    hit = called.groupby(CELL_ID)["pathological"].any().reindex(cells)
    words = hit.astype(object).map({True: "yes", False: "no"}).fillna("no_call")
    columns["pathological"] = pd.Categorical(words, categories=["yes", "no", "no_call"])
    return columns


def _aligned(table: pd.DataFrame, cells: pd.Index) -> pd.DataFrame:
    """Return a per-cell table in the order of `cells`."""
    table = table.set_index(CELL_ID)
    if len(table) != len(cells) or not table.index.isin(cells).all():
        raise ValueError(
            f"a table holds {len(table)} cells that are not the {len(cells)} of cells.h5ad: "
            f"columns {list(table.columns)[:4]}"
        )
    return table.reindex(cells)


def _matrix(table: pd.DataFrame, cells: pd.Index) -> np.ndarray:
    return _aligned(table, cells).to_numpy(dtype=np.float32)


def _key(name: object) -> str:
    """Make a name usable as a key of an HDF5 file."""
    return str(name).replace("/", "_")
