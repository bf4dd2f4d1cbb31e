"""Which device trains, and what happens when it fails?

A GPU is used where there is one. It takes more cells a step where its memory holds them, and half
of its numbers in 16 bits where it can. When it runs out of memory it takes fewer cells; when that
does not help, or it fails otherwise, the CPU trains from the beginning, and log, device.json and
report say so.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch.multiprocessing.spawn import ProcessExitedException

from emhniche.device_errors import DEVICE_ERROR, device_line
from emhniche.errors import InputError

BYTES_PER_COUNT = 24 * 4
"""Device memory that a step takes for each count (cell x gene): the two dozen matrices of single
precision that the loss and its gradient hold at their peak, rounded up."""

MEMORY_SHARE = 0.5
"""Share of the free device memory that a step may take."""

MIN_STEPS = 1500
"""Fewest steps that larger batches may leave: what the smallest run makes with the default size."""

TRAINING_PRECISION = {"full": "32-true", "bf16": "bf16-mixed"}
"""Setting -> what Lightning calls it."""

logger = logging.getLogger(__name__)


class Load(Callback):
    """Keep how busy a CUDA device is at the end of each epoch, where its driver tells."""

    def __init__(self) -> None:
        self.percent: list[int] = []

    def on_train_epoch_end(self, trainer, plan) -> None:
        """Ask the driver once; without its Python package it cannot be asked."""
        if plan.device.type != "cuda":
            return
        try:
            self.percent.append(int(torch.cuda.utilization()))
        except (ModuleNotFoundError, RuntimeError, AssertionError):
            return


@dataclass(frozen=True)
class Place:
    """Where and how a model is trained.

    Attributes
    ----------
    used
        ``cuda``, ``mps`` or ``cpu``.
    precision
        ``full`` or ``bf16``.
    batch_size
        Cells a step, of each device.
    devices
        How many train together.
    load
        Follows how busy the device is.
    """

    used: str
    precision: str
    batch_size: int
    devices: int = 1
    load: Load = field(default_factory=Load, compare=False)


def train_on_device(
    train: Callable[[Place], np.ndarray],
    *,
    accelerator: str,
    devices: int,
    precision: str,
    batch_size: int,
    max_batch_size: int,
    cpu_after_failure: bool,
    cell_visits: int,
    n_genes: int,
) -> tuple[np.ndarray, dict[str, object]]:
    """Train on the device that is asked for, and on the CPU when it fails.

    Parameters
    ----------
    train
        Trains from the beginning at a place and returns a latent space (cells x dimensions).
    accelerator
        ``auto`` (a GPU when there is one), ``gpu`` (any), ``cuda``, ``mps`` or ``cpu``.
    devices
        CUDA devices that train together; the CPU is always one.
    precision
        ``full``, ``bf16``, or ``auto``: ``bf16`` on a CUDA device that computes in it.
    batch_size
        Cells a step on a CPU, and the fewest on a GPU.
    max_batch_size
        Most cells a step on a GPU.
    cpu_after_failure
        Whether the CPU may train when the GPU fails.
    cell_visits
        Cells to be trained on, times passes.
    n_genes
        Genes of the model.

    Returns
    -------
    latent : numpy.ndarray
        What `train` returned.
    device : dict
        ``asked_for``; ``used``; ``devices``; ``name``; ``precision``; ``batch_size``; ``fell_back``
        (why not the GPU that was there, None where it did its work); ``peak_memory_mb`` of the
        device and its mean ``utilisation_percent`` at the ends of epochs (None where nothing tells,
        and of several devices, each of which has a process of its own).

    Raises
    ------
    InputError
        When a device is asked for that is not there, or it fails and the CPU may not take over.
    """
    used = pick_accelerator(accelerator)
    if accelerator != "cpu":
        _require_devices(devices)
    failure = None
    if used != "cpu":
        sizes = {"batch_size": batch_size, "most": max_batch_size}
        sizes |= {"cell_visits": cell_visits // devices, "n_genes": n_genes}
        for place in _places(used, devices, precision, **sizes):
            try:
                _forget_peak(used)
                return train(place), _described(accelerator, place, None)
            except Exception as error:
                failure = device_failure(error)
                if failure is None:
                    raise
            logger.warning("%s failed with %d cells a step: %s", used, place.batch_size, failure)
            if not _out_of_memory(failure):
                break
        if not cpu_after_failure:
            raise InputError(
                f"config: integrate.scvi.cpu_after_failure: {used} failed ({failure}) and the CPU "
                "may not take over; set it to true, or mend the device"
            )
        logger.warning("training begins again on the CPU")
    place = Place("cpu", "full" if precision == "auto" else precision, batch_size)
    return train(place), _described(accelerator, place, failure)


def _require_devices(devices: int) -> None:
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if 1 < devices > there:
        raise InputError(
            f"config: integrate.scvi.devices: {devices} CUDA devices are asked for and this "
            f"machine shows {there}; use {'1' if there < 2 else f'at most {there}'}"
        )


def _places(
    used: str,
    devices: int,
    precision: str,
    *,
    batch_size: int,
    most: int,
    cell_visits: int,
    n_genes: int,
) -> Iterator[Place]:
    """Yield what to try on a GPU: half as many cells a step each time, down to `batch_size`."""
    if precision == "auto":
        precision = "bf16" if used == "cuda" and _computes_bf16() else "full"
    size = batch_size_for(free_memory(used), batch_size, most, cell_visits, n_genes)
    while True:
        yield Place(used, precision, size, devices)
        if size == batch_size:
            return
        size = max(batch_size, size // 2)


def batch_size_for(
    free_bytes: int | None, batch_size: int, most: int, cell_visits: int, n_genes: int
) -> int:
    """Return how many cells a step takes on a GPU.

    Doubled from `batch_size` while that stays within `most`, within :data:`MEMORY_SHARE` of the
    free memory, and leaves :data:`MIN_STEPS` steps.

    Parameters
    ----------
    free_bytes
        Free device memory; None where it is not known.
    batch_size
        Fewest cells a step.
    most
        Most cells a step.
    cell_visits
        Cells to be trained on, times passes.
    n_genes
        Genes of the model.
    """
    if free_bytes is None:
        return batch_size
    fitting = MEMORY_SHARE * free_bytes / (BYTES_PER_COUNT * n_genes)
    limit = min(most, fitting, cell_visits / MIN_STEPS)
    while 2 * batch_size <= limit:
        batch_size *= 2
    return batch_size


def free_memory(used: str) -> int | None:
    """Return the free memory of a device in bytes; None where nothing tells."""
    try:
        if used == "cuda":
            return torch.cuda.mem_get_info()[0]
        if used == "mps":
            return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    except (RuntimeError, AssertionError, AttributeError) as error:
        logger.warning("%s does not tell its free memory: %s", used, error)
    return None


def device_failure(error: BaseException) -> str | None:
    """Say in one line how a device failed; None for an error that is not the device's.

    Parameters
    ----------
    error
        What training raised.
    """
    # a process of a device that ended without a word: how NCCL's watchdog and a lost driver do it
    known = (torch.OutOfMemoryError, torch.AcceleratorError, ProcessExitedException)
    if isinstance(error, InputError) or not (
        isinstance(error, known) or DEVICE_ERROR.search(str(error))
    ):
        return None
    return device_line(error)


def _out_of_memory(failure: str) -> bool:
    return "out of memory" in failure.lower()


def pick_accelerator(wanted: str) -> str:
    """Turn the setting into what Lightning takes, and say which device it is.

    Parameters
    ----------
    wanted
        ``auto`` (a GPU when there is one), ``gpu`` (any), ``cuda``, ``mps`` or ``cpu``.

    Returns
    -------
    str
        ``cuda``, ``mps`` or ``cpu``.

    Raises
    ------
    InputError
        When a GPU is asked for that is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found = next((name for name in there if there[name]), "cpu")
    missing = found == "cpu" if wanted == "gpu" else not there.get(wanted, True)
    if missing:
        raise InputError(
            f"config: integrate.scvi.accelerator: {wanted} is asked for and this machine shows "
            "none; use auto or cpu"
        )
    used = wanted if wanted in there or wanted == "cpu" else found
    logger.info("accelerator: %s", used)
    return used


def _described(wanted: str, place: Place, failure: str | None) -> dict[str, object]:
    on_cuda = place.used == "cuda"
    alone = on_cuda and place.devices == 1
    busy = place.load.percent
    return {
        "asked_for": wanted,
        "used": place.used,
        "devices": place.devices,
        "name": torch.cuda.get_device_name(0) if on_cuda else None,
        "precision": place.precision,
        "batch_size": place.batch_size,
        "fell_back": failure,
        "peak_memory_mb": round(torch.cuda.max_memory_allocated() / 2**20, 1) if alone else None,
        "utilisation_percent": round(float(np.mean(busy)), 1) if busy else None,
    }


def _forget_peak(used: str) -> None:
    if used == "cuda" and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _computes_bf16() -> bool:
    try:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    except (RuntimeError, AssertionError, AttributeError):
        return False
