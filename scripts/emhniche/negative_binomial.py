"""Does a gene's expression differ between the arms, given how donors vary?

Counts of one cell type, summed by unit, are asked two things. How large is the difference: PyDESeq2
fits a negative binomial model whose dispersions are shared between genes, and the reported effect
is the most probable one under a weak, heavy-tailed prior, because the plain estimate of a gene that
one arm hardly has is anything between large and infinite. And could donors alone have made it: a
linear model of log counts, in which counting, which is known, and donors, which are not, are told
apart. The Wald test of the count model calls too much by a normal distribution and, by a t
distribution, too little of genes with few counts or with donors in the design.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from emhniche.frequency import Difference, compare_weighted
from emhniche.moderation import inverse_trigamma

TREND_GENES = 400
"""Genes beside the tested ones that the dispersions are learned from."""

MIN_GENES = 50
"""Genes with enough counts below which nothing is tested: how donors vary is learned from them."""

_MIN_COMMON = 100
_PRIOR_COUNTS = 0.5
_SMALLEST_PRIOR = 0.25
_COLUMNS = ["effect", "ci_low", "ci_high", "p"]


def compare_counts(
    counts: pd.DataFrame, matrix: pd.DataFrame, genes: Sequence[str], *, min_counts: int
) -> pd.DataFrame:
    """Test the last coefficient of a design in some genes.

    Parameters
    ----------
    counts
        Units x genes, summed raw counts of all measured genes, of which :data:`MIN_GENES` or more
        have `min_counts` counts.
    matrix
        Units x coefficients, of full column rank, with residual degrees of freedom; the last
        column is the factor (0 or 1).
    genes
        Genes to test, each with at least `min_counts` counts.
    min_counts
        Counts over all units that a gene needs to inform the dispersions.

    Returns
    -------
    pandas.DataFrame
        Indexed by gene: ``effect`` (log2 fold change, shrunken), ``ci_low`` and ``ci_high`` (its
        95 % interval) and ``p`` (moderated t of the weighted log counts; NaN where a single unit
        makes the difference by Cook's distance).

    References
    ----------
    Love MI, Huber W, Anders S (2014) Moderated estimation of fold change and dispersion for
    RNA-seq data with DESeq2. Genome Biol 15:550. doi:10.1186/s13059-014-0550-8

    Muzellec B et al. (2023) PyDESeq2: a python package for bulk RNA-seq differential expression
    analysis. Bioinformatics 39:btad547. doi:10.1093/bioinformatics/btad547

    Zhu A, Ibrahim JG, Love MI (2019) Heavy-tailed prior distributions for sequence count data:
    removing the noise and preserving large differences. Bioinformatics 35:2084-2092.
    doi:10.1093/bioinformatics/bty895

    Law CW et al. (2014) voom: precision weights unlock linear model analysis tools for RNA-seq read
    counts. Genome Biol 15:R29. doi:10.1186/gb-2014-15-2-r29 (weights from fitted counts;
    from memory)

    Satterthwaite FE (1946) An approximate distribution of estimates of variance components.
    Biometrics Bulletin 2:110-114. doi:10.2307/3002019
    """
    counts = counts.loc[matrix.index]
    sizes = size_factors(counts.to_numpy())
    fitted = counts[_informative(counts, genes, min_counts)]
    table, prior_df = _fit(fitted, matrix, sizes, genes)
    design = matrix.to_numpy()
    p = pd.Series(log_difference(fitted.to_numpy(), sizes, design).p, fitted.columns)
    result = pd.DataFrame(index=list(genes), columns=_COLUMNS, dtype=float)
    for gene, row in table.loc[list(genes)].iterrows():
        held, dispersion = counts[gene].to_numpy(), row["dispersion"]
        noise = _dispersion_share(design, row["mean"], dispersion)
        df = (len(design) - design.shape[1] + prior_df) / noise**2
        found, sd = _shrunken(held, design, sizes, dispersion)
        reach = stats.t.ppf(0.975, df) * sd
        limits = np.array([found, found - reach, found + reach]) / np.log(2)
        result.loc[gene] = [*limits, np.nan if row["outlier"] else p[gene]]
    return result


def log_difference(counts: np.ndarray, sizes: np.ndarray, matrix: np.ndarray) -> Difference:
    """Compare the logs of counts, weighted by what counting and donors make them vary.

    Parameters
    ----------
    counts
        Units x genes; how donors vary is learned from all of them.
    sizes
        Size factor of each unit.
    matrix
        Units x coefficients; the last one is compared.

    Returns
    -------
    Difference
        One value a gene, in log2.
    """
    sizes = sizes[:, None]
    values = np.log((counts + _PRIOR_COUNTS) / sizes)
    expected = np.exp(matrix @ np.linalg.lstsq(matrix, values, rcond=None)[0]) * sizes
    return compare_weighted(values, 1 / (expected + _PRIOR_COUNTS), matrix)


def size_factors(counts: np.ndarray) -> np.ndarray:
    """Return how deep each unit was sequenced, relative to the others.

    Parameters
    ----------
    counts
        Units x genes.

    Returns
    -------
    numpy.ndarray
        Median of ratios to the geometric mean over the genes that every unit has, if those are at
        least 100, else the total counts. Their geometric mean is 1.
    """
    common = (counts > 0).all(axis=0)
    if common.sum() >= _MIN_COMMON:
        logs = np.log(counts[:, common])
        sizes = np.median(logs - logs.mean(axis=0), axis=1)
    else:
        sizes = np.log(counts.sum(axis=1))
    return np.exp(sizes - sizes.mean())


def _informative(counts: pd.DataFrame, genes: Sequence[str], min_counts: int) -> list[str]:
    """Choose the tested genes and others, evenly spread over the range of expression."""
    total = counts.sum().drop(list(genes))
    total = total[total >= min_counts].sort_values(kind="stable")
    step = np.linspace(0, len(total) - 1, min(len(total), TREND_GENES)).round().astype(int)
    return sorted({*genes, *total.index[step]})


def _fit(
    counts: pd.DataFrame, matrix: pd.DataFrame, sizes: np.ndarray, genes: Sequence[str]
) -> tuple[pd.DataFrame, float]:
    """Fit dispersions and coefficients; return them and what the dispersions' prior is worth.

    All genes tell how dispersions spread; what comes after is fitted for `genes` alone and is NaN
    in the others, since each gene is then fitted by itself.
    """
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from threadpoolctl import threadpool_limits

    inference = DefaultInference(n_cpus=1)
    # genes are fitted one by one; threads that wait for each other make that five times as slow
    with warnings.catch_warnings(), threadpool_limits(1):
        # few residual degrees of freedom: what the t distribution is there for
        warnings.filterwarnings("ignore", "As the residual degrees of freedom", UserWarning)
        warnings.filterwarnings("ignore", "The dispersion trend curve", UserWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pydeseq2")
        data = DeseqDataSet(
            counts=counts.astype(int),
            metadata=pd.DataFrame(index=counts.index).assign(unit=counts.index),
            design=matrix,
            refit_cooks=False,
            inference=inference,
            quiet=True,
        )
        data.obs["size_factors"] = sizes
        data.layers["normed_counts"] = data.X / sizes[:, None]
        data.var["_normed_means"] = data.layers["normed_counts"].mean(axis=0)
        data.fit_genewise_dispersions()
        data.fit_dispersion_trend()
        data.fit_dispersion_prior()
        if np.isnan(data.uns["prior_disp_var"]):
            # no gene varies more than counting does
            data.uns["prior_disp_var"] = np.float64(_SMALLEST_PRIOR)
        data.var["non_zero"] = data.var_names.isin(genes)
        data.non_zero_idx = np.flatnonzero(data.var["non_zero"])
        data.non_zero_genes = data.var_names[data.non_zero_idx]
        data.fit_MAP_dispersions()
        data.fit_LFC()
        data.calculate_cooks()
    linear = matrix.to_numpy() @ data.varm["LFC"].to_numpy().T
    table = pd.DataFrame(
        {
            "mean": list((np.exp(linear) * sizes[:, None]).T),
            "dispersion": data.var["dispersions"],
            "outlier": data.cooks_outlier(),
        }
    )
    return table, 2 * inverse_trigamma(float(data.uns["prior_disp_var"]))


def _dispersion_share(matrix: np.ndarray, mean: np.ndarray, dispersion: float) -> float:
    """Return the share of the last coefficient's variance that dispersion makes.

    The rest is counting noise, which is known: only this share has to be estimated from few units,
    and the degrees of freedom grow by its inverse square (Satterthwaite).
    """
    known, whole = (
        np.linalg.pinv((matrix.T * weight) @ matrix)[-1, -1]
        for weight in (mean, mean / (1 + dispersion * mean))
    )
    return float(np.clip(1 - known / whole, 0.05, 1.0))


def _shrunken(
    counts: np.ndarray, matrix: np.ndarray, sizes: np.ndarray, dispersion: float
) -> tuple[float, float]:
    """Return mode and standard deviation of the last coefficient's posterior (natural log).

    Its prior is Cauchy of scale 1 (half of all effects within 1.44 in log2), so that it matters
    where counts are few and hardly elsewhere; the other coefficients have a wide normal prior.
    """
    wide, scale = 15.0, 1.0

    def cost(beta: np.ndarray) -> tuple[float, np.ndarray]:
        mean = np.exp(np.clip(matrix @ beta, -30, 30)) * sizes
        likelihood = special.xlogy(counts, mean) - (counts + 1 / dispersion) * np.log1p(
            dispersion * mean
        )
        slope = matrix.T @ ((counts - mean) / (1 + dispersion * mean))
        prior = np.log1p((beta[-1] / scale) ** 2) + (beta[:-1] ** 2).sum() / (2 * wide**2)
        pull = np.append(beta[:-1] / wide**2, 2 * beta[-1] / (scale**2 + beta[-1] ** 2))
        return prior - likelihood.sum(), pull - slope

    start = np.zeros(matrix.shape[1])
    start[0] = np.log(max(counts.sum(), 1) / sizes.sum())
    found = optimize.minimize(cost, start, jac=True, method="BFGS")
    beta = found.x
    mean = np.exp(np.clip(matrix @ beta, -30, 30)) * sizes
    weight = mean * (1 + dispersion * counts) / (1 + dispersion * mean) ** 2
    curve = (matrix.T * weight) @ matrix + np.eye(matrix.shape[1]) / wide**2
    curve[-1, -1] -= 1 / wide**2
    curve[-1, -1] += 2 * (scale**2 - beta[-1] ** 2) / (scale**2 + beta[-1] ** 2) ** 2
    variance = np.linalg.inv(curve)[-1, -1]
    return float(beta[-1]), float(np.sqrt(variance)) if variance > 0 else np.nan
