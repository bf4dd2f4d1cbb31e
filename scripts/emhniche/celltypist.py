"""What does a CellTypist model say of the cells, beside the names that markers give?

A model (Dominguez Conde 2022, doi 10.1126/science.abl5197) is a logistic regression over scaled
genes, kept as a pickle of scikit-learn's objects. To load a pickle is to run what it says. So no
object is made here: its numbers are read, anything but numbers and text is refused, and the file
must have the checksum that the settings give. The package of CellTypist itself is not used: it runs
the pickle, makes a folder in the home directory when imported, and of its 1.7.1 the training no
longer works with today's scikit-learn.
"""

import hashlib
import importlib
import logging
import pickle
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse, special

from emhniche.errors import InputError
from emhniche.io import CELL_ID

UNKNOWN = "unknown"
"""Label of a cell that no class of the model fits."""

MIN_PROBABILITY = 0.5
"""Probability that the best class needs; as CellTypist's own threshold."""

MIN_GENES = 0.5
"""Share of the model's genes that the run must have measured. Ours."""

TARGET, HIGHEST = 1e4, 10.0
"""Counts that a cell is scaled to, and the largest value of a gene in standard deviations; as in
CellTypist."""

ROWS_AT_ONCE = 2_000
"""Cells whose genes are dense together."""

_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}
"""All that a model file may call."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """The numbers of a CellTypist model.

    Attributes
    ----------
    labels
        Classes.
    genes
        Gene symbols.
    weights
        Classes x genes, of the scaled values.
    intercept
        One a class.
    mean, scale
        Of each gene: its mean and standard deviation over the cells that the model learnt from.
    """

    labels: np.ndarray
    genes: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


class _State:
    """Stands for any object of scikit-learn in a pickle: it keeps what the object held."""

    def __new__(cls, *_: Any) -> "_State":
        """Take what the constructor would, and do nothing with it."""
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        self.held: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes."""
        self.held = state if isinstance(state, dict) else {}


class _Reader(pickle.Unpickler):
    """Reads arrays, text and the attributes of scikit-learn's objects, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in or a maker of arrays; refuse everything else."""
        if module.split(".")[0] == "sklearn":
            return _State
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) in _NUMPY:
            return getattr(importlib.import_module(module), name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no model needs")


def read_model(path: str | Path, sha256: str) -> Model:
    """Read the numbers of a model without running anything of it.

    Parameters
    ----------
    path
        Model file of CellTypist (``.pkl``).
    sha256
        Its checksum.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    InputError
        When the file is not the one that was meant, or no model.
    """
    where, data = f"annotate.celltypist: {path}", Path(path).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise InputError(
            f"{where}: its sha256 is {found} and not {sha256}; give the file that was meant, "
            "or its checksum as its source states it"
        )
    try:
        parts = _Reader(BytesIO(data)).load()
        classifier, scaler = parts["Model"].held, parts["Scaler_"].held
        centred = scaler.get("with_mean", True)
        model = Model(
            labels=np.asarray(classifier["classes_"]).astype(str),
            genes=np.asarray(classifier["features"]).astype(str),
            weights=np.atleast_2d(np.asarray(classifier["coef_"], dtype=float)),
            intercept=np.atleast_1d(np.asarray(classifier["intercept_"], dtype=float)),
            mean=np.asarray(scaler["mean_"], dtype=float) if centred else np.zeros(1),
            scale=np.asarray(scaler["scale_"], dtype=float),
        )
    except Exception as error:  # whatever a file that is no model leads to
        reason = str(error) or type(error).__name__
        raise InputError(f"{where}: not a CellTypist model: {reason}; give its .pkl") from error
    return _checked(model, where)


def _checked(model: Model, where: str) -> Model:
    """Return a model of which each class has its weights, or refuse it."""
    weights, intercept = model.weights, model.intercept
    if len(model.labels) == 2 and len(weights) == 1:  # of two classes the second alone has weights
        weights = np.vstack([-weights, weights])
        intercept = np.concatenate([-intercept, intercept])
    n_genes = len(model.genes)
    mean = np.broadcast_to(model.mean, n_genes) if len(model.mean) in (1, n_genes) else model.mean
    fits = weights.shape == (len(model.labels), n_genes) and len(intercept) == len(model.labels)
    if not fits or not len(mean) == len(model.scale) == n_genes:
        raise InputError(
            f"{where}: {len(model.labels)} classes, {n_genes} genes and weights of shape "
            f"{weights.shape} do not fit together; give a model as CellTypist wrote it"
        )
    return Model(model.labels, model.genes, weights, intercept, mean, model.scale)


def ask_model(
    cells: ad.AnnData, clusters: pd.Series, annotation: pd.DataFrame, model: Model
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let a model name the cells, and lay its labels beside the names that the run gave.

    Parameters
    ----------
    cells
        Cells x genes, raw counts.
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
        ``agrees`` (the cell's lineage is that one; empty where the label is unknown).
    table : pandas.DataFrame
        One row a cluster: ``cluster``, ``n_cells``, ``lineage`` and ``cell_type`` (most frequent),
        ``label`` and ``share`` (most frequent label and its share), ``second_label`` and
        ``second_share``, ``probability`` (median) and ``agree`` (share of the cells with a label).

    Raises
    ------
    InputError
        When the run has measured too few of the model's genes.
    """
    probability = _probabilities(cells, model)
    best, highest = probability.argmax(axis=1), probability.max(axis=1)
    names = annotation.set_index(CELL_ID).loc[cells.obs_names, ["lineage", "cell_type"]].astype(str)
    opinion = pd.DataFrame({CELL_ID: cells.obs_names.astype(str), "best": model.labels[best]})
    known = highest >= MIN_PROBABILITY
    opinion.insert(1, "label", opinion["best"].where(known, UNKNOWN))
    opinion["probability"] = highest
    lineage = names["lineage"].to_numpy()
    usual = pd.Series(lineage[known]).groupby(opinion["label"].to_numpy()[known]).agg(_frequent)
    opinion["usual_lineage"] = opinion["label"].map(usual).fillna("").astype(str)
    agrees = pd.Series(lineage == opinion["usual_lineage"].to_numpy(), dtype="boolean")
    opinion["agrees"] = agrees.where(known)
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
        "lineage": _frequent(part["lineage"]),
        "cell_type": _frequent(part["cell_type"]),
        "label": shares.index[0],
        "share": float(shares.iloc[0]),
        "second_label": shares.index[1] if len(shares) > 1 else "",
        "second_share": float(shares.iloc[1]) if len(shares) > 1 else np.nan,
        "probability": float(part["probability"].median()),
        "agree": float(part["agrees"].astype(float).mean()),
    }


def _probabilities(cells: ad.AnnData, model: Model) -> np.ndarray:
    """Return the probability of each class by itself, cells x classes."""
    place = cells.var_names.get_indexer(model.genes)
    there = np.flatnonzero(place >= 0)
    if len(there) < MIN_GENES * len(place):
        raise InputError(
            f"annotate.celltypist: {len(there)} of the model's {len(place)} genes are among those "
            f"of the run, and {MIN_GENES:.0%} are needed; give a model of the run's species"
        )
    counts = sparse.csr_matrix(cells.X)
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
    scaled = (sparse.diags(TARGET / totals) @ counts[:, place[there]]).tocsr()
    scores = np.empty((cells.n_obs, len(model.labels)))
    for start in range(0, cells.n_obs, ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        values = np.log1p(scaled[some].toarray())
        values = np.minimum((values - model.mean[there]) / model.scale[there], HIGHEST)
        scores[some] = values @ model.weights[:, there].T + model.intercept
    return special.expit(scores)


def _frequent(values: pd.Series) -> str:
    """Return the most frequent value; of equals the first by name."""
    return str(values.value_counts().sort_index().idxmax())
