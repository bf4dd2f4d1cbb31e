"""How much more of a signature does a cell make than its maturation, stress and depth explain?

A published MDSC signature follows neutrophil maturation more than disease, so its raw score says
little. Here each gene's count is compared with the count expected from the cell's depth, the
deviations are averaged over the signature, and a ridge regression takes out what maturation,
immediate-early genes, interferon genes and depth predict. A second regression predicts how far
cells of that maturation and depth scatter, for where a gene is common its count scatters more, and
a shift in maturation alone would look like an excess of high cells. Both are learned on calibration
cells only, and never on the donor whose cells are being judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DISPERSION = 0.1
"""Variance of a count is mu + DISPERSION * mu**2."""

CLIP = 5.0
"""One gene can move a cell by at most this many standard deviations."""

RIDGE = 1.0
"""Penalty on standardised coefficients, in cells: a fit on hundreds of cells hardly shrinks."""

MIN_SPREAD = 0.5
"""A cell's predicted spread is at least this part of the mean spread."""

ROOT_HALF_PI = float(np.sqrt(np.pi / 2))
"""Standard deviations in a mean absolute deviation of a normal variable."""

CELLS_AT_ONCE = 10_000
"""Cells whose deviations are in memory together."""

SUPPORT = (0.01, 0.99)
"""Maturation outside this range of the calibration cells is unsupported."""


@dataclass(frozen=True)
class Covariate:
    """Counts of one covariate gene set.

    Attributes
    ----------
    name
        Name of the set.
    counts
        Cells x genes of the set, raw counts.
    stage
        -1 for an early maturation set, 1 for a late one, 0 for a set that is not maturation.
    """

    name: str
    counts: np.ndarray
    stage: int


@dataclass(frozen=True)
class Residuals:
    """Per-cell results, each an array of cells.

    Attributes
    ----------
    score
        Mean standardised count over the signature.
    maturation
        Mean score of the late sets minus mean score of the early sets.
    residual
        Score minus what the covariates predict, in the standard deviations they predict.
    supported
        Whether maturation lies within the calibration cells' 1-99 % range.
    """

    score: np.ndarray
    maturation: np.ndarray
    residual: np.ndarray
    supported: np.ndarray


def held_out_residuals(
    target: np.ndarray,
    covariates: Sequence[Covariate],
    depth: np.ndarray,
    fold: np.ndarray,
) -> Residuals:
    """Score every cell with rates and a regression that its own fold had no part in.

    Parameters
    ----------
    target
        Cells x signature genes, raw counts.
    covariates
        Covariate sets on the same cells, at least one early and one late.
    depth
        Total count of each cell, above zero.
    fold
        Calibration fold of each cell (its donor) as integer; -1 where the cell is not calibration.
        Cells of fold k are judged by the other folds, cells of fold -1 by all. With a single fold
        every cell is judged by that fold, itself included.

    Returns
    -------
    Residuals
        Arrays in the order of the cells.
    """
    folds = np.unique(fold[fold >= 0])
    empty = np.full(len(depth), np.nan)
    parts = Residuals(empty.copy(), empty.copy(), empty.copy(), np.zeros(len(depth), bool))
    for held_out in [-1, *folds]:
        rows = np.flatnonzero(fold == held_out)
        training = np.flatnonzero((fold >= 0) & (fold != held_out))
        if len(folds) == 1:
            training = np.flatnonzero(fold >= 0)
        if len(rows) == 0:
            continue
        fit = fit_calibration(target, covariates, depth, training, balanced_weights(fold[training]))
        score, maturation, residual = fit.apply(target, covariates, depth, rows)
        parts.score[rows] = score
        parts.maturation[rows] = maturation
        parts.residual[rows] = residual
        parts.supported[rows] = (maturation >= fit.support[0]) & (maturation <= fit.support[1])
    return parts


def balanced_weights(group: np.ndarray) -> np.ndarray:
    """Return weights of mean 1 that give every group (donor) the same total."""
    _, code, size = np.unique(group, return_inverse=True, return_counts=True)
    return len(group) / (len(size) * size[code])


def gene_rates(counts: np.ndarray, depth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return each gene's smoothed share of all counts, from weighted cells."""
    return (weights @ counts + 0.5) / (weights @ depth + 1.0)


def standardised(counts: np.ndarray, depth: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return each count's deviation from depth * rate in its standard deviation, clipped.

    Parameters
    ----------
    counts
        Cells x genes.
    depth
        Total count of each cell.
    rates
        Expected share of each gene.

    Returns
    -------
    numpy.ndarray
        Cells x genes, float32, within +-5.
    """
    mean = np.multiply.outer(depth.astype(np.float32), rates.astype(np.float32))
    deviation = np.subtract(counts, mean, dtype=np.float32)
    spread = np.multiply(mean, np.float32(DISPERSION))
    spread += 1
    spread *= mean
    deviation /= np.sqrt(spread, out=spread)
    return np.clip(deviation, -CLIP, CLIP, out=deviation)


@dataclass(frozen=True)
class Calibration:
    """What was learned on calibration cells and can be applied to any cell."""

    rates: np.ndarray
    covariate_rates: list[np.ndarray]
    centre: np.ndarray
    scale: np.ndarray
    model: "ScatterModel"
    support: tuple[float, float]

    def apply(
        self,
        target: np.ndarray,
        covariates: Sequence[Covariate],
        depth: np.ndarray,
        rows: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return score, maturation and residual of the cells `rows`."""
        score = standardised(target[rows], depth[rows], self.rates).mean(axis=1, dtype=float)
        design, maturation = _design(covariates, depth, rows, self.covariate_rates)
        residual = self.model.residual(score[:, None], (design - self.centre) / self.scale)
        return score, maturation, residual[:, 0]


def fit_calibration(
    target: np.ndarray,
    covariates: Sequence[Covariate],
    depth: np.ndarray,
    training: np.ndarray,
    weights: np.ndarray,
) -> Calibration:
    """Learn rates, regression and the supported maturation range on the cells `training`.

    Parameters
    ----------
    target
        Cells x signature genes.
    covariates
        Covariate sets on the same cells.
    depth
        Total count of each cell.
    training
        Positions of the calibration cells.
    weights
        Weight of each of them, mean 1.

    Returns
    -------
    Calibration
        Rates, standardisation, regressions and range.
    """
    rates = gene_rates(target[training], depth[training], weights)
    covariate_rates = [gene_rates(c.counts[training], depth[training], weights) for c in covariates]
    score = standardised(target[training], depth[training], rates).mean(axis=1, dtype=float)
    design, maturation = _design(covariates, depth, training, covariate_rates)
    centre, scale = standardisation(design, weights)
    model = fit_scatter((design - centre) / scale, score[:, None], weights)
    low, high = (weighted_quantile(maturation, weights, level) for level in SUPPORT)
    return Calibration(rates, covariate_rates, centre, scale, model, (low, high))


@dataclass(frozen=True)
class ScatterModel:
    """Regressions of scores and of their absolute deviations on a standardised design.

    Attributes
    ----------
    mean, spread
        (1 + covariates) x responses, intercept first.
    """

    mean: np.ndarray
    spread: np.ndarray

    def residual(self, response: np.ndarray, design: np.ndarray) -> np.ndarray:
        """Return deviations from the predicted mean in predicted standard deviations."""
        expected = np.maximum(_predict(self.spread, design), MIN_SPREAD * self.spread[0])
        deviation = ROOT_HALF_PI * np.where(expected > 1e-9, expected, expected.dtype.type(1))
        return (response - _predict(self.mean, design)) / deviation


def fit_scatter(design: np.ndarray, response: np.ndarray, weights: np.ndarray) -> ScatterModel:
    """Fit mean and spread of many responses on one standardised design.

    Parameters are those of :func:`ridge`.

    Returns
    -------
    ScatterModel
        What :meth:`ScatterModel.residual` needs.
    """
    mean = ridge(design, response, weights).astype(response.dtype)
    spread = ridge(design, np.abs(response - _predict(mean, design)), weights)
    return ScatterModel(mean, spread.astype(response.dtype))


def covariate_design(
    covariates: Sequence[Covariate], depth: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the design matrix of all cells with rates learned on the cells `rows`."""
    rates = [gene_rates(c.counts[rows], depth[rows], weights) for c in covariates]
    return _design(covariates, depth, np.arange(len(depth)), rates)[0]


def standardisation(design: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted mean and standard deviation of each column; 1 for a constant column."""
    centre = np.average(design, axis=0, weights=weights)
    scale = np.sqrt(np.average((design - centre) ** 2, axis=0, weights=weights))
    return centre, np.where(scale > 1e-9, scale, 1.0)


def ridge(design: np.ndarray, response: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit weighted ridge regressions of many responses on one standardised design.

    Parameters
    ----------
    design
        Cells x covariates, each with weighted mean 0.
    response
        Cells x responses.
    weights
        Weight of each cell, mean 1.

    Returns
    -------
    numpy.ndarray
        (1 + covariates) x responses; the first row is the unpenalised intercept.
    """
    intercept = np.average(response, axis=0, weights=weights)
    weighted = design * weights[:, None]
    gram = weighted.T @ design + RIDGE * np.eye(design.shape[1])
    slopes = np.linalg.solve(gram, weighted.T @ (response - intercept))
    return np.vstack([intercept, slopes])


def set_scores(
    counts: np.ndarray, depth: np.ndarray, rates: np.ndarray, membership: np.ndarray
) -> np.ndarray:
    """Return each cell's mean deviation over the genes of each set.

    Parameters
    ----------
    counts, depth, rates
        As for :func:`standardised`.
    membership
        Genes x sets, 1 where the gene is in the set.

    Returns
    -------
    numpy.ndarray
        Cells x sets, float32; the deviations are held for some cells at a time.
    """
    share = (membership / membership.sum(axis=0)).astype(np.float32)
    scores = np.empty((len(counts), share.shape[1]), dtype=np.float32)
    for start in range(0, len(counts), CELLS_AT_ONCE):
        some = slice(start, start + CELLS_AT_ONCE)
        np.matmul(standardised(counts[some], depth[some], rates), share, out=scores[some])
    return scores


def weighted_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """Return the smallest value whose cumulative weight reaches `level` of the total."""
    order = np.argsort(values)  # equal values may stand in any order: the result is one of them
    cumulative = np.cumsum(weights[order])
    position = np.searchsorted(cumulative, level * cumulative[-1] * (1 - 1e-12))
    return float(values[order[min(position, len(values) - 1)]])


def _predict(coefficients: np.ndarray, design: np.ndarray) -> np.ndarray:
    return coefficients[0] + design @ coefficients[1:]


def _design(
    covariates: Sequence[Covariate],
    depth: np.ndarray,
    rows: np.ndarray,
    rates: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return covariate scores with squares of the maturation sets and log depth; maturation."""
    scores = [
        standardised(c.counts[rows], depth[rows], rate).mean(axis=1, dtype=float)
        for c, rate in zip(covariates, rates, strict=True)
    ]
    squares = [s**2 for s, c in zip(scores, covariates, strict=True) if c.stage]
    late = np.mean([s for s, c in zip(scores, covariates, strict=True) if c.stage > 0], axis=0)
    early = np.mean([s for s, c in zip(scores, covariates, strict=True) if c.stage < 0], axis=0)
    return np.column_stack([*scores, *squares, np.log(depth[rows])]), late - early
