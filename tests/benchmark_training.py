"""Is scVI, trained in a sixteenth of the passes, as good as by scvi-tools' own schedule?

Run from the command line; it appends a row a training to a table and skips the rows that are there,
so that it can be stopped and started again:

    uv run python tests/benchmark_training.py docs/integration_benchmark.tsv \
        --latents results/latents public=results/public/cells.h5ad demo=results/demo/cells.h5ad

Neighbours shared between seeds (``graph_overlap``) are with those earlier seeds whose latent spaces
are still in the folder.

Methods, of one size of network (that of the default configuration) and on one split of the cells
(90 % to train on, 5 % to follow, 5 % held out, by the seed), in turn in one process and thread:

- ``default``: scvi-tools as it comes, with its own number of passes, batch size and rate.
- ``recipe``: what the pipeline does, called as the pipeline calls it.
- ``recipe, stock likelihood``: the same with scvi-tools' own likelihood.

The bound of the held-out cells is at full KL weight and computed by scvi-tools for all three, from
the saved model. Without a dataset it prints mean and spread of the rows that are there.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from unittest import mock

import anndata as ad
import numpy as np
import pandas as pd
import scvi
import torch
from harmonypy.lisi import compute_lisi
from scvi.model._utils import get_max_epochs_heuristic
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from emhniche import sparse_likelihood, training
from emhniche.graph import neighbor_graph
from emhniche.integrate import train_scvi
from emhniche.latent_batches import neighbour_share
from emhniche.neighbors import leiden, nearest

NETWORK = {"n_latent": 30, "n_hidden": 128, "n_layers": 2}
RECIPE = {
    "epochs": 25,
    "min_cell_visits": 200_000,
    "kl_ramp": 2.0,
    "peak_rate": 0.008,
    "batch_size": 128,
}
CPU = {
    "accelerator": "cpu",
    "devices": 1,
    "precision": "full",
    "max_batch_size": 128,
    "cpu_after_failure": False,
}
METHODS = ("default", "recipe", "recipe, stock likelihood")
RESOLUTIONS = np.arange(0.2, 2.01, 0.2)
OVERLAP_NEIGHBORS = 15
DRAWS = 10
"""Draws from the posterior of a held-out cell that its bound is averaged over."""

MIN_PART = 20
"""Fewest cells of a cell type in each of two libraries for their mixing."""


def split(n_cells: int, seed: int) -> list[np.ndarray]:
    """Return row numbers to train on, to follow and to hold out: 90, 5 and 5 %."""
    order = np.random.default_rng(seed).permutation(n_cells)
    n_train = int(np.ceil(training.TRAIN_SHARE * n_cells))
    n_followed = (n_cells - n_train) // 2
    return np.split(order, [n_train, n_train + n_followed])


def train_default(genes: ad.AnnData, parts: list[np.ndarray], seed: int, folder: Path):
    """Train as scvi-tools does by itself; return latent space and passes."""
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(genes, batch_key="_batch")
    model = scvi.model.SCVI(genes, gene_likelihood="nb", **NETWORK)
    model.train(
        accelerator="cpu",
        datasplitter_kwargs={"external_indexing": parts},
        enable_progress_bar=False,
    )
    latent = model.get_latent_representation()
    model.save(str(folder), overwrite=True)
    return latent, get_max_epochs_heuristic(genes.n_obs)


def train_recipe(genes: ad.AnnData, parts: list[np.ndarray], seed: int, folder: Path):
    """Train as the pipeline does; return latent space and passes."""
    told = training.run_settings

    def with_split(*given):
        settings = told(*given) | {"datasplitter_kwargs": {"external_indexing": parts}}
        del settings["train_size"]
        return settings

    with mock.patch.object(training, "run_settings", with_split):
        found = train_scvi(
            genes, batch_key="batch", threads=1, seed=seed, **NETWORK, **RECIPE, **CPU
        )
    found.model.save(str(folder), overwrite=True)
    return found.latent.drop(columns="cell_id").to_numpy(), len(found.history)


def train_with_stock_likelihood(*given):
    """Train as the pipeline does, with scvi-tools' own likelihood."""
    with mock.patch.object(sparse_likelihood, "SCVI", scvi.model.SCVI):
        return train_recipe(*given)


TRAIN = dict(zip(METHODS, (train_default, train_recipe, train_with_stock_likelihood), strict=True))


def measure_training(genes: ad.AnnData, method: str, seed: int) -> tuple[np.ndarray, dict]:
    """Train once; return the latent space, and what it took and reached."""
    parts = split(genes.n_obs, seed)
    with tempfile.TemporaryDirectory() as folder:
        begin, wall = time.process_time(), time.perf_counter()
        latent, passes = TRAIN[method](genes, parts, seed, Path(folder))
        row = {
            "cpu_seconds": round(time.process_time() - begin, 1),
            "wall_seconds": round(time.perf_counter() - wall, 1),
            "epochs": passes,
        }
        scvi.settings.seed = 0
        model = scvi.model.SCVI.load(folder, adata=genes, accelerator="cpu")
        held_out = {"indices": parts[2], "batch_size": 512}
        bounds = [float(model.get_elbo(**held_out)) for _ in range(DRAWS)]
        losses = [model.get_reconstruction_error(**held_out) for _ in range(DRAWS)]
        row["elbo_held_out"] = round(-np.mean(bounds), 3)
        row["reconstruction_held_out"] = round(
            float(np.mean([one["reconstruction_loss"] for one in losses])), 3
        )
    return latent, row


def measure_space(points: np.ndarray, obs: pd.DataFrame) -> dict:
    """Return what the latent space is worth: labels kept together, libraries mixed."""
    variance = points.var(axis=0)
    labels = obs["label"].astype(str).to_numpy()
    known = labels != ""
    graph = neighbor_graph(points, n_neighbors=15)
    partitions = [leiden(graph, resolution=one, seed=0)[known] for one in RESOLUTIONS]
    agreement = [normalized_mutual_info_score(labels[known], one) for one in partitions]
    best = int(np.argmax(agreement))
    batches = obs["batch"].nunique()
    lisi = np.median(compute_lisi(points, obs.astype({"batch": str}), ["batch"]))
    return (
        {
            "active_dimensions": int((variance > 0.01 * variance.max()).sum()),
            "ari": adjusted_rand_score(labels[known], partitions[best]),
            "nmi": agreement[best],
            "label_purity": _purity(points, obs),
            "silhouette": (silhouette_score(points[known], labels[known]) + 1) / 2,
            "ilisi": (lisi - 1) / (batches - 1),
        }
        | _across(points, obs)
        | _mixing(points, obs)
    )


def _across(points: np.ndarray, obs: pd.DataFrame) -> dict:
    """Return whether cells lie beside those of another library for the right reason.

    ``lineage_purity``: share of the 30 nearest that are of a cell's own lineage.
    ``other_lineage``: of the 30 nearest that are of another library, the share of another lineage
    (by the markers of quality control, which no training sees). ``mixing_in_lineage``: how well
    libraries mix within each lineage, over chance.
    """
    lineage, batch = (obs[name].astype(str).to_numpy() for name in ("qc_lineage", "batch"))
    near = nearest(points, 30)
    alike, across = lineage[near] == lineage[:, None], batch[near] != batch[:, None]
    masks = [lineage == one for one in np.unique(lineage)]
    return {
        "lineage_purity": alike.mean(),
        "other_lineage": 1 - alike[across].mean(),
        "mixing_in_lineage": _chance_ratio(masks, points, obs),
    }


def _purity(points: np.ndarray, obs: pd.DataFrame) -> float:
    labels, found = obs["label"].astype(str).to_numpy(), []
    for dataset in obs["dataset"].unique():
        rows = np.flatnonzero((obs["dataset"] == dataset) & (labels != ""))
        if len(rows) >= 50:
            found.append(1 - neighbour_share(points[rows], labels[rows]))
    return float(np.concatenate(found).mean())


def _mixing(points: np.ndarray, obs: pd.DataFrame) -> dict:
    """Return how well pairs of libraries mix that should: 1 as by chance, 0 not at all.

    ``mixing_p11``: the libraries P11A and P11B, cells of one sort. The other two within each cell
    type: spleen and marrow of one donor, and donors of one tissue and arm.
    """
    rows = {"mixing_p11": float("nan")}
    pair = obs["batch"].isin(["klein_p11a", "klein_p11b"]).to_numpy()
    if pair.any():
        rows["mixing_p11"] = _chance_ratio([pair], points, obs)
    typed = obs[(obs["label"] != "") & obs["donor_known"]]
    for name, keys in (
        ("mixing_within_donor", ["donor"]),
        ("mixing_between_donors", ["tissue", "arm"]),
    ):
        groups = typed.groupby([*keys, "label"], observed=True).indices.values()
        masks = [np.isin(obs.index, typed.index[group]) for group in groups]
        rows[name] = _chance_ratio(masks, points, obs)
    return rows


def _chance_ratio(masks: list[np.ndarray], points: np.ndarray, obs: pd.DataFrame) -> float:
    seen = expected = 0.0
    for mask in masks:
        groups = obs.loc[mask, "batch"].astype(str)
        sizes = groups.map(groups.value_counts())
        kept = (sizes >= MIN_PART).to_numpy()
        groups, sizes = groups[kept].to_numpy(), sizes[kept].to_numpy()
        if len(np.unique(groups)) < 2:
            continue
        seen += neighbour_share(points[mask][kept], groups).sum()
        expected += (1 - (sizes - 1) / (len(groups) - 1)).sum()
    return seen / expected if expected else float("nan")


def overlap(points: np.ndarray, others: list[np.ndarray]) -> float:
    """Return the share of each cell's nearest that are its nearest in other spaces too."""
    own, shares = nearest(points, OVERLAP_NEIGHBORS), []
    for other in others:
        found = nearest(other, OVERLAP_NEIGHBORS)
        shares.append(np.mean([len(np.intersect1d(a, b)) for a, b in zip(own, found, strict=True)]))
    return float(np.mean(shares) / OVERLAP_NEIGHBORS) if shares else float("nan")


def read_genes(path: Path) -> ad.AnnData:
    """Read the cells with the highly variable genes alone, as the pipeline trains on them."""
    cells = ad.read_h5ad(path)
    genes = cells[:, cells.var["highly_variable"]].copy()
    genes.obs["_batch"] = genes.obs["batch"].astype(str).to_numpy()
    return genes


def order(datasets: list[str], seeds: int) -> list[tuple[int, str, str]]:
    """Return seed, dataset and method of each training, the most telling first."""
    return list(itertools.product(range(seeds), datasets, METHODS))


LOWER = (
    *("cpu_seconds", "wall_seconds", "epochs", "elbo_held_out", "reconstruction_held_out"),
    "other_lineage",
)
"""What is better when it is lower; all other measures are better when they are higher."""


def summary(rows: pd.DataFrame) -> str:
    """Return mean and standard deviation over seeds, and what is worse than the default's spread.

    Parameters
    ----------
    rows
        The table. Only seeds that every method of a dataset has count.

    Returns
    -------
    str
        A Markdown table a dataset: a row a measure, a column a method. A cross marks a mean that is
        worse than the default's by more than the default's standard deviation between seeds.
    """
    text = []
    for dataset, part in rows.groupby("dataset", sort=False):
        seeds = part.groupby("seed")["method"].nunique()
        part = part[part["seed"].map(seeds) == len(METHODS)]
        n_seeds = part["seed"].nunique()
        text += ["", f"{dataset}, {n_seeds} seeds", "", f"| | {' | '.join(METHODS)} |"]
        text.append("| --- |" + " --- |" * len(METHODS))
        by = part.groupby("method")
        for name in part.columns[part.columns.get_loc("cpu_seconds") :]:
            mean, spread = by[name].mean(), by[name].std()
            if mean.isna().all():
                continue
            worse = (mean - mean["default"]) * (1 if name in LOWER else -1) > spread["default"]
            cells = [
                f"{mean[one]:.4g} ± {spread[one]:.2g}{' ✗' if worse[one] else ''}"
                for one in METHODS
            ]
            text.append(f"| `{name}` | {' | '.join(cells)} |".replace("nan", "–"))
    return "\n".join(text)


def main() -> None:
    """Train what the table lacks; each row is written as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="where to append (.tsv)")
    parser.add_argument("datasets", nargs="*", help="name=cells.h5ad; none: only summarise")
    parser.add_argument("--latents", type=Path, default="latents", help="folder of latent spaces")
    parser.add_argument("--seeds", type=int, default=5, help="seeds, from 0")
    given = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    given.latents.mkdir(parents=True, exist_ok=True)
    paths = dict(one.split("=", 1) for one in given.datasets)
    done = set()
    if given.table.exists():
        rows = pd.read_csv(given.table, sep="\t")
        done = set(rows[["seed", "dataset", "method"]].itertuples(index=False, name=None))
    for seed, dataset, method in order(list(paths), given.seeds):
        if (seed, dataset, method) in done:
            continue
        genes = read_genes(paths[dataset])
        latent, row = measure_training(genes, method, seed)
        stem = f"{dataset}.{method.replace(', ', '_').replace(' ', '_')}"
        np.save(given.latents / f"{stem}.{seed}.npy", latent)
        paths_before = [given.latents / f"{stem}.{one}.npy" for one in range(seed)]
        earlier = [np.load(path) for path in paths_before if path.exists()]
        row = {"dataset": dataset, "method": method, "seed": seed, "cells": genes.n_obs} | row
        row |= measure_space(latent, genes.obs)
        row["graph_overlap"] = overlap(latent, earlier)
        table = pd.DataFrame([row]).round(4)
        table.to_csv(
            given.table,
            sep="\t",
            mode="a",
            header=not given.table.exists(),
            index=False,
            na_rep="",
            lineterminator="\n",
        )
        print(row, flush=True)
    print(summary(pd.read_csv(given.table, sep="\t")))


if __name__ == "__main__":
    main()
