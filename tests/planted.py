"""Small libraries whose truth is known: lineages planted through their marker genes."""

from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.lineage import marker_sets
from emhniche.resources import load_lineages

LINEAGES = "resources/lineages.tsv"
DEPTH = {
    "B": 1500,
    "T": 1200,
    "NK": 1200,
    "monocyte_macrophage": 2500,
    "neutrophil": 250,
    "erythroid": 400,
}


@cache
def lineage_table() -> pd.DataFrame:
    return load_lineages(LINEAGES, "mouse")


def coarse_markers() -> pd.DataFrame:
    return marker_sets(lineage_table(), finer=False)


def genes() -> pd.Index:
    """List every positive marker, mitochondrial and ribosomal genes and 400 that all express."""
    markers = coarse_markers()["positive"].explode().unique()
    mito = [f"mt-{name}" for name in ("Co1", "Co2", "Atp6", "Nd1", "Cytb")]
    ribo = [f"Rps{number}" for number in range(3, 13)]
    return pd.Index([*markers, *mito, *ribo, *[f"Gene{number}" for number in range(400)]])


def profile(lineage: str, rng: np.random.Generator) -> np.ndarray:
    """Expected share of each gene: markers take a third, mitochondria 4 %."""
    names = genes()
    sets = coarse_markers().set_index("set")
    rates = np.full(len(names), 1e-6)
    everywhere = names.str.startswith("Gene")
    rates[everywhere] = np.random.default_rng(7).gamma(0.5, 1.0, everywhere.sum())
    rates[everywhere] *= 0.55 / rates[everywhere].sum()
    own = names.isin(sets.at[lineage, "positive"])
    rates[own] = 0.33 * rng.dirichlet(np.full(own.sum(), 5.0))
    mito = names.str.startswith("mt-")
    rates[mito] = 0.04 / mito.sum()
    ribo = names.str.startswith("Rps")
    rates[ribo] = 0.08 / ribo.sum()
    return rates / rates.sum()


def library(
    composition: dict[str, int],
    *,
    seed: int = 0,
    ambient: float = 0.0,
    debris: int = 0,
    batch_shift: float = 0.0,
) -> ad.AnnData:
    """Draw one library; ``obs["truth"]`` holds the lineage, ``debris`` for broken cells.

    `ambient` is the share of each barcode's counts drawn from the library's mean profile;
    `batch_shift` is the sd of a log-normal factor a gene, the same for the whole library.
    """
    rng = np.random.default_rng(seed)
    shapes = {name: profile(name, np.random.default_rng(11)) for name in composition}
    truth = np.repeat(list(composition), list(composition.values()))
    depth = np.array([DEPTH[name] for name in truth]) * rng.lognormal(0, 0.25, len(truth))
    rates = np.array([shapes[name] for name in truth])
    soup = (rates * depth[:, None]).sum(axis=0)
    rates = (1 - ambient) * rates + ambient * soup / soup.sum()
    rates = rates * rng.lognormal(0, batch_shift, rates.shape[1])
    counts = rng.poisson(rates / rates.sum(axis=1, keepdims=True) * depth[:, None])
    if debris:
        mito = np.where(genes().str.startswith("mt-"), 1.0, 1e-5)
        counts = np.vstack([counts, rng.poisson(mito / mito.sum() * 600, (debris, len(mito)))])
        truth = np.concatenate([truth, np.repeat("debris", debris)])
    order = rng.permutation(len(truth))
    cells = ad.AnnData(
        sparse.csr_matrix(counts[order], dtype=np.float32),
        obs=pd.DataFrame({"truth": truth[order]}, index=[f"bc{n}" for n in range(len(truth))]),
        var=pd.DataFrame(index=genes()),
    )
    return cells
