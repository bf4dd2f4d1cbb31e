"""What scANVI learns from published labels, after scVI (Xu 2021, doi 10.15252/msb.20209620)."""

import numpy as np
import pandas as pd
import scvi
from anndata import AnnData

from emhniche.errors import InputError
from emhniche.training import TRAIN_SHARE

MIN_LABEL_CELLS = 20
"""Fewest cells of a label that is learnt from; the cells of others count as unlabelled."""

NO_LABEL = ""


def trusted_labels(labels: pd.Series) -> np.ndarray:
    """Choose the labels to learn from.

    Parameters
    ----------
    labels
        Published cell type of each cell, empty for none.

    Returns
    -------
    numpy.ndarray
        The same, emptied where fewer than :data:`MIN_LABEL_CELLS` cells bear the label.

    Raises
    ------
    InputError
        When fewer than two labels are left.
    """
    text = labels.astype(str)
    kept = text.where(text.map(text.value_counts()) >= MIN_LABEL_CELLS, NO_LABEL)
    found = set(kept) - {NO_LABEL}
    if len(found) < 2:
        raise InputError(
            f"config: integrate.methods: scanvi learns from published labels, and {len(found)} of "
            f"them have {MIN_LABEL_CELLS} cells or more; name the files' label column in the "
            "sample sheet's `labels`, or leave scanvi out"
        )
    return kept.to_numpy()


def go_on_with_labels(
    model: scvi.model.SCVI,
    genes: AnnData,
    *,
    epochs: int,
    samples_per_label: int,
    kl_weight: float,
    batch_size: int,
    accelerator: str,
    seed: int,
) -> tuple[scvi.model.SCANVI, np.ndarray]:
    """Go on training a model of scVI as scANVI.

    Parameters
    ----------
    model
        scVI, trained on `genes`.
    genes
        Cells x genes; ``obs["_label"]`` from :func:`trusted_labels`.
    epochs
        Passes over the cells.
    samples_per_label
        Most cells of each label in a pass.
    kl_weight
        Weight of the KL term: that at which the training of scVI ended.
    batch_size
        Cells a step, at most.
    accelerator
        Result of :func:`emhniche.devices.pick_accelerator`.
    seed
        Seed of split, weights and sampling.

    Returns
    -------
    model
        scANVI, trained.
    latent
        Cells x dimensions.

    Raises
    ------
    InputError
        When training diverges.
    """
    scvi.settings.seed = seed
    labels = genes.obs["_label"].to_numpy()
    parts = np.split(
        np.random.default_rng(seed).permutation(genes.n_obs),
        [int(np.ceil(TRAIN_SHARE * genes.n_obs))],
    )
    supervised = scvi.model.SCANVI.from_scvi_model(
        model, unlabeled_category=NO_LABEL, labels_key="_label"
    )
    supervised.train(
        max_epochs=epochs,
        n_samples_per_label=samples_per_label,
        batch_size=_batch_of_no_single_cell(labels[parts[0]], samples_per_label, batch_size),
        accelerator=accelerator,
        datasplitter_kwargs={"external_indexing": [*parts, np.array([], dtype=int)]},
        plan_kwargs={"min_kl_weight": kl_weight, "max_kl_weight": kl_weight},
        enable_progress_bar=False,
    )
    latent = supervised.get_latent_representation()
    if not np.isfinite(latent).all():
        raise InputError(
            "config: integrate.methods: scanvi: training with labels diverged; leave scanvi out"
        )
    return supervised, latent


def _batch_of_no_single_cell(labels: np.ndarray, samples_per_label: int, size: int) -> int:
    """Lower the batch size until no loader ends with one cell, which cannot be normalised."""
    _, counts = np.unique(labels[labels != NO_LABEL], return_counts=True)
    labelled = int(counts.sum())
    loaded = int(np.minimum(counts, samples_per_label).sum())
    while any(n % size == 1 for n in (len(labels), labelled, len(labels) - labelled, loaded)):
        size -= 1
    return size
