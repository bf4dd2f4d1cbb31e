"""What does a CellTypist model say of the cells, beside the names that markers give?

Cells are scaled and scored as CellTypist does it. Its labels change no name: they have other words
and other errors, so where the two disagree is shown, and who is right is left open.
"""

import logging

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse, special

from emhniche.celltypist_model import Model
from emhniche.errors import InputError
from emhniche.io import CELL_ID
from emhniche.lineage import UNKNOWN, agreement, most_frequent, usual_lineages

MIN_PROBABILITY = 0.5
"""Probability that the best class needs; as CellTypist's own threshold."""

MIN_GENES = 0.5
"""Share of the model's genes that the run must have measured. Ours."""

TARGET, HIGHEST = 1e4, 10.0
"""Counts that a cell is scaled to, and the largest value of a gene in standard deviations; as in
CellTypist."""

ROWS_AT_ONCE = 2_000
"""Cells whose genes are dense together."""

logger = logging.getLogger(__name__)


def ask_model(
    cells: ad.AnnData, clusters: pd.Series, annotation: pd.DataFrame, model: Model
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let a model name the cells, and lay its labels beside the names that the run gave.

    Parameters
    ----------
    cells
        Cells x genes, raw counts; ``obs["dataset"]``, and ``varm["measured"]`` (genes x datasets):
        what a dataset does not measure says nothing, and is no zero.
    clusters
        Cluster of each cell, indexed by ``cell_id``.
    annotation
        ``cell_id``, ``lineage``, ``cell_type``.
    model
        The model.

    Returns
    -------
    opinion : pandas.DataFrame
        ``cell_id``, ``label`` (:data:`UNKNOWN` where no class reaches :data:`MIN_PROBABILITY`),
        ``best`` (the most probable class, also there), ``probability`` (its, 0-1, each class by
        itself), ``usual_lineage`` (the most frequent lineage of the cells with that label) and
        ``agrees`` (the cell's lineage is that one; empty where the label is unknown or the
        cell unresolved).
    table : pandas.DataFrame
        One row a cluster: ``cluster``, ``n_cells``, ``lineage`` and ``cell_type`` (most frequent),
        ``label`` and ``share`` (most frequent label and its share), ``second_label`` and
        ``second_share``, ``probability`` (median) and ``agree`` (share of the cells with a label).

    Raises
    ------
    InputError
        When a dataset has measured too few of the model's genes.
    """
    probability = _probabilities(cells, model)
    best, highest = probability.argmax(axis=1), probability.max(axis=1)
    names = annotation.set_index(CELL_ID).loc[cells.obs_names, ["lineage", "cell_type"]].astype(str)
    opinion = pd.DataFrame({CELL_ID: cells.obs_names.astype(str), "best": model.labels[best]})
    known = highest >= MIN_PROBABILITY
    opinion.insert(1, "label", opinion["best"].where(known, UNKNOWN))
    opinion["probability"] = highest
    lineage = names["lineage"].to_numpy()
    usual = usual_lineages(opinion["label"].to_numpy()[known], lineage[known])
    opinion["usual_lineage"] = opinion["label"].map(usual).fillna("").astype(str)
    opinion["agrees"] = agreement(lineage, opinion["usual_lineage"])
    logger.info("%d cells labelled, %d unknown", known.sum(), (~known).sum())
    own = opinion.assign(
        cluster=clusters.astype(str).loc[cells.obs_names].to_numpy(), **names.reset_index(drop=True)
    )
    rows = [_cluster_row(part) for _, part in own.groupby("cluster", sort=False)]
    table = pd.DataFrame(rows).sort_values("cluster", key=lambda names: names.astype(int))
    return opinion, table.reset_index(drop=True)


def _cluster_row(part: pd.DataFrame) -> dict:
    """Say what a cluster is called by either side."""
    shares = (
        part["label"]
        .value_counts(normalize=True)
        .sort_index()
        .sort_values(ascending=False, kind="stable")
    )
    return {
        "cluster": part["cluster"].iloc[0],
        "n_cells": len(part),
        "lineage": most_frequent(part["lineage"]),
        "cell_type": most_frequent(part["cell_type"]),
        "label": shares.index[0],
        "share": float(shares.iloc[0]),
        "second_label": shares.index[1] if len(shares) > 1 else "",
        "second_share": float(shares.iloc[1]) if len(shares) > 1 else np.nan,
        "probability": float(part["probability"].median()),
        "agree": float(part["agrees"].astype(float).mean()),
    }


def _probabilities(cells: ad.AnnData, model: Model) -> np.ndarray:
    """Return the probability of each class by itself, cells x classes."""
    dataset = cells.obs["dataset"].astype(str).to_numpy()
    place = cells.var_names.get_indexer(model.genes)
    counts = sparse.csr_matrix(cells.X)
    scores = np.empty((cells.n_obs, len(model.labels)))
    for name in dict.fromkeys(dataset):
        measured = cells.varm["measured"][name].to_numpy(dtype=bool)
        there = np.flatnonzero((place >= 0) & measured[place])
        if len(there) < MIN_GENES * len(place):
            raise InputError(
                f"annotate.celltypist: dataset {name} has measured {len(there)} of the model's "
                f"{len(place)} genes, and {MIN_GENES:.0%} are needed; give a model of the run's "
                "species"
            )
        rows = np.flatnonzero(dataset == name)
        for some in np.array_split(rows, -(-len(rows) // ROWS_AT_ONCE)):
            scores[some] = _scores(counts[some], place, there, model)
    return special.expit(scores)


def _scores(
    counts: sparse.csr_matrix, place: np.ndarray, there: np.ndarray, model: Model
) -> np.ndarray:
    """Return the classes' scores of some cells, from the model's genes that are `there`."""
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
    values = np.log1p((sparse.diags(TARGET / totals) @ counts[:, place[there]]).toarray())
    values = np.minimum((values - model.mean[there]) / model.scale[there], HIGHEST)
    return values @ model.weights[:, there].T + model.intercept
