"""The training recipe for scVI: a one-cycle learning rate, a history and a line an epoch."""

import logging
import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from scvi.train import TrainingPlan

from emhniche.devices import TRAINING_PRECISION, Place
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


def run_settings(passes: int, place: Place, n_cells: int) -> dict[str, object]:
    """Return what scvi-tools' ``train`` is told.

    Parameters
    ----------
    passes
        Passes over the cells.
    place
        Where and how to train.
    n_cells
        Cells of the run.
    """
    return {
        "max_epochs": passes,
        "accelerator": place.used,
        "devices": 1,
        "precision": TRAINING_PRECISION[place.precision],
        "batch_size": fitting_batch(n_cells, place.batch_size),
        "train_size": TRAIN_SHARE,
        "check_val_every_n_epoch": 1,
        "enable_progress_bar": False,
    }


def train_until_finite(train: Callable[[float], np.ndarray], *, peak_rate: float) -> np.ndarray:
    """Train, and again at half the rate when training diverges.

    Parameters
    ----------
    train
        Trains a model from its beginning at a learning rate and returns its latent space (cells x
        dimensions).
    peak_rate
        The learning rate to begin with.

    Returns
    -------
    numpy.ndarray
        Cells x dimensions, finite.

    Raises
    ------
    InputError
        When a parameter or the latent space is not a number at a quarter of the rate either.
    """
    for rate in (peak_rate, peak_rate / 2, peak_rate / 4):
        try:
            space = train(rate)
        except ValueError as error:
            # what torch says of a distribution whose parameter is not a number
            if "invalid values" not in str(error):
                raise
            space = np.full((1, 1), np.nan)
        if np.isfinite(space).all():
            return space
        logger.warning("training diverged at a peak rate of %g", rate)
    raise InputError(
        f"config: integrate.scvi.peak_rate: training diverged at {peak_rate:g}, and at a half and "
        "a quarter of it; use a lower rate"
    )


class OneCyclePlan(TrainingPlan):
    """scvi-tools' training plan with a learning rate that changes at each step.

    The rate starts at a tenth of ``lr``, peaks at ``lr`` after :data:`WARM_UP` of the steps and
    ends at a thousandth of it (Smith & Topin 2018, arXiv 1708.07120). Losses are summed here and
    read once an epoch by :class:`History`: logging each of them at each step, as scvi-tools does,
    takes a fifth of the time.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.sums: dict[str, torch.Tensor] = {}

    def configure_optimizers(self) -> dict:
        """Build the optimiser and its schedule over all steps of the training."""
        parameters = [item for item in self.module.parameters() if item.requires_grad]
        optimizer = torch.optim.Adam(
            parameters, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.lr,
            total_steps=int(self.trainer.estimated_stepping_batches),
            # the first phase may not end with the first step, which PyTorch divides by
            pct_start=WARM_UP + 1e-6,
            div_factor=10,
            final_div_factor=100,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def training_step(self, batch: dict, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch to train on."""
        return self._loss(batch, "train")

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        """Sum the loss of a batch that is held out."""
        self._loss(batch, "validation")

    def _loss(self, batch: dict, part: str) -> torch.Tensor:
        self.loss_kwargs.update({"kl_weight": self.kl_weight})
        _, _, loss = self.forward(batch, loss_kwargs=self.loss_kwargs)
        cells = torch.as_tensor(float(loss.n_obs_minibatch), device=loss.loss.device)
        parts = [loss.reconstruction_loss_sum, loss.kl_local_sum, cells]
        self.sums[part] = self.sums.get(part, 0) + torch.stack([one.detach() for one in parts])
        return loss.loss


class History(Callback):
    """Keep the losses of each epoch, and write a line an epoch to the log.

    Attributes
    ----------
    rows
        One a finished epoch: ``epoch`` from 1, and of the cells to train on and the held-out ones
        the evidence bound, the reconstruction loss and the local KL term, means over cells.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer, plan: OneCyclePlan) -> None:
        """Take the sums of the epoch over from the plan."""
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1}
        means = {part: sums[:2] / sums[2] for part, sums in plan.sums.items()}
        for name, value in _LOSSES.items():
            row |= {f"{name}_{part}": float(value(mean)) for part, mean in means.items()}
        plan.sums.clear()
        self.rows.append(row)
        logger.info("epoch %d of %d, elbo %.1f", row["epoch"], self.epochs, row["elbo_train"])

    def table(self) -> pd.DataFrame:
        """Return the rows as a table."""
        return pd.DataFrame(self.rows)


_LOSSES: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "elbo": lambda mean: mean.sum(),
    "reconstruction_loss": lambda mean: mean[0],
    "kl_local": lambda mean: mean[1],
}
