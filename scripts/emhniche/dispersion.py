"""How much more than counting does a gene vary between cells of one type?

Counts y of gene g in cell i are negative binomial with mean mu = n_i r (n_i: counts of the cell,
r: the gene's rate in the cell's group) and variance mu + phi mu^2. phi is estimated by moments,
each cell weighted by what it tells of phi, and drawn towards the trend over expression as far as
the gene itself tells little.
"""

from collections.abc import Iterable

import numpy as np
from scipy import sparse

LOWEST, HIGHEST = 0.02, 5.0
"""Bounds of a dispersion: below them nothing changes any more, above them few cells decide."""

FLOATING = 0.1
"""A group with less than this share of the highest group's rate has no say in a gene's dispersion:
its counts may be ambient RNA or a few misplaced cells."""

_TYPICAL = 0.3
_BINS = 30
_ENOUGH = 200.0


def dispersions(
    groups: Iterable[sparse.csr_matrix], columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate one dispersion for each gene from groups of like cells.

    Parameters
    ----------
    groups
        Cells x genes raw counts of each group (one library, one cell type), all with one set of
        genes; every cell has a count.
    columns
        Which of the genes to estimate; all of them make the size of a cell.

    Returns
    -------
    tuple of numpy.ndarray
        The dispersion of each gene, within :data:`LOWEST` and :data:`HIGHEST`, and the weight of
        the gene's own counts in it (0: all trend, 1: all its own).

    Notes
    -----
    With w = mu^2 / (V + 2 V^2), V = mu + 0.3 mu^2 (the variance of a squared deviation, about),
    phi_hat = sum w ((y - mu)^2 n/(n - 1) - mu) / sum w mu^2 and its precision I = sum w mu^2.
    The trend is the I-weighted mean of phi_hat over genes of like information, tau^2 what phi_hat
    varies about it beyond 1/I; phi = (I phi_hat + trend / tau^2) / (I + 1 / tau^2).

    References
    ----------
    Robinson MD, Smyth GK (2007) Moderated statistical tests for assessing differences in tag
    abundance. Bioinformatics 23:2881-2887 (the idea of shrinking; DOI from memory:
    10.1093/bioinformatics/btm453). The weights and the normal approximation are ours.
    """
    moments = [_moments(counts, columns) for counts in groups]
    rate, excess, information = (np.array(part) for part in zip(*moments, strict=True))
    own_rna = rate >= FLOATING * rate.max(axis=0)
    excess, information = (excess * own_rna).sum(axis=0), (information * own_rna).sum(axis=0)
    raw = excess / np.maximum(information, 1e-12)
    trend, spread = _trend(raw, information)
    own = information / (information + 1 / spread)
    raw = np.clip(raw, -HIGHEST, HIGHEST)
    return np.clip(own * raw + (1 - own) * trend, LOWEST, HIGHEST), own


def _moments(counts: sparse.csr_matrix, columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return rate, weighted excess of squared deviations and information of each gene."""
    size = np.asarray(counts.sum(axis=1), dtype=float).reshape(-1, 1)
    counts = counts[:, columns].tocsc()
    rate = np.asarray(counts.sum(axis=0), dtype=float).ravel() / size.sum()
    n_cells, n_genes = counts.shape
    excess, information = np.zeros(n_genes), np.zeros(n_genes)
    for start in range(0, n_genes, 500):
        part = slice(start, start + 500)
        mean = size * rate[part]
        variance = mean + _TYPICAL * mean**2
        weight = mean**2 / np.maximum(variance + 2 * variance**2, 1e-300)
        held = counts[:, part].toarray().astype(float)
        deviation = (held - mean) ** 2 * n_cells / max(n_cells - 1, 1) - mean
        excess[part] = (weight * deviation).sum(axis=0)
        information[part] = (weight * mean**2).sum(axis=0)
    return rate, excess, information


def _trend(raw: np.ndarray, information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what genes of like information have on average, and how they vary about it."""
    order = np.argsort(information, kind="stable")
    trend, spread = np.empty_like(raw), np.empty_like(raw)
    for rows in _bins(order, information):
        weight = np.maximum(information[rows], 1e-12)
        bounded = np.clip(raw[rows], -HIGHEST, HIGHEST)
        centre = np.average(bounded, weights=weight)
        noise = len(rows) / weight.sum()
        beyond = np.average((bounded - centre) ** 2, weights=weight) - noise
        trend[rows] = max(centre, LOWEST)
        spread[rows] = max(beyond, 0.01)
    return trend, spread


def _bins(order: np.ndarray, information: np.ndarray) -> list[np.ndarray]:
    """Cut the ordered genes into bins, the lowest as wide as it takes to learn from it."""
    bins = np.array_split(order, min(_BINS, len(order)))
    while len(bins) > 1 and information[bins[0]].sum() < _ENOUGH:
        bins = [np.concatenate(bins[:2]), *bins[2:]]
    return bins
