"""The training recipe for scVI: a one-cycle learning rate, a history and a line an epoch."""

import logging
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from scvi.train import TrainingPlan
from torch.multiprocessing.spawn import ProcessRaisedException

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

PARTS = ("train", "validation")
"""Cells that a loss is of: those to train on, and those held out."""

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


def fitting_batch(n_cells: int, batch_size: int, devices: int = 1) -> int:
    """Lower the batch size until the last batch of a pass holds more than one cell.

    Batch normalisation cannot take one cell.

    Parameters
    ----------
    n_cells
        Cells of the run; :data:`TRAIN_SHARE` of them are trained on.
    batch_size
        Cells a step of each device, as wanted.
    devices
        Devices that share the cells.

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
    n_train = math.ceil(TRAIN_SHARE * n_cells) // devices
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
    settings = {
        "max_epochs": passes,
        "accelerator": place.used,
        "devices": place.devices,
        "precision": TRAINING_PRECISION[place.precision],
        "batch_size": fitting_batch(n_cells, place.batch_size, place.devices),
        "train_size": TRAIN_SHARE,
        "check_val_every_n_epoch": 1,
        "enable_progress_bar": False,
    }
    if place.devices > 1:
        # a process a device, started from here: on Slurm, too, where Lightning would want tasks.
        # scvi-tools' own logger would write into the working directory
        settings |= {
            "strategy": "ddp_spawn_find_unused_parameters_true",
            "plugins": [LightningEnvironment()],
            "logger": False,
            "datasplitter_kwargs": {"drop_dataset_tail": True, "drop_last": False},
        }
    return settings


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
        except (ValueError, ProcessRaisedException) as error:
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
    read once an epoch: logging each of them at each step, as scvi-tools does, takes a fifth of the
    time.

    Attributes
    ----------
    sums
        Epochs x parts (:data:`PARTS`) x 3: reconstruction loss, local KL term and number of cells
        of each finished epoch. A buffer, so that it comes back from the process of a device.
    seen
        The same of this device in this epoch.
    """

    def __init__(self, *args, epochs: int, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.register_buffer("sums", torch.zeros(epochs, len(PARTS), 3))
        self.seen: dict[str, torch.Tensor] = {}

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
        self.seen[part] = self.seen.get(part, 0) + torch.stack([one.detach() for one in parts])
        return loss.loss

    def on_train_epoch_end(self) -> None:
        """Add up what the devices saw, and write a line to the log."""
        super().on_train_epoch_end()
        epoch = self.current_epoch
        for part, sums in self.seen.items():
            every = self.trainer.strategy.reduce(sums, reduce_op="sum")
            self.sums[epoch, PARTS.index(part)] = every
        self.seen.clear()
        if self.trainer.is_global_zero:
            elbo = self.history()["elbo_train"][epoch]
            logger.info("epoch %d of %d, elbo %.1f", epoch + 1, len(self.sums), elbo)

    def history(self) -> pd.DataFrame:
        """Return a row an epoch.

        Returns
        -------
        pandas.DataFrame
            ``epoch`` from 1, and of the cells to train on and the held-out ones the evidence bound,
            the reconstruction loss and the local KL term, means over cells.
        """
        sums = self.sums.double().cpu().numpy()
        table = pd.DataFrame({"epoch": np.arange(1, len(sums) + 1)})
        for number, part in enumerate(PARTS):
            loss, kl, cells = sums[:, number].T
            for name, total in (
                ("elbo", loss + kl),
                ("reconstruction_loss", loss),
                ("kl_local", kl),
            ):
                table[f"{name}_{part}"] = np.divide(
                    total, cells, out=np.full(len(sums), np.nan), where=cells > 0
                )
        return table
