"""Where does each cell lie once the differences between libraries are taken out?

scVI (Lopez 2018, doi 10.1038/s41592-018-0229-2) learns a latent space from raw counts with the
library as batch; scANVI (Xu 2021, doi 10.15252/msb.20209620) goes on from there with published
labels. Harmony (Korsunsky 2019, doi 10.1038/s41592-019-0619-0) moves principal components
until batches mix, without a model of counts. Tissue is what the study compares, so it must never be
the batch. Principal components that nothing corrects stand beside them, so that what integration
did can be seen.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc

from emhniche.io import CELL_ID

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Integration:
    """A latent space and how it was made.

    Attributes
    ----------
    latent
        ``cell_id`` and one column a dimension.
    history
        One row an epoch; empty for a method that is not trained.
    model
        What scvi-tools trained, which ``save`` writes; None for a method without one.
    device
        What trained the model (:func:`emhniche.devices.train_on_device`); None for a method that is
        not trained.
    """

    latent: pd.DataFrame
    history: pd.DataFrame
    model: Any | None
    device: dict[str, object] | None


def integrate(
    cells: ad.AnnData,
    *,
    method: str,
    n_latent: int,
    batch_key: str,
    seed: int,
    threads: int,
    **settings,
) -> Integration:
    """Place the cells in a latent space by one method.

    Parameters
    ----------
    cells
        Cells x genes, raw counts; ``var["highly_variable"]`` marks the genes to use.
    method
        ``scvi``, ``scanvi``, ``harmony`` or ``pca``.
    n_latent
        Number of dimensions.
    batch_key
        Column of ``obs`` with the batch; ``pca`` corrects for none.
    seed
        Seed of everything that is drawn.
    threads
        CPU threads.
    **settings
        Further settings of :func:`train_scvi`, :func:`train_scanvi` or :func:`run_harmony`.

    Returns
    -------
    Integration
        Latent space, history and model.
    """
    marked = cells.var["highly_variable"].to_numpy(dtype=bool)
    # nothing writes into the counts, so those of a file of marked genes only need no copy
    counts = cells.X if marked.all() else cells.X[:, marked]
    genes = ad.AnnData(counts, obs=cells.obs.copy(), var=cells.var[marked])
    if method == "pca":
        return _untrained(_components(genes, n_latent, seed), genes)
    make = {"scvi": train_scvi, "scanvi": train_scanvi, "harmony": run_harmony}[method]
    given = {"n_latent": n_latent, "batch_key": batch_key, "seed": seed, "threads": threads}
    return make(genes, **given, **settings)


def train_scvi(
    genes: ad.AnnData,
    *,
    batch_key: str,
    n_latent: int,
    n_hidden: int,
    n_layers: int,
    epochs: int,
    min_cell_visits: int,
    kl_ramp: float,
    peak_rate: float,
    threads: int,
    seed: int,
    **device,
) -> Integration:
    """Train scVI with a short one-cycle schedule.

    The learning rate rises to its peak over the first fifth of the steps and falls after it (Smith
    2018, arXiv 1708.07120), so 25 passes do what 400 at a constant rate do. The weight of the KL
    term rises over twice the passes: a shorter ramp empties latent dimensions while the evidence
    bound improves.

    Parameters
    ----------
    genes
        Cells x highly variable genes, raw counts.
    batch_key
        Column of ``obs`` with the batch.
    n_latent, n_hidden, n_layers
        Size of the network.
    epochs
        Passes over the cells, at least.
    min_cell_visits
        Cells to be seen in all, at least: a small run needs more passes
        (:func:`emhniche.training.count_epochs`).
    kl_ramp
        The KL weight would reach 1 after so many times the passes.
    peak_rate
        Highest learning rate.
    threads
        CPU threads.
    seed
        Seed of split, weights and sampling.
    **device
        Which device trains, how, and what happens when it fails: the settings of
        :func:`emhniche.devices.train_on_device`.

    Returns
    -------
    Integration
        Mean of the posterior a cell, history an epoch, and the model.

    Raises
    ------
    InputError
        When a GPU is asked for and there is none, it fails and the CPU may not take over, there are
        too few cells, or training diverges at a quarter of the rate too.
    """
    import scvi
    import torch

    from emhniche.devices import Place, train_on_device
    from emhniche.sparse_likelihood import SCVI
    from emhniche.training import (
        OneCyclePlan,
        count_epochs,
        run_settings,
        train_until_finite,
    )

    torch.set_num_threads(threads)
    genes.obs["_batch"] = genes.obs[batch_key].astype(str).to_numpy()
    SCVI.setup_anndata(genes, batch_key="_batch")
    passes = count_epochs(genes.n_obs, epochs=epochs, min_cell_visits=min_cell_visits)
    trained = {}

    def train(place: Place, rate: float) -> np.ndarray:
        scvi.settings.seed = seed
        size = {"n_hidden": n_hidden, "n_latent": n_latent, "n_layers": n_layers}
        model = SCVI(genes, gene_likelihood="nb", **size)
        model._training_plan_cls = OneCyclePlan
        plan = {"lr": rate, "n_epochs_kl_warmup": round(kl_ramp * passes), "epochs": passes}
        settings = run_settings(passes, place, genes.n_obs)
        model.train(callbacks=[place.load], plan_kwargs=plan, **settings)
        trained.update(model=model, history=model.trainer.lightning_module.history())
        return model.get_latent_representation()

    latent, used = train_on_device(
        lambda place: train_until_finite(partial(train, place), peak_rate=peak_rate),
        cell_visits=passes * genes.n_obs,
        n_genes=genes.n_vars,
        **device,
    )
    return Integration(
        latent=latent_table(latent, genes.obs_names),
        history=trained["history"],
        model=trained["model"],
        device=used,
    )


def train_scanvi(
    genes: ad.AnnData, *, label_epochs: int, samples_per_label: int, **settings
) -> Integration:
    """Train scVI, and go on with the published labels: a supervised method.

    Cells without a label take part without one. The labels pull cells of one name together, so
    measures on these labels say nothing more of the space.

    Parameters
    ----------
    genes
        Cells x highly variable genes, raw counts; ``obs["label"]``, empty for none.
    label_epochs
        Passes over the cells with labels, after those of scVI.
    samples_per_label
        Most cells of each label that a pass learns from, so that rare types count.
    **settings
        Those of :func:`train_scvi`.

    Returns
    -------
    Integration
        Mean of the posterior a cell, scVI's history, and the model.

    Raises
    ------
    InputError
        When fewer than two labels have cells enough, and as :func:`train_scvi`.

    References
    ----------
    Xu C et al. (2021) Probabilistic harmonization and annotation of single-cell transcriptomics
    data with deep generative models. Mol Syst Biol 17:e9620. doi:10.15252/msb.20209620
    """
    from emhniche.devices import device_failure
    from emhniche.supervised import go_on_with_labels, trusted_labels

    genes.obs["_label"] = trusted_labels(genes.obs["label"])
    started = train_scvi(genes, **settings)
    labels = {
        "epochs": label_epochs,
        "samples_per_label": samples_per_label,
        "kl_weight": min(1.0, 1 / settings["kl_ramp"]),
        "seed": settings["seed"],
    }
    device = started.device
    size = {"batch_size": device["batch_size"], "accelerator": device["used"]}
    try:
        model, latent = go_on_with_labels(started.model, genes, **labels, **size)
    except Exception as error:
        failure = None if device["used"] == "cpu" else device_failure(error)
        if failure is None or not settings["cpu_after_failure"]:
            raise
        logger.warning("%s failed with labels (%s): the CPU goes on", device["used"], failure)
        started.model.to_device("cpu")
        size = {"batch_size": settings["batch_size"], "accelerator": "cpu"}
        model, latent = go_on_with_labels(started.model, genes, **labels, **size)
        device = device | {"fell_back": failure}
    return Integration(
        latent=latent_table(latent, genes.obs_names),
        history=started.history,
        model=model,
        device=device,
    )


def latent_table(latent: np.ndarray, cell_ids: pd.Index) -> pd.DataFrame:
    """Key a latent matrix (cells x dimensions) by ``cell_id``."""
    columns = [f"dim_{number}" for number in range(latent.shape[1])]
    table = pd.DataFrame(np.asarray(latent, dtype=np.float32), columns=columns)
    table.insert(0, CELL_ID, cell_ids.astype(str))
    return table


def run_harmony(
    genes: ad.AnnData,
    *,
    batch_key: str,
    n_latent: int,
    theta: float,
    max_iterations: int,
    threads: int,
    seed: int,
) -> Integration:
    """Correct principal components for the batch with Harmony.

    Parameters
    ----------
    genes
        Cells x highly variable genes, raw counts.
    batch_key
        Column of ``obs`` with the batch.
    n_latent
        Number of principal components.
    theta
        Weight of mixing: 0 mixes nothing, 2 is Harmony's own.
    max_iterations
        Rounds of clustering and correction, at most.
    threads
        CPU threads.
    seed
        Seed of the components and of the clustering.

    Returns
    -------
    Integration
        Corrected components and no model.

    References
    ----------
    Korsunsky I et al. (2019) Fast, sensitive and accurate integration of single-cell data with
    Harmony. Nat Methods 16:1289-1296. doi:10.1038/s41592-019-0619-0
    """
    from harmonypy import run_harmony as correct

    components = _components(genes, n_latent, seed)
    batch = genes.obs[[batch_key]].astype(str)
    if batch[batch_key].nunique() == 1:
        return _untrained(components, genes)
    found = correct(
        components.astype(np.float64),
        batch,
        batch_key,
        theta=theta,
        max_iter_harmony=max_iterations,
        # the package's own rule, which ends at none in a run of few cells
        nclust=max(1, min(100, round(genes.n_obs / 30))),
        random_state=seed,
        ncores=threads,
        verbose=False,
    )
    return _untrained(found.Z_corr, genes)


def _components(genes: ad.AnnData, n_latent: int, seed: int) -> np.ndarray:
    """Return principal components of log-normalised counts (cells x dimensions)."""
    genes = genes.copy()
    sc.pp.normalize_total(genes, target_sum=1e4)
    sc.pp.log1p(genes)
    n_comps = min(n_latent, genes.n_obs - 1, genes.n_vars - 1)
    sc.pp.pca(genes, n_comps=n_comps, random_state=seed)
    return genes.obsm["X_pca"]


def _untrained(points: np.ndarray, genes: ad.AnnData) -> Integration:
    """Return the latent space of a method without a model."""
    latent = latent_table(points, genes.obs_names)
    return Integration(latent, history=pd.DataFrame(), model=None, device=None)
