"""What are the cells of a new sample, beside those of a finished run?

The run's scVI model places the new cells in its latent space, where each takes the name of its
nearest named cells, unless it lies farther from them than cells of the run's own libraries do
(:mod:`emhniche.transfer`). The encoder is told no batch, so a library that it never saw is placed
like any other, and there is nothing to train: the surgery of scArches (Lotfollahi 2022, doi
10.1038/s41587-021-01001-7) adds batches to a decoder that no place depends on.
"""

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche import io
from emhniche.errors import InputError
from emhniche.integrate import latent_table
from emhniche.transfer import learn, transfer

MODEL, LATENT = "integration/scvi/model", "integration/scvi/latent.parquet"
ANNOTATION = "annotate/annotation.parquet"

MIN_GENES = 0.8
"""Share of the model's genes that a query must list."""

MIN_COUNTS = 200
"""Counts on the model's genes below which a barcode is not placed; ours."""

OUTSIDE = "not_in_reference"
"""Name of a cell that lies too far from all named ones."""

COLUMNS = ["lineage", "cell_type", "confidence", "distance", "limit", "in_reference", "nearest"]

logger = logging.getLogger(__name__)


def map_cells(folder: Path, query: ad.AnnData, *, name: str) -> tuple[pd.DataFrame, dict]:
    """Place the cells of a query among those of a finished run and name them.

    Parameters
    ----------
    folder
        Results of the run, with the model in ``integration/scvi/model``.
    query
        Cells x official gene symbols, raw counts.
    name
        Of the query, for messages.

    Returns
    -------
    cells : pandas.DataFrame
        One row a barcode that could be placed: ``cell_id``, ``lineage`` and ``cell_type`` (of the
        nearest named cells, or :data:`OUTSIDE`), ``confidence`` (share of those that agree on the
        cell type), ``distance`` (mean, to them), ``limit``, ``in_reference``, ``nearest`` (cell
        type they have, also where the cell is too far) and the latent dimensions.
    figures : dict
        ``barcodes``, ``placed``, ``outside`` (cells), ``genes`` and ``genes_missing`` (of the
        model) and ``libraries`` (of the run).

    Raises
    ------
    InputError
        When the run holds no model, or one of other cells or genes than it has now; when the query
        holds too few of its genes or no cell with enough counts.
    """
    latent, annotation, libraries, genes = _reference(folder)
    counts, missing = _aligned(query, genes, name)
    enough = np.asarray(counts.sum(axis=1)).ravel() >= MIN_COUNTS
    if not enough.any():
        raise InputError(
            f"{name}: no barcode has {MIN_COUNTS} counts on the {len(genes)} genes of the model; "
            "give raw counts of cells, not of empty droplets"
        )
    points = encode(folder / MODEL, counts[enough], genes)
    cells = _name(latent.to_numpy(), annotation, libraries, points)
    table = latent_table(points, query.obs_names[enough])
    table = pd.concat([table[[io.CELL_ID]], cells, table.drop(columns=io.CELL_ID)], axis=1)
    figures = {
        "barcodes": query.n_obs,
        "placed": len(table),
        "outside": int((~table["in_reference"]).sum()),
        "genes": len(genes),
        "genes_missing": missing,
        "libraries": len(np.unique(libraries)),
    }
    logger.info("%s: %s", name, figures)
    return table, figures


def encode(model: Path, counts: sparse.csr_matrix, genes: pd.Index) -> np.ndarray:
    """Place cells in the latent space of a saved model.

    Parameters
    ----------
    model
        Folder of the model.
    counts
        Cells x the genes of the model, raw counts.
    genes
        Their names, in the model's order.

    Returns
    -------
    numpy.ndarray
        Cells x dimensions: the mean of the posterior.

    Raises
    ------
    InputError
        When the model is of other genes, or its encoder is told the batch, so that an unknown
        library has no place.
    """
    import scvi
    import torch
    from scvi.model.base import BaseModelClass

    from emhniche.sparse_likelihood import SCVI

    torch.set_num_threads(1)
    scvi.settings.verbosity = logging.WARNING
    registry = BaseModelClass.load_registry(str(model))
    batches = registry["field_registries"]["batch"]["state_registry"]["categorical_mapping"]
    cells = ad.AnnData(counts.astype(np.float32), var=pd.DataFrame(index=genes))
    # the encoder does not see it; the model's set-up wants one that it knows
    cells.obs["_batch"] = str(batches[0])
    # the same file, read in the same way, as by the next line
    known = torch.load(model / "model.pt", map_location="cpu", weights_only=False)["var_names"]
    if list(known) != list(genes):
        raise _stale(f"{model}: a model of {len(known)} genes that are not those of cells.h5ad")
    trained = SCVI.load(str(model), adata=cells, accelerator="cpu")
    if trained.module.encode_covariates:
        raise InputError(f"{model}: the encoder of this model knows its own batches only")
    return trained.get_latent_representation()


def _reference(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, pd.Index]:
    """Return places, names and library of the run's cells, and the genes of its model."""
    if not (folder / MODEL / "model.pt").is_file():
        raise InputError(
            f"{folder / MODEL}: no model; mapping needs a finished run with scvi among "
            "integrate.methods"
        )
    cells = ad.read_h5ad(folder / "cells.h5ad", backed="r")
    try:
        library = cells.obs["sample"].astype(str)
        genes = cells.var_names[cells.var["highly_variable"]]
    finally:
        cells.file.close()
    latent = io.read_table(folder / LATENT).set_index(io.CELL_ID)
    annotation = io.read_table(folder / ANNOTATION).set_index(io.CELL_ID)
    for name, table in ((LATENT, latent), (ANNOTATION, annotation)):
        if not table.index.sort_values().equals(library.index.sort_values()):
            raise _stale(f"{folder / name}: {len(table)} cells that are not those of cells.h5ad")
    return latent, annotation.loc[latent.index], library.loc[latent.index].to_numpy(), genes


def _stale(what: str) -> InputError:
    """Say that the results of a run do not belong together."""
    return InputError(
        f"{what}; the settings or samples changed after it was made: run the pipeline again with "
        "this configuration (rules integrate and annotate) and then map"
    )


def _aligned(query: ad.AnnData, genes: pd.Index, name: str) -> tuple[sparse.csr_matrix, int]:
    """Return the query's counts of the model's genes, 0 where it lists none, and how many."""
    place = query.var_names.get_indexer(genes)
    there = place >= 0
    if there.mean() < MIN_GENES:
        raise InputError(
            f"{name}: lists {there.sum()} of the {len(genes)} genes of the model, and "
            f"{MIN_GENES:.0%} are needed; give all genes, of the run's species"
        )
    rows = sparse.csc_matrix(
        (np.ones(there.sum(), dtype=np.float32), (place[there], np.flatnonzero(there))),
        shape=(query.n_vars, len(genes)),
    )
    return sparse.csr_matrix(query.X) @ rows, int((~there).sum())


def _name(
    reference: np.ndarray, annotation: pd.DataFrame, libraries: np.ndarray, points: np.ndarray
) -> pd.DataFrame:
    """Return the columns of :data:`COLUMNS` for each cell of a query."""
    both = annotation["lineage"].astype(str) + "|" + annotation["cell_type"].astype(str)
    found = transfer(learn(reference, both.to_numpy(), libraries), points)
    parts = found["label"].str.split("|", n=1, expand=True)
    found = found.assign(nearest=parts[1], confidence=found["share"])
    found["lineage"] = parts[0].where(found["in_reference"], OUTSIDE)
    found["cell_type"] = parts[1].where(found["in_reference"], OUTSIDE)
    return found[COLUMNS]


def compositions(cells: pd.DataFrame, run: pd.DataFrame) -> pd.DataFrame:
    """Compare how frequent each cell type is in a query and in the run.

    Parameters
    ----------
    cells
        Result of :func:`map_cells`.
    run
        Annotation of the run.

    Returns
    -------
    pandas.DataFrame
        ``lineage``, ``cell_type``, ``n_cells`` and ``share`` of the query, ``confidence`` (median)
        and ``share_run``, largest first. It is a description: libraries differ in how they were
        made, so no test is given.
    """
    keys = ["lineage", "cell_type"]
    own = cells.groupby(keys).agg(
        n_cells=("confidence", "size"), confidence=("confidence", "median")
    )
    own["share"] = own["n_cells"] / len(cells)
    own["share_run"] = run.groupby(keys).size() / len(run)
    table = own.reset_index().sort_values(["n_cells", "cell_type"], ascending=[False, True])
    return table[[*keys, "n_cells", "share", "confidence", "share_run"]].reset_index(drop=True)
