"""Models as CellTypist writes them, learnt from made-up libraries."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from planted import library


def write_model(path: Path, mix: dict[str, int], *, only_markers: bool = False) -> str:
    """Write a model, learnt from a library of its own, and return its checksum.

    `only_markers` leaves out the genes that no animal has.
    """
    cells = library(mix, seed=3)
    if only_markers:
        cells = cells[:, ~cells.var_names.str.startswith("Gene")].copy()
    scaler = StandardScaler()
    values = np.minimum(scaler.fit_transform(logs(cells)), 10)
    truth = cells.obs["truth"].to_numpy()
    if len(mix) == 2:
        classifier = LogisticRegression(C=1.0).fit(values, truth)
    else:  # one class against the others, as CellTypist learns them
        parts = OneVsRestClassifier(LogisticRegression(C=1.0)).fit(values, truth)
        classifier = LogisticRegression()
        classifier.classes_ = parts.classes_
        classifier.coef_ = np.vstack([one.coef_ for one in parts.estimators_])
        classifier.intercept_ = np.concatenate([one.intercept_ for one in parts.estimators_])
    classifier.features = cells.var_names.to_numpy(dtype=object)
    made = {"Model": classifier, "Scaler_": scaler, "description": {"version": "test"}}
    path.write_bytes(pickle.dumps(made))
    return checksum(path)


def logs(cells) -> np.ndarray:
    """Return counts as CellTypist takes them: of 10,000, logarithms."""
    counts = cells.X.toarray()
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def checksum(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
