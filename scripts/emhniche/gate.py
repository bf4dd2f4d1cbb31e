"""Do the case donors hold more cells above the naive range than the reference donors do?

Donors differ, so a threshold set on cells makes false calls in most comparisons where nothing
differs. The functions here take donors as units: a share of cells per donor, a test between the
donors of two arms, a comparison with random gene sets, and a cell threshold whose false discovery
rate carries the spread between reference donors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from scipy import stats

from emhniche.residual import (
    Covariate,
    balanced_weights,
    covariate_design,
    fit_scatter,
    gene_rates,
    set_scores,
    standardisation,
    weighted_quantile,
)

NAIVE_QUANTILE = 0.95
"""Exceedance is the share of a donor's cells above this quantile of the calibration cells."""

RANDOM_QUANTILE = 0.95
"""The effect must lie above this quantile of the effects of random gene sets."""

BOUND = 0.95
"""Level of the one-sided upper bound of the naive exceedance over donors."""

MATCHES = 30
"""Genes of nearest expression that a signature gene may be replaced by in a random set."""

MAX_SPLITS = 20_000
"""Above this number of splits of the donors, the permutation test draws splits at random."""

SETS_AT_ONCE = 50
"""Random sets whose residuals are in memory together."""

N_BOOTSTRAP = 2000


@dataclass(frozen=True)
class GateTest:
    """Comparison of two arms on the square root of the exceedance.

    Attributes
    ----------
    effect
        Mean square-root exceedance of the test donors minus that of the reference donors.
    p
        One-sided t test with pooled variance: the one that decides.
    p_welch
        One-sided Welch test.
    p_permutation
        One-sided permutation test, exact for up to 20,000 splits.
    """

    effect: float
    p: float
    p_welch: float
    p_permutation: float


def naive_threshold(residual: np.ndarray, donor: np.ndarray) -> float:
    """Return the calibration cells' 95th percentile, every donor with the same weight."""
    return weighted_quantile(residual, balanced_weights(donor), NAIVE_QUANTILE)


def donor_gate(test: np.ndarray, reference: np.ndarray, *, seed: int) -> GateTest:
    """Test whether exceedance is higher in the test donors.

    Parameters
    ----------
    test, reference
        Share of cells above the naive threshold, one value a donor, at least two each.
    seed
        Seed of the random splits, where there are too many to try all.

    Returns
    -------
    GateTest
        Effect and three one-sided p-values.

    References
    ----------
    Squair et al. 2021, doi 10.1038/s41467-021-25960-2: tests on cells instead of donors make
    false discoveries.
    """
    a, b = np.sqrt(test), np.sqrt(reference)
    effect = float(a.mean() - b.mean())
    permuted = _permutation_p(a, b, effect, seed)
    if np.ptp(a) + np.ptp(b) == 0:
        return GateTest(effect, permuted, permuted, permuted)
    pooled = stats.ttest_ind(a, b, alternative="greater").pvalue
    welch = stats.ttest_ind(a, b, equal_var=False, alternative="greater").pvalue
    return GateTest(effect, float(pooled), float(welch), permuted)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return Benjamini-Hochberg adjusted p-values; NaN stays NaN and is not counted."""
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    if len(known):
        adjusted[known] = stats.false_discovery_control(p[known])
    return adjusted


def matched_genes(
    rates: dict[str, float], signature: Sequence[str], excluded: set[str]
) -> list[list[str]]:
    """Return for each signature gene the candidates that may stand for it in a random set.

    Parameters
    ----------
    rates
        Share of all counts of each gene in the lineage.
    signature
        Genes to match, all in `rates`.
    excluded
        Genes that may not be drawn (the signature's own and the covariates').

    Returns
    -------
    list of list of str
        Up to 30 genes of nearest log rate for each signature gene; the same in any gene order.
    """
    names = np.array(sorted(g for g, rate in rates.items() if rate > 0 and g not in excluded))
    log_rate = np.log([rates[g] for g in names])
    candidates = []
    for gene in signature:
        distance = np.abs(log_rate - np.log(rates[gene]))
        candidates.append(names[np.argsort(distance, kind="stable")[:MATCHES]].tolist())
    return candidates


def draw_sets(candidates: Sequence[Sequence[str]], n_random: int, seed: int) -> list[list[str]]:
    """Draw `n_random` gene sets, one candidate for each signature gene, none twice in a set.

    Parameters
    ----------
    candidates
        For each signature gene the genes that may stand for it.
    n_random
        Number of sets.
    seed
        Seed of the draws.

    Returns
    -------
    list of list of str
        The sets; shorter than the signature only where the candidates run out.
    """
    rng = np.random.default_rng(seed)
    sets = []
    for _ in range(n_random):
        chosen: list[str] = []
        for genes in candidates:
            free = [g for g in genes if g not in chosen]
            if free:
                chosen.append(free[rng.integers(len(free))])
        sets.append(chosen)
    return sets


def set_effects(
    counts: np.ndarray,
    membership: np.ndarray,
    covariates: Sequence[Covariate],
    depth: np.ndarray,
    donor: np.ndarray,
    reference: np.ndarray,
) -> np.ndarray:
    """Return the gate's effect for many gene sets, fitted alike on all reference cells.

    Parameters
    ----------
    counts
        Cells x genes, raw counts of the genes of all sets.
    membership
        Genes x sets, true where the gene is in the set.
    covariates
        Covariate sets on the same cells.
    depth
        Total count of each cell.
    donor
        Donor of each cell, as integers from 0 without a gap.
    reference
        Whether the cell belongs to a reference donor; the others are cases.

    Returns
    -------
    numpy.ndarray
        One effect a set: mean square-root exceedance of case donors minus reference donors.
    """
    rows = np.flatnonzero(reference)
    weights = balanced_weights(donor[rows])
    effects = []
    for some, residual in set_residuals(counts, membership, covariates, depth, donor, reference):
        held = counts @ membership[:, some] > 0
        effects += [
            _effect(column, has, donor, reference, rows, weights)
            for column, has in zip(residual.T, held.T, strict=True)
        ]
    return np.array(effects)


def set_residuals(
    counts: np.ndarray,
    membership: np.ndarray,
    covariates: Sequence[Covariate],
    depth: np.ndarray,
    donor: np.ndarray,
    reference: np.ndarray,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the residuals of many gene sets, some sets at a time.

    Parameters are those of :func:`set_effects`.

    Yields
    ------
    slice, numpy.ndarray
        Which sets, and cells x these sets.
    """
    rows = np.flatnonzero(reference)
    weights = balanced_weights(donor[rows])
    rates = gene_rates(counts[rows], depth[rows], weights)
    design = covariate_design(covariates, depth, rows, weights)
    centre, scale = standardisation(design[rows], weights)
    design = ((design - centre) / scale).astype(np.float32)
    every = set_scores(counts, depth, rates, membership)
    for start in range(0, every.shape[1], SETS_AT_ONCE):
        some = slice(start, start + SETS_AT_ONCE)
        scores = every[:, some]
        yield some, fit_scatter(design[rows], scores[rows], weights).residual(scores, design)


def set_membership(sets: Sequence[Sequence[str]]) -> tuple[list[str], np.ndarray]:
    """Return the genes of all sets, sorted, and genes x sets, 1 where the gene is in the set."""
    pool = sorted({gene for chosen in sets for gene in chosen})
    position = {gene: i for i, gene in enumerate(pool)}
    membership = np.zeros((len(pool), len(sets)), dtype=np.float32)
    for k, chosen in enumerate(sets):
        membership[[position[gene] for gene in chosen], k] = 1
    return pool, membership


def _effect(
    residual: np.ndarray,
    held: np.ndarray,
    donor: np.ndarray,
    reference: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
) -> float:
    """Return the difference between the arms in mean square-root exceedance."""
    above = held & (residual > weighted_quantile(residual[rows], weights, NAIVE_QUANTILE))
    share = np.sqrt(np.bincount(donor, weights=above) / np.bincount(donor))
    is_reference = np.bincount(donor, weights=reference) > 0
    return share[~is_reference].mean() - share[is_reference].mean()


def decoy_q(case: np.ndarray, reference: Sequence[np.ndarray]) -> np.ndarray:
    """Estimate for each case cell the false discovery rate of calling it and all above it.

    Parameters
    ----------
    case
        Residuals of the supported case cells; minus infinity for cells that may not be called.
    reference
        Held-out residuals of the supported cells of each reference donor: the decoys.

    Returns
    -------
    numpy.ndarray
        q of each case cell: the lowest estimate among thresholds at or below its residual, so that
        ``q <= level`` calls the cells above the first threshold that reaches the level.

    References
    ----------
    Elias and Gygi 2007, doi 10.1038/nmeth1019: target-decoy estimation.
    """
    order = np.argsort(case, kind="stable")
    threshold = case[order]
    decoys = [np.sort(r) for r in reference]
    hits = np.array([len(d) - np.searchsorted(d, threshold, side="left") for d in decoys], float)
    sizes = np.array([len(d) for d in decoys])
    shares = hits / sizes[:, None]
    error = shares.std(axis=0, ddof=1) / np.sqrt(len(decoys))
    bound = shares.mean(axis=0) + stats.t.ppf(BOUND, len(decoys) - 1) * error
    floor = (hits.sum(axis=0) + 1) / (sizes.sum() + 1)
    called = len(case) - np.searchsorted(threshold, threshold, side="left")
    estimate = np.minimum(1.0, np.maximum(bound, floor) * len(case) / called)
    q = np.empty(len(case))
    q[order] = np.minimum.accumulate(estimate)
    return q


def conformal_p(residual: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return each cell's share of calibration residuals at or above its own, (k + 1) / (n + 1)."""
    decoys = np.sort(reference)
    above = len(decoys) - np.searchsorted(decoys, residual, side="left")
    return (above + 1) / (len(decoys) + 1)


def pooled_q(case: np.ndarray, reference: Sequence[np.ndarray]) -> np.ndarray:
    """Adjust the case cells' conformal p-values, reference cells pooled (Benjamini-Hochberg).

    Takes what :func:`decoy_q` takes, and is nowhere above it: the reference cells count as if they
    came from one donor, so that q says nothing of how donors differ.

    References
    ----------
    Bates et al. 2023, doi 10.1214/22-AOS2244: conformal p-values under Benjamini-Hochberg.
    """
    return benjamini_hochberg(conformal_p(case, np.concatenate(reference)))


def excess_fraction(
    case: np.ndarray, reference: np.ndarray, *, seed: int
) -> tuple[float, float, float]:
    """Return the excess share of cells in case donors with a donor bootstrap.

    Parameters
    ----------
    case, reference
        Exceedance of each donor.
    seed
        Seed of the bootstrap.

    Returns
    -------
    estimate, low, high : float
        ``(mean case - mean reference) / (1 - mean reference)`` and its 95 % percentile interval
        over 2,000 resamples of the donors of each arm.
    """
    rng = np.random.default_rng(seed)
    draws_case = rng.choice(case, (N_BOOTSTRAP, len(case))).mean(axis=1)
    draws_reference = rng.choice(reference, (N_BOOTSTRAP, len(reference))).mean(axis=1)
    low, high = np.quantile(_excess(draws_case, draws_reference), [0.025, 0.975])
    return float(_excess(case.mean(), reference.mean())), float(low), float(high)


CELL_Q = {"fdr": decoy_q, "power": pooled_q}
"""What estimates the false discovery rate of the called cells in each mode."""


def _excess(case: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return (case - reference) / np.maximum(1.0 - reference, 1e-9)


def _permutation_p(a: np.ndarray, b: np.ndarray, effect: float, seed: int) -> float:
    """Share of splits of the donors with an effect at least as large."""
    pooled = np.concatenate([a, b])
    n, total = len(a), len(a) + len(b)
    if comb(total, n) <= MAX_SPLITS:
        splits = np.array(list(combinations(range(total), n)))
        extra = 0
    else:
        rng = np.random.default_rng(seed)
        splits = np.argsort(rng.random((MAX_SPLITS, total)), axis=1)[:, :n]
        extra = 1
    inside = pooled[splits].sum(axis=1)
    effects = inside / n - (pooled.sum() - inside) / (total - n)
    hits = np.count_nonzero(effects >= effect - 1e-12)
    return float((hits + extra) / (len(splits) + extra))
