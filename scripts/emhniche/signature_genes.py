"""Which genes of a signature still speak of pathology, once what else they follow is taken out?

A gene of the signature is used when it is measured and seen, belongs to none of the sets the score
is adjusted for, and does not rise in inflammation alone. Every gene that is not used is listed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emhniche.residual import balanced_weights, gene_rates

MIN_GENES = 5
"""A signature of fewer genes is a few genes' noise."""

MIN_CELLS_WITH_GENE = 3
"""A gene is seen when at least this many cells of the lineage hold a count of it."""

INFLAMED = 0.5
"""log2 fold change in the inflammation control above which a gene is taken out."""

MIN_COUNTS = 10
"""Counts of a gene in control and reference cells below which its change is not measurable."""


@dataclass(frozen=True)
class SignatureGenes:
    """Fate of each positive gene of a signature, in the signature's order."""

    used: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()
    not_detected: tuple[str, ...] = ()
    in_covariates: tuple[str, ...] = ()
    inflamed: tuple[str, ...] = ()


def select_genes(
    signature: Sequence[str],
    *,
    cells_with_gene: Mapping[str, int],
    covariates: Collection[str],
    inflamed: Collection[str],
) -> SignatureGenes:
    """Sort the genes of a signature by whether and why not they are used.

    Parameters
    ----------
    signature
        Positive genes.
    cells_with_gene
        Cells of the lineage that hold a count of each measured gene; other genes are not measured.
    covariates
        Genes of the sets that the score is adjusted for.
    inflamed
        Genes that rise in inflammation alone.

    Returns
    -------
    SignatureGenes
        Each gene once, at the first reason that applies.
    """
    fates: dict[str, list[str]] = {name: [] for name in SignatureGenes.__annotations__}
    for gene in dict.fromkeys(signature):
        if gene in covariates:
            fate = "in_covariates"
        elif gene not in cells_with_gene:
            fate = "not_measured"
        elif cells_with_gene[gene] < MIN_CELLS_WITH_GENE:
            fate = "not_detected"
        elif gene in inflamed:
            fate = "inflamed"
        else:
            fate = "used"
        fates[fate].append(gene)
    return SignatureGenes(**{name: tuple(genes) for name, genes in fates.items()})


def inflammation_change(
    counts: np.ndarray, depth: np.ndarray, donor: np.ndarray, control: np.ndarray
) -> np.ndarray:
    """Return the log2 fold change of genes in inflamed against reference cells.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    depth
        Total count of each cell.
    donor
        Donor of each cell; donors of an arm weigh the same.
    control
        True for cells of the inflammation control, false for reference cells.

    Returns
    -------
    numpy.ndarray
        One value a gene; NaN where fewer than 10 counts make the change not measurable, or where
        an arm has no cell.
    """
    change = np.full(counts.shape[1], np.nan)
    if control.all() or not control.any():
        return change
    rates = [
        gene_rates(counts[arm], depth[arm], balanced_weights(donor[arm]))
        for arm in (control, ~control)
    ]
    measurable = counts.sum(axis=0) >= MIN_COUNTS
    change[measurable] = np.log2(rates[0] / rates[1])[measurable]
    return change
