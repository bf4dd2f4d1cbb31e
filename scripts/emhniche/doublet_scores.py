"""How alike is each barcode to two cells in one droplet?

:func:`boosted_scores` follows scDblFinder (Germain 2021, doi 10.12688/f1000research.73600.1, from
memory): doublets are simulated by adding up pairs of barcodes, each barcode is described by how
many simulated ones lie near it at several distances, and gradient boosting learns from that who is
real. The barcodes that look most like doublets are taken out of the next round's real ones.
"""

import anndata as ad
import numpy as np
import scanpy as sc
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors

from emhniche.lineage import can_be_told

MIN_SIMULATED = 1500
"""Doublets simulated at least; otherwise as many as there are barcodes."""

N_COMPONENTS = 20
N_GENES = 1000
NEIGHBOURS = (5, 10, 20, 50)
"""Numbers of nearest barcodes among which simulated doublets are counted."""

ROUNDS = 3
FOLDS = 5


def boosted_scores(
    counts: sparse.csr_matrix, lineage: np.ndarray, *, rate: float, seed: int
) -> np.ndarray:
    """Score each barcode of one library for being two cells.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.
    lineage
        Coarse lineage of each barcode. Pairs are of two lineages that can be told from one cell
        (:func:`can_be_told`), where there are such.
    rate
        Share of the barcodes expected to be doublets: as many are taken out between rounds.
    seed
        Seed of pairs, folds and components.

    Returns
    -------
    numpy.ndarray
        Score a barcode in [0, 1]: 0.5 is as alike to simulated doublets as to real barcodes.
    """
    rng = np.random.default_rng(seed)
    n = counts.shape[0]
    one, other = _pairs(lineage, max(n, MIN_SIMULATED), rng)
    both = sparse.vstack([counts, counts[one] + counts[other]]).tocsr()
    simulated = np.arange(both.shape[0]) >= n
    depth = np.column_stack([np.log1p(np.asarray(both.sum(axis=1)).ravel()), both.getnnz(axis=1)])
    features = np.column_stack([_features(_components(both, n, seed), simulated), depth])
    real = np.ones(n, dtype=bool)
    scores = np.zeros(n)
    for turn in range(ROUNDS):
        trusted = np.concatenate([real, np.ones(len(one), dtype=bool)])
        scores = _out_of_fold(features, simulated, trusted, seed + turn)[:n]
        real = scores < np.quantile(scores, 1 - rate)
    return scores


def _pairs(
    lineage: np.ndarray, number: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of barcodes that can be told from one; any pairs where there are none."""
    names = np.unique(lineage)
    if not can_be_told(*map(np.ravel, np.meshgrid(names, names))).any():
        return rng.integers(len(lineage), size=number), rng.integers(len(lineage), size=number)
    one, other = np.empty(0, dtype=int), np.empty(0, dtype=int)
    while len(one) < number:
        a, b = rng.integers(len(lineage), size=number), rng.integers(len(lineage), size=number)
        differ = can_be_told(lineage[a], lineage[b])
        one, other = np.append(one, a[differ]), np.append(other, b[differ])
    return one[:number], other[:number]


def _components(both: sparse.csr_matrix, n: int, seed: int) -> np.ndarray:
    """Return principal components, learnt from the first `n` rows, of all."""
    cells = ad.AnnData(both)
    sc.pp.filter_genes(cells, min_cells=3)
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    real = cells[:n].copy()
    top = min(N_GENES, cells.n_vars)
    sc.pp.highly_variable_genes(real, n_top_genes=top, flavor="seurat")
    dense = cells.X[:, real.var["highly_variable"].to_numpy()].toarray()
    dense -= dense[:n].mean(axis=0)
    spread = dense[:n].std(axis=0)
    dense /= np.where(spread > 0, spread, 1.0)
    np.clip(dense, -10, 10, out=dense)
    number = min(N_COMPONENTS, n - 1, dense.shape[1])
    return PCA(number, random_state=seed).fit(dense[:n]).transform(dense)


def _features(points: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """Describe each point by its neighbours and its place."""
    most = min(max(NEIGHBOURS), len(points) - 1)
    distance, near = NearestNeighbors(n_neighbors=most + 1).fit(points).kneighbors(points)
    distance, near = distance[:, 1:], simulated[near[:, 1:]]
    weight = 1 / (distance + 1e-6)
    columns = [near[:, :k].mean(axis=1) for k in NEIGHBOURS]
    columns += [(weight * near).sum(axis=1) / weight.sum(axis=1)]
    columns += [distance[:, 0], distance[:, min(9, most - 1)]]
    return np.column_stack([*columns, points[:, :10]])


def _out_of_fold(
    features: np.ndarray, simulated: np.ndarray, trusted: np.ndarray, seed: int
) -> np.ndarray:
    """Return for each point how likely it is simulated, by a model that has not seen it."""
    scores = np.zeros(len(features))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, simulated):
        train = train[trusted[train]]
        model = HistGradientBoostingClassifier(
            max_iter=80, max_depth=4, l2_regularization=1.0, early_stopping=False, random_state=seed
        )
        model.fit(features[train], simulated[train])
        scores[test] = model.predict_proba(features[test])[:, 1]
    return scores
