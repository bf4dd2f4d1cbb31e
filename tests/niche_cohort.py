"""Simulated cohorts: cells whose counts vary from donor to donor, with planted differences."""

from collections.abc import Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

LINEAGES = ("neutrophil", "stroma")


def library(name: str, donor: str, niche: str, **columns: str) -> dict[str, object]:
    """Return one row of a sample sheet; an empty donor is unknown."""
    tissue = {"extramedullary": "spleen", "marrow": "bone marrow"}[niche]
    row = {
        **{"sample": name, "dataset": "d1", "study": "A", "tissue": tissue, "niche": niche},
        **{"donor": donor or f"unknown:{name}", "donor_known": bool(donor), "condition": ""},
        **{"enrichment": "none", "chemistry": "10x", "batch": name, "sex": ""},
    }
    return {**row, **columns}


def two_arms(n: int, *, paired: bool = False, **columns: str) -> list[dict[str, object]]:
    """Return `n` spleen and `n` marrow libraries, of the same donors or of different ones."""
    rows = []
    for niche, letter in (("extramedullary", "s"), ("marrow", "m")):
        for i in range(n):
            donor = f"d{i}" if paired else f"{letter}{i}"
            rows.append(library(f"{letter}{i}", donor, niche, **columns))
    return rows


def cohort(
    libraries: Sequence[Mapping[str, object]],
    *,
    seed: int,
    n_genes: int = 120,
    n_cells: int = 30,
    dispersion: float = 0.2,
    donor_sd: float = 0.0,
    effects: Mapping[str, float] | None = None,
    lineages: Sequence[str] = LINEAGES,
    case: str = "",
    unmeasured: Mapping[str, Sequence[str]] | None = None,
) -> tuple[ad.AnnData, pd.DataFrame]:
    """Simulate the cells of a cohort.

    Parameters
    ----------
    libraries
        Rows of the sample sheet; see :func:`library`.
    seed
        Of the random numbers.
    n_genes
        Genes, called ``g0``, ``g1`` and so on.
    n_cells
        Cells of each lineage in each library.
    dispersion
        Of the negative binomial between libraries of one arm.
    donor_sd
        Standard deviation of what a donor's libraries share (natural log).
    effects
        Gene -> log2 fold change in extramedullary libraries.
    lineages
        Lineages of the cells.
    case
        Condition whose extramedullary libraries have the effects; empty for any.
    unmeasured
        Dataset -> genes that its matrix does not hold.

    Returns
    -------
    cells, annotation
        As the stages before hand them over.
    """
    rng = np.random.default_rng(seed)
    genes = [f"g{i}" for i in range(n_genes)]
    level = np.exp(rng.normal(1.0, 1.3, n_genes))
    level /= level.sum()
    donors = {row["donor"] for row in libraries}
    shared = {donor: np.exp(rng.normal(0, donor_sd, n_genes)) for donor in sorted(donors)}
    change = np.array([2.0 ** (effects or {}).get(gene, 0.0) for gene in genes])
    counts, obs, labels = [], [], []
    for row in libraries:
        for lineage in lineages:
            mean = level * shared[row["donor"]] * rng.gamma(1 / dispersion, dispersion, n_genes)
            changed = row["niche"] == "extramedullary" and case in ("", row["condition"])
            mean = mean * (change if changed else 1.0)
            depth = rng.gamma(5.0, 100.0, (n_cells, 1))
            counts.append(rng.poisson(depth * mean))
            obs += [row] * n_cells
            labels += [lineage] * n_cells
    matrix = np.vstack(counts).astype(np.float32)
    table = pd.DataFrame(obs)
    table.index = [f"{row['sample']}:c{i}" for i, row in enumerate(obs)]
    datasets = sorted(table["dataset"].unique())
    measured = pd.DataFrame(True, index=genes, columns=datasets)
    for dataset, names in (unmeasured or {}).items():
        measured.loc[list(names), dataset] = False
        rows = (table["dataset"] == dataset).to_numpy()
        matrix[np.ix_(rows, [genes.index(name) for name in names])] = 0
    table["n_counts"], table["ambient"] = matrix.sum(axis=1), np.nan
    soup = {
        sample: matrix[(table["sample"] == sample).to_numpy()].sum(axis=0)
        for sample in table["sample"].unique()
    }
    cells = ad.AnnData(sparse.csr_matrix(matrix), table, pd.DataFrame(index=genes))
    cells.varm["measured"] = measured
    cells.varm["ambient"] = pd.DataFrame(soup, index=genes).pipe(lambda t: t / t.sum())
    annotation = pd.DataFrame({"cell_id": table.index, "lineage": labels, "cell_type": labels})
    return cells, annotation


def panel_of(genes: Sequence[str], tier: str = "core") -> pd.DataFrame:
    """Return a panel of ligands of one axis."""
    return pd.DataFrame({"axis": "X", "role": "ligand", "tier": tier, "gene": list(genes)})
