"""How much do the variances of many features tell about the variance of one?

With three donors an arm a single variance is hardly known. Features are borrowed from: each
variance is drawn towards the one that all features share, and the test gets the degrees of freedom
that this prior is worth.
"""

import numpy as np
from scipy import optimize, special, stats

_SAME = 1e-12


def inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = `value`.

    Parameters
    ----------
    value
        A positive number.

    Returns
    -------
    float
        The argument; infinite where `value` is not positive.
    """
    if value <= 0:
        return np.inf
    return float(optimize.brentq(lambda x: special.polygamma(1, x) - value, 1e-8, 1e12, xtol=1e-12))


def squeeze_variances(variances: np.ndarray, df: float) -> tuple[np.ndarray, float]:
    """Draw the variances of features towards a common value.

    Parameters
    ----------
    variances
        Residual variance of each feature, positive.
    df
        Residual degrees of freedom, the same for all.

    Returns
    -------
    squeezed
        Posterior variance of each feature.
    prior_df
        Degrees of freedom that the prior is worth; infinite when the features differ no more than
        chance makes them.

    References
    ----------
    Smyth GK (2004) Linear models and empirical Bayes methods for assessing differential expression
    in microarray experiments. Stat Appl Genet Mol Biol 3:3. doi:10.2202/1544-6115.1027
    """
    if len(variances) < 3:
        return variances, 0.0
    logs = np.log(variances) - special.digamma(df / 2) + np.log(df / 2)
    spread = logs.var(ddof=1) - special.polygamma(1, df / 2)
    prior_df = 2 * inverse_trigamma(spread)
    if np.isinf(prior_df):
        return np.full(len(variances), np.exp(logs.mean())), prior_df
    prior = np.exp(logs.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2))
    return (prior_df * prior + df * variances) / (prior_df + df), prior_df


def moderated_test(
    values: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Test the last coefficient of a linear model in each feature, with moderated variances.

    Parameters
    ----------
    values
        Units x features.
    matrix
        Units x coefficients, of full column rank, fewer coefficients than units.

    Returns
    -------
    effect, low, high, p
        Coefficient, its 95 % interval and two-sided p, each of length features.
    """
    n_units, n_coefficients = matrix.shape
    df = n_units - n_coefficients
    fitted, *_ = np.linalg.lstsq(matrix, values, rcond=None)
    variances = ((values - matrix @ fitted) ** 2).sum(axis=0) / df
    squeezed, prior_df = squeeze_variances(np.maximum(variances, 1e-12), df)
    error = np.sqrt(squeezed * np.linalg.inv(matrix.T @ matrix)[-1, -1])
    total_df = min(df + prior_df, df * values.shape[1])
    reach = stats.t.ppf(0.975, total_df) * error
    p = 2 * stats.t.sf(np.abs(fitted[-1]) / error, total_df)
    return fitted[-1], fitted[-1] - reach, fitted[-1] + reach, p


def interval(*arms: np.ndarray) -> tuple[float, float]:
    """Return the 95 % t-interval of a difference of means, or of two such differences (Welch).

    Parameters
    ----------
    *arms
        One value a unit: test and reference; for a difference of differences also a second test
        and a second reference.

    Returns
    -------
    low, high
        NaN with fewer than two units in an arm, or when no unit differs from its arm.
    """
    if min(map(len, arms)) < 2:
        return np.nan, np.nan
    errors = np.array([np.var(arm, ddof=1) / len(arm) for arm in arms])
    if errors.sum() < _SAME:
        return np.nan, np.nan
    df = errors.sum() ** 2 / (errors**2 / [len(arm) - 1 for arm in arms]).sum()
    reach = stats.t.ppf(0.975, df) * np.sqrt(errors.sum())
    middle = np.dot([np.mean(arm) for arm in arms], [1, -1, -1, 1][: len(arms)])
    return float(middle - reach), float(middle + reach)


def adjust(p: np.ndarray) -> np.ndarray:
    """Return Benjamini-Hochberg q-values of one family; NaN stays NaN and is not counted.

    Parameters
    ----------
    p
        Two-sided p-values, NaN where nothing was tested.

    Returns
    -------
    numpy.ndarray
        q-values.

    References
    ----------
    Benjamini Y, Hochberg Y (1995) Controlling the false discovery rate: a practical and powerful
    approach to multiple testing. J R Stat Soc B 57:289-300.
    doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    p = np.asarray(p, dtype=float)
    q = np.full(len(p), np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested], method="bh")
    return q
