"""Which numbers does a model file of CellTypist hold?

A model (Dominguez Conde 2022, doi 10.1126/science.abl5197) is a logistic regression over scaled
genes, kept as a pickle of scikit-learn's objects. To load a pickle is to run what it says. So no
object is made here: its numbers are read, anything but numbers and text is refused, and the file
must have the checksum that the settings give. The package of CellTypist itself is not used: it runs
the pickle, makes a folder in the home directory when imported, and of its 1.7.1 the training no
longer works with today's scikit-learn.
"""

import hashlib
import pickle
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from emhniche.errors import InputError


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


class _Kind:
    """Stands for a type of array elements. A real one would believe any state that it is told."""

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch(r"[fiu][1248]|b1|[US]\d{1,6}|O8?", str(code)):
            raise pickle.UnpicklingError(f"it holds an array of type {code!r}")
        self.code, self.order = str(code), "="

    def __setstate__(self, state: tuple) -> None:
        """Take the byte order; refuse fields, as no array of a model has any."""
        _, self.order, *fields = state[:5]
        if self.order not in ("<", ">", "|", "=") or any(one is not None for one in fields):
            raise pickle.UnpicklingError(f"it holds an array of type {self.code!r} with fields")

    def read(self, content: bytes) -> np.ndarray:
        """Return the elements that bytes stand for."""
        if self.code.startswith("O"):
            raise pickle.UnpicklingError("it holds objects where numbers or text should be")
        return np.frombuffer(content, dtype=np.dtype(self.order + self.code))


class _Array:
    """Stands for an array that is made empty and then told its content."""

    def __init__(self, *_: Any) -> None:
        self.content = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        """Take shape, type, order of the axes and content: bytes, or for objects a list."""
        _, shape, kind, by_column, content = state
        if isinstance(content, list):
            values = np.empty(len(content), dtype=object)
            values[:] = content
        else:
            values = kind.read(content)
        self.content = values.reshape(shape, order="F" if by_column else "C")


def _from_buffer(content: bytes, kind: _Kind, shape: tuple, order: str) -> np.ndarray:
    return kind.read(content).reshape(shape, order=order)


def _scalar(kind: _Kind, content: bytes) -> np.generic:
    return kind.read(content)[0]


_NUMPY = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}
"""What a model file may ask for, and what it gets instead."""


class _Reader(pickle.Unpickler):
    """Reads arrays, text and the attributes of scikit-learn's objects, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in; refuse everything that needs none."""
        if module.split(".")[0] == "sklearn":
            return _State
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in _NUMPY:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no model needs")
        return _NUMPY[module, name]


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
        model = Model(
            labels=_text(classifier["classes_"]),
            genes=_text(classifier["features"]),
            weights=np.atleast_2d(_numbers(classifier["coef_"])),
            intercept=np.atleast_1d(_numbers(classifier["intercept_"])),
            mean=_numbers(scaler["mean_"]) if scaler.get("with_mean", True) else np.zeros(1),
            scale=_numbers(scaler["scale_"]) if scaler.get("with_std", True) else np.ones(1),
        )
    except Exception as error:  # whatever a file that is no model leads to
        reason = str(error) or type(error).__name__
        raise InputError(f"{where}: not a CellTypist model: {reason}; give its .pkl") from error
    return _checked(model, where)


def _text(values: Any) -> np.ndarray:
    content = values.content if isinstance(values, _Array) else values
    return np.atleast_1d(np.asarray(content)).astype(str)


def _numbers(values: Any) -> np.ndarray:
    content = values.content if isinstance(values, _Array) else values
    return np.asarray(content, dtype=float)


def _checked(model: Model, where: str) -> Model:
    """Return a model of which each class has its weights, or refuse it."""
    weights, intercept = model.weights, model.intercept
    if len(model.labels) == 2 and len(weights) == 1:  # of two classes the second alone has weights
        weights = np.vstack([-weights, weights])
        intercept = np.concatenate([-intercept, intercept])
    n_genes, n_labels = len(model.genes), len(model.labels)
    told = [(weights, (n_labels, n_genes)), (intercept, (n_labels,))]
    if any(values.shape != shape for values, shape in told) or any(
        values.shape not in ((1,), (n_genes,)) for values in (model.mean, model.scale)
    ):
        raise InputError(
            f"{where}: {n_labels} classes, {n_genes} genes and weights of shape "
            f"{weights.shape} do not fit together; give a model as CellTypist wrote it"
        )
    numbers = (weights, intercept, model.mean, model.scale)
    if not all(np.isfinite(values).all() for values in numbers) or (model.scale <= 0).any():
        raise InputError(
            f"{where}: a weight, mean or standard deviation is no number, or a standard deviation "
            "not above 0; give a model as CellTypist wrote it"
        )
    for what, names in (("class", model.labels), ("gene", model.genes)):
        if len(set(names)) < len(names):
            raise InputError(f"{where}: a {what} stands twice; give a model as CellTypist wrote it")
    mean, scale = (np.broadcast_to(values, n_genes) for values in (model.mean, model.scale))
    return Model(model.labels, model.genes, weights, intercept, mean, scale)
