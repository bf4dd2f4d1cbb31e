"""Do two arms differ in per-cell values when the cells of one donor are alike?

A linear mixed model with a random intercept for each unit (a donor in an arm) and the audited
design as fixed effects. The design is the same for all cells of a unit, so the restricted
likelihood of all cells hangs on each unit's number of cells, mean and spread alone, and is
maximised from these: the same fit as on every cell, in a hundredth of the time.

With three donors an arm a single between-unit variance is hardly known, and its estimate is often
0. So the values that are tested together share the median ratio of the variances, which sets how
much a unit of few cells weighs; how far units then scatter is estimated for each value and drawn
towards the scatter of all, half of the way at most. The factor is tested by the degrees of freedom
of units, not of cells: those of the mean of both estimates, by Satterthwaite.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from emhniche.moderation import squeeze_variances

_GRID = np.concatenate([[0.0], np.logspace(-6, 4, 41)])
_GOLDEN = (np.sqrt(5) - 1) / 2
_STEPS = 25


@dataclass(frozen=True)
class Moments:
    """What the cells of each group hold of each value.

    Attributes
    ----------
    n
        Groups x values: cells with the value.
    mean
        Groups x values; NaN without a cell.
    within
        Groups x values: sum of squared deviations of the cells from the group's mean.
    """

    n: np.ndarray
    mean: np.ndarray
    within: np.ndarray


def compare_intercepts(moments: Moments, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Test the last coefficient of the design in a model with a random intercept for each unit.

    Parameters
    ----------
    moments
        Units x values. Each unit holds cells of each value.
    matrix
        Units x coefficients, of full column rank, fewer coefficients than units.

    Returns
    -------
    dict of numpy.ndarray
        Of each value: ``effect``, its 95 % interval ``ci_low`` and ``ci_high``, two-sided ``p``,
        ``between`` and ``within`` (variance of the units' intercepts by restricted maximum
        likelihood, and of the cells within a unit). A value that does not vary within units gets
        NaN.

    References
    ----------
    Laird NM, Ware JH (1982) Random-effects models for longitudinal data. Biometrics 38:963-974.
    doi:10.2307/2529876 (from memory). Smyth GK, Michaud J, Scott HS (2005) Use of within-array
    replicate spots for assessing differential expression in microarray experiments. Bioinformatics
    21:2067-2075. doi:10.1093/bioinformatics/bti270 (the ratio that all values share; from memory).
    Satterthwaite FE (1946) An approximate distribution of estimates of variance components.
    Biometrics Bulletin 2:110-114. doi:10.2307/3002019 (from memory).
    """
    names = ("effect", "ci_low", "ci_high", "p", "between", "within")
    found = {name: np.full(moments.n.shape[1], np.nan) for name in names}
    spare = moments.n.sum(axis=0) - len(matrix)
    within = moments.within.sum(axis=0) / np.maximum(spare, 1)
    varies = (within > 0) & (spare > 0)
    if not varies.any():
        return found
    moments = Moments(*(part[:, varies] for part in (moments.n, moments.mean, moments.within)))
    within = within[varies]
    ratio = restricted_ratio(moments, matrix)
    effect, error, df = _moderated(moments, matrix, np.median(ratio), within)
    reach = stats.t.ppf(0.975, df) * error
    p = 2 * stats.t.sf(np.abs(effect) / error, df)
    values = (effect, effect - reach, effect + reach, p, ratio * within, within)
    for name, value in zip(names, values, strict=True):
        found[name][varies] = value
    return found


def _moderated(
    moments: Moments, matrix: np.ndarray, ratio: float, within: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return effect, its standard error, and the degrees of freedom of all values."""
    n_values = len(within)
    weight, beta, _, inverse = _weighted(np.full(n_values, ratio), moments, matrix)
    df = matrix.shape[0] - matrix.shape[1]
    rest = moments.mean - matrix @ beta.T
    scatter = (weight * rest**2).sum(axis=0) / df / within
    squeezed, prior_df = squeeze_variances(np.maximum(scatter, 1e-12), df)
    total_df = df + prior_df
    if prior_df > df:
        # sets of genes differ in how far donors scatter: what all share weighs no more than the own
        share = df / (prior_df + df)
        common = (squeezed - share * scatter) / (1 - share)
        squeezed, total_df = (common + scatter) / 2, 4 / (1 / df + 1 / prior_df)
    error = np.sqrt(squeezed * within * inverse[:, -1, -1])
    return beta[:, -1], error, total_df


def restricted_ratio(moments: Moments, matrix: np.ndarray) -> np.ndarray:
    """Return the between-unit variance as a multiple of that within units.

    The best point of a grid of the restricted likelihood, then a golden-section search between its
    neighbours.

    Parameters
    ----------
    moments
        Units x values.
    matrix
        Units x coefficients.

    Returns
    -------
    numpy.ndarray
        One ratio a value, 0 or more.
    """
    n_values = moments.n.shape[1]
    lacks = np.array([_lack(np.full(n_values, r), moments, matrix) for r in _GRID])
    best = lacks.argmin(axis=0)
    low, high = _GRID[np.maximum(best - 1, 0)], _GRID[np.minimum(best + 1, len(_GRID) - 1)]
    for _ in range(_STEPS):
        width = _GOLDEN * (high - low)
        left, right = high - width, low + width
        lower = _lack(left, moments, matrix) < _lack(right, moments, matrix)
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    middle = (low + high) / 2
    at_zero = _lack(np.zeros(n_values), moments, matrix)
    return np.where(at_zero <= _lack(middle, moments, matrix), 0.0, middle)


def _lack(ratio: np.ndarray, moments: Moments, matrix: np.ndarray) -> np.ndarray:
    """Return -2 log restricted likelihood of each value, constants left out."""
    weight, beta, gram, _ = _weighted(ratio, moments, matrix)
    rest = moments.mean - matrix @ beta.T
    squares = moments.within.sum(axis=0) + (weight * rest**2).sum(axis=0)
    df = moments.n.sum(axis=0) - matrix.shape[1]
    lack = df * np.log(squares) + np.log1p(moments.n * ratio).sum(axis=0)
    return lack + np.linalg.slogdet(gram)[1]


def _weighted(
    ratio: np.ndarray, moments: Moments, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit the design to the means of units, a unit's mean weighted by its inverse variance.

    Returns weights (units x values), coefficients (values x coefficients), X'WX and its inverse.
    """
    weight = moments.n / (1 + moments.n * ratio)
    gram = np.einsum("us,ui,uj->sij", weight, matrix, matrix)
    inverse = np.linalg.inv(gram)
    moment = np.einsum("uj,us->sj", matrix, weight * moments.mean)
    return weight, np.einsum("sij,sj->si", inverse, moment), gram, inverse
