"""Is a kind of cell more frequent, given how cells are counted and how donors vary?

A frequency varies for two reasons. Counting is known: seven cells are seven give or take the root
of seven, whoever the donor is. Donors have to be learned from few. Taken together, as one variance
that kinds of cells share, a rare kind is lent the steadiness of the frequent ones and is called too
often. So they are told apart here: every count gets the weight that counting and a variance between
donors common to all kinds give it, and what a kind varies beyond that is moderated as usual.

Two readings are given. The odds of a kind against all other cells are what was seen. But fractions
sum to one: where one kind triples, the odds of all others fall. The second reading measures each
kind against the kind that changes least, the median one.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from emhniche.moderation import squeeze_variances

MIN_KINDS = 4
"""Kinds of cells below which there is no median kind that the others could be measured against."""

PRIOR_CELLS = 0.5
"""Cells added to every count, so that none has no logarithm."""


@dataclass(frozen=True)
class Difference:
    """What a design says of each kind of cell, on the log2 scale: arrays of length kinds.

    ``donors`` is the variance between donors that all kinds share, in squared natural log.
    """

    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    donors: float = np.nan


def compare_odds(held: np.ndarray, whole: np.ndarray, matrix: np.ndarray) -> Difference:
    """Compare the odds of each kind of cell against all others.

    Parameters
    ----------
    held
        Units x kinds, cells.
    whole
        Cells of each unit in all, those of no kind among them.
    matrix
        Units x coefficients, of full column rank, fewer coefficients than units; the last one is
        tested.

    Returns
    -------
    Difference
        Log2 odds ratio, its 95 % interval and two-sided p.

    References
    ----------
    Phipson B et al. (2022) propeller: testing for differences in cell type proportions in single
    cell data. Bioinformatics 38:4720-4726. doi:10.1093/bioinformatics/btac582

    Law CW et al. (2014) voom: precision weights unlock linear model analysis tools for RNA-seq read
    counts. Genome Biol 15:R29. doi:10.1186/gb-2014-15-2-r29 (weights from fitted counts;
    from memory)
    """
    whole = np.asarray(whole, dtype=float)[:, None]
    values = np.log((held + PRIOR_CELLS) / (whole - held + PRIOR_CELLS))
    share = 1 / (1 + np.exp(-_fitted(values, matrix)))
    noise = 1 / (whole * share + PRIOR_CELLS) + 1 / (whole * (1 - share) + PRIOR_CELLS)
    return _difference(*_fit(values, noise, matrix, centred=False))


def compare_abundance(held: np.ndarray, whole: np.ndarray, matrix: np.ndarray) -> Difference:
    """Compare the abundance of each kind of cell with that of the kind that changes least.

    If most kinds do not change, the median of all changes is what the others' growth does to a
    fraction, and is taken away (the bias correction of LinDA, with a median in place of a mode:
    there are too few kinds of cells to have a mode).

    Parameters
    ----------
    held, whole, matrix
        As for :func:`compare_odds`.

    Returns
    -------
    Difference
        Log2 fold change, its 95 % interval and two-sided p; NaN with fewer than :data:`MIN_KINDS`
        kinds.

    References
    ----------
    Zhou H et al. (2022) LinDA: linear models for differential abundance analysis of microbiome
    compositional data. Genome Biol 23:95. doi:10.1186/s13059-022-02655-5 (from memory)
    """
    if held.shape[1] < MIN_KINDS:
        return Difference(*np.full((4, held.shape[1]), np.nan))
    whole = np.asarray(whole, dtype=float)[:, None]
    values = np.log(held + PRIOR_CELLS) - np.log(whole)
    share = np.minimum(np.exp(_fitted(values, matrix)), 1.0)
    noise = 1 / (whole * share + PRIOR_CELLS)
    effect, error, df, donors = _fit(values, noise, matrix, centred=True)
    return _difference(effect - np.median(effect), error, df, donors)


def compare_weighted(values: np.ndarray, noise: np.ndarray, matrix: np.ndarray) -> Difference:
    """Compare values whose counting noise is known, such as logs of counts.

    Parameters
    ----------
    values
        Units x features, natural log.
    noise
        Units x features: the variance that counting gives each value.
    matrix
        As for :func:`compare_odds`.

    Returns
    -------
    Difference
        In log2.
    """
    return _difference(*_fit(values, noise, matrix, centred=False))


def coefficient(values: np.ndarray, variance: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the last coefficient of each feature alone, for given variances.

    Parameters
    ----------
    values, variance
        Units x features, natural log.
    matrix
        As for :func:`compare_odds`.

    Returns
    -------
    numpy.ndarray
        In log2.
    """
    return _weighted(values, variance, matrix, False)[1] / np.log(2)


def _fitted(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return what an unweighted linear model expects."""
    return matrix @ np.linalg.lstsq(matrix, values, rcond=None)[0]


def _difference(effect: np.ndarray, error: np.ndarray, df: float, donors: float) -> Difference:
    """Turn effects and standard errors in natural log into effects, intervals and p in log2."""
    reach = stats.t.ppf(0.975, df) * error
    p = 2 * stats.t.sf(np.abs(effect) / error, df)
    limits = (effect / np.log(2), (effect - reach) / np.log(2), (effect + reach) / np.log(2))
    return Difference(*limits, p, donors)


def _fit(
    values: np.ndarray, noise: np.ndarray, matrix: np.ndarray, *, centred: bool
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return the last coefficient of each kind, its standard error, degrees of freedom, variance.

    The variance between donors is the one at which the weighted residuals of all kinds are as
    large as they should be on average.
    """
    df = matrix.shape[0] - matrix.shape[1]

    def excess(donors: float) -> float:
        return float(_weighted(values, noise + donors, matrix, centred)[0].mean() - df)

    most = 1.0
    while excess(most) > 0:
        most *= 4
    donors = optimize.brentq(excess, 0, most, xtol=1e-4) if excess(0.0) > 0 else 0.0
    squares, effect, scale = _weighted(values, noise + donors, matrix, centred)
    squeezed, prior_df = squeeze_variances(np.maximum(squares / df, 1e-12), df)
    df = min(df + prior_df, df * values.shape[1])
    return effect, np.sqrt(squeezed * scale), df, donors


def _weighted(
    values: np.ndarray, variance: np.ndarray, matrix: np.ndarray, centred: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weighted residual sums of squares, coefficients and their unscaled variances.

    With `centred`, each unit's precision-weighted mean over kinds is taken from its values: what
    all kinds of a unit share is no noise of any of them. The sums of squares are scaled to what
    they would be of values that were not centred.
    """
    kept = np.ones(values.shape[1])
    if centred:
        share = 1 / variance.mean(axis=0)
        share = share / share.sum()
        values = values - (values * share).sum(axis=1, keepdims=True)
        left = variance * (1 - 2 * share) + (variance * share**2).sum(axis=1, keepdims=True)
        kept = (left / variance).mean(axis=0)
    root = 1 / np.sqrt(variance.T)[:, :, None]
    design, target = root * matrix, root * values.T[:, :, None]
    covariance = np.linalg.inv(np.swapaxes(design, 1, 2) @ design)
    found = covariance @ np.swapaxes(design, 1, 2) @ target
    squares = ((target - design @ found) ** 2).sum(axis=(1, 2))
    return squares / kept, found[:, -1, 0], covariance[:, -1, -1]
