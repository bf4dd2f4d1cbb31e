"""Which numbers does a model file of CellTypist hold?

A model (Dominguez Conde 2022, doi 10.1126/science.abl5197) is a logistic regression over scaled
genes, kept as a pickle of scikit-learn's objects. To load a pickle is to run what it says. So no
object is made here: its numbers are read, anything but numbers and text is refused, and the file
must have the checksum that the settings give. The package of CellTypist itself is not used: it runs
the pickle, makes a folder in the home directory when imported, and of its 1.7.1 the training no
longer works with today's scikit-learn.
"""

import hashlib
import importlib
import pickle
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from emhniche.errors import InputError

_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}
"""All that a model file may call."""


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
