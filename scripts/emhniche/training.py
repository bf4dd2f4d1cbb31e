"""The training recipe for scVI: a one-cycle learning rate, a history and a line an epoch."""

import logging
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from scvi.train import TrainingPlan

from emhniche.errors import InputError

WARM_UP = 0.2
"""Share of the steps over which the rate rises to its peak."""

TRAIN_SHARE = 0.9
"""Share of the cells to train on; the bound of the others is followed."""

MIN_CELLS = 50
"""Fewest cells that scVI is trained on."""

MAX_EPOCHS = 400
"""Passes over the cells that no run exceeds: scvi-tools' own default for small data."""

logger = logging.getLogger(__name__)


def count_epochs(n_cells: int, *, epochs: int, min_cell_visits: int) -> int:
    """Choose the number of passes over the cells.

    Parameters
    ----------
    n_cells
        Cells to train on.
    epochs
        Fewest passes.
    min_cell_visits
        Fewest visits in all (cells x passes). With few cells a pass holds few steps, and too few
        steps leave the libraries unmixed.

    Returns
    -------
    int
        Between `epochs` and :data:`MAX_EPOCHS` (or `epochs`, where that is more).
    """
    return max(epochs, min(MAX_EPOCHS, math.ceil(min_cell_visits / n_cells)))


def fitting_batch(n_cells: int, batch_size: int) -> int:
    """Lower the batch size until the last batch of a pass holds more than one cell.

    Batch normalisation cannot take one cell.

    Parameters
    ----------
    n_cells
        Cells of the run; :data:`TRAIN_SHARE` of them are trained on.
    batch_size
        Cells a step, as wanted.

    Returns
    -------
    int
        The batch size to use.

    Raises
    ------
    InputError
        With fewer than :data:`MIN_CELLS` cells.
    """
    if n_cells < MIN_CELLS:
        raise InputError(
            f"config: integrate.methods: scvi needs {MIN_CELLS} cells and {n_cells} are kept; "
            "use methods: [pca] and primary: pca"
        )
    n_train = math.ceil(TRAIN_SHARE * n_cells)
    while n_train % batch_size == 1:
        batch_size -= 1
    return batch_size


def train_or_refuse(
    train: Callable[[], None], latent: Callable[[], np.ndarray], *, peak_rate: float
) -> np.ndarray:
    """Train and return the latent space, or say that training diverged.

    Parameters
    ----------
    train, latent
        Train the model; return its latent space (cells x dimensions).
    peak_rate
        The learning rate, for the message.

    Returns
    -------
    numpy.ndarray
        Cells x dimensions, finite.

    Raises
    ------
    InputError
        When a parameter or the latent space is not a number.
    """
    diverged = InputError(
        f"config: integrate.scvi.peak_rate: training diverged at {peak_rate:g}; use a lower rate"
    )
    try:
        train()
        space = latent()
    except ValueError as error:
        if "nan" in str(error).lower():
            raise diverged from None
        raise
    if not np.isfinite(space).all():
        raise diverged
    return space


class OneCyclePlan(TrainingPlan):
    """scvi-tools' training plan with a learning rate that changes at each step.

    The rate starts at a tenth of ``lr``, peaks at ``lr`` after :data:`WARM_UP` of the steps and
    ends at a thousandth of it (Smith & Topin 2018, arXiv 1708.07120).
    """

    def configure_optimizers(self) -> dict:
        """Build the optimiser and its schedule over all steps of the training."""
        parameters = [item for item in self.module.parameters() if item.requires_grad]
        optimizer = torch.optim.Adam(
            parameters, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.lr,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=WARM_UP,
            div_factor=10,
            final_div_factor=100,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class EpochLog(Callback):
    """Write one line an epoch to the log, so that a long training can be followed."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, plan) -> None:
        """Log the epoch's number and its evidence bound."""
        bound = trainer.callback_metrics.get("elbo_train")
        value = float("nan") if bound is None else float(bound)
        logger.info("epoch %d of %d, elbo %.1f", trainer.current_epoch + 1, self.epochs, value)


def pick_accelerator(wanted: str) -> str:
    """Turn the setting into what Lightning takes, and say which device it is.

    Parameters
    ----------
    wanted
        ``auto`` (a GPU when there is one), ``gpu`` or ``cpu``.

    Returns
    -------
    str
        ``cuda``, ``mps`` or ``cpu``.

    Raises
    ------
    InputError
        When ``gpu`` is asked for and there is none.
    """
    found = "cpu"
    if torch.cuda.is_available():
        found = "cuda"
    elif torch.backends.mps.is_available():
        found = "mps"
    if wanted == "gpu" and found == "cpu":
        raise InputError(
            "config: integrate.scvi.accelerator: gpu is asked for and this machine shows none; "
            "use auto or cpu"
        )
    device = "cpu" if wanted == "cpu" else found
    logger.info("accelerator: %s", device)
    return device


def device_name(used: str) -> str | None:
    """Return the name of the first CUDA device where one is used, and None elsewhere.

    Parameters
    ----------
    used
        Result of :func:`pick_accelerator`.
    """
    return torch.cuda.get_device_name(0) if used == "cuda" else None


def history_table(history: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Join scvi-tools' history into one table.

    Parameters
    ----------
    history
        Metric -> one-column table indexed by epoch (or step).

    Returns
    -------
    pandas.DataFrame
        ``epoch`` from 1 and one column a metric kept per epoch.
    """
    names = [
        f"{metric}_{part}"
        for metric in ("elbo", "reconstruction_loss", "kl_local")
        for part in ("train", "validation")
    ]
    table = pd.DataFrame(
        {name: history[name].iloc[:, 0].astype(float) for name in names if name in history}
    )
    table.insert(0, "epoch", range(1, len(table) + 1))
    return table
