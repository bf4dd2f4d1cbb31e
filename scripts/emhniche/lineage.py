"""Which lineage does a group of cells belong to?

Quality control and annotation both ask this of groups (clusters) rather than of single cells: the
pooled counts of a group have no dropout to speak of, so a handful of marker genes is enough.

A marker counts for a group as far as its rate comes, on a log scale, to the highest rate of any
group. So ambient RNA (every splenic B cell holds some neutrophil S100a8) does not name a cell, and
a lineage whose cell types differ (bone and fat lining stroma) is still one. Where no group makes
the marker, nobody does: the highest rate counts as :data:`FULL_RATE` at least, which keeps a sample
of one lineage from being split into several.
"""

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

UNRESOLVED = "unresolved"
"""Cells that have no identity: part of every total, never a group that is compared."""

JOINED = frozenset({("DC", "monocyte_macrophage")})
"""Lineages that cells pass between, beside HSPC, which every lineage comes from. A cell on its way
from one to the other looks like both in one droplet, so such pairs are not told apart."""

UNKNOWN = "unknown"
"""Label of a cell that is like none of the cells that labels were learnt from."""

ON_RATE = 20.0
"""Transcripts per million from which a rate counts. Ours; see docs/annotate.md."""

FULL_RATE = 500.0
"""Transcripts per million at which a marker is fully on when no group has more. Ours."""

NEGATIVE_WEIGHT = 0.5
"""Weight of the mean over a set's negative genes against the mean over its positive genes."""


def usual_lineages(labels: np.ndarray, lineage: np.ndarray) -> pd.Series:
    """Return which lineage the cells with each label usually have.

    Parameters
    ----------
    labels
        Label of each cell.
    lineage
        Lineage of each cell; :data:`UNRESOLVED` ones do not count.

    Returns
    -------
    pandas.Series
        Label -> the most frequent lineage of its cells (of equals the first by name), empty where
        no cell with the label has one.
    """
    named = pd.Series(lineage).mask(np.asarray(lineage) == UNRESOLVED)
    return named.groupby(np.asarray(labels)).agg(most_frequent).astype(str)


def agreement(lineage: np.ndarray, usual: np.ndarray) -> pd.Series:
    """Tell whether each cell's lineage is the usual one of its label.

    Parameters
    ----------
    lineage
        Lineage of each cell.
    usual
        Usual lineage of the label of each cell; empty where there is none.

    Returns
    -------
    pandas.Series
        Booleans; missing where the cell is :data:`UNRESOLVED` or its label has no usual lineage.
    """
    lineage, usual = np.asarray(lineage, dtype=object), np.asarray(usual, dtype=object)
    agrees = pd.Series(lineage == usual, dtype="boolean")
    return agrees.mask((usual == "") | (lineage == UNRESOLVED))


def most_frequent(values: pd.Series) -> str:
    """Return the most frequent value, of equals the first by name; empty where there is none."""
    counts = values.value_counts().sort_index()
    return str(counts.idxmax()) if len(counts) else ""


def marker_sets(table: pd.DataFrame, *, finer: bool) -> pd.DataFrame:
    """Turn rows of the lineage table into one row a marker set.

    Parameters
    ----------
    table
        Rows of ``lineages.tsv`` (:func:`emhniche.resources.load_lineages`).
    finer
        False for the sets that name a whole lineage, True for the cell types within lineages.

    Returns
    -------
    pandas.DataFrame
        ``set`` (lineage or cell type; a cell type of two tissues comes once a tissue), ``lineage``,
        ``tissue``, ``finer``, ``positive`` and ``negative`` (tuples of genes).
    """
    rows = table[(table["cell_type"] != table["lineage"]) == finer]
    sets = [
        {
            "set": cell_type,
            "lineage": lineage,
            "tissue": tissue,
            "finer": finer,
            **{
                polarity: tuple(
                    group.loc[group["polarity"] == polarity, "genes"].explode().dropna()
                )
                for polarity in ("positive", "negative")
            },
        }
        for (lineage, cell_type, tissue), group in rows.groupby(
            ["lineage", "cell_type", "tissue"], sort=True
        )
    ]
    columns = ["set", "lineage", "tissue", "finer", "positive", "negative"]
    return pd.DataFrame(sets, columns=columns)


def group_rates(
    cells: ad.AnnData, groups: Sequence[str] | pd.Series, genes: Sequence[str]
) -> pd.DataFrame:
    """Pool the counts of each group into transcripts per million.

    Parameters
    ----------
    cells
        Cells x genes, raw counts in ``X``. Where ``varm["measured"]`` (genes x datasets, bool) and
        ``obs["dataset"]`` exist, a gene's rate is taken over the cells of those datasets only whose
        matrix holds the gene.
    groups
        One group name a cell.
    genes
        Genes wanted; those not among ``cells.var_names`` are left out.

    Returns
    -------
    pandas.DataFrame
        Groups (sorted) x genes, transcripts per million; NaN where a group has no cell in a dataset
        that measured the gene.
    """
    wanted = cells.var_names.intersection(pd.Index(genes).unique(), sort=False)
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    counts = sparse.csr_matrix(cells.X)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    columns = counts[:, cells.var_names.get_indexer(wanted)]
    pooled = np.zeros((len(names), len(wanted)))
    depth = np.zeros((len(names), len(wanted)))
    for rows, measured in _by_dataset(cells, wanted):
        member = sparse.csr_matrix(
            (np.ones(len(rows)), (codes[rows], np.arange(len(rows)))), shape=(len(names), len(rows))
        )
        pooled += np.where(measured, (member @ columns[rows]).toarray(), 0.0)
        depth += np.outer(member @ totals[rows], measured)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.where(depth > 0, pooled / depth * 1e6, np.nan)
    return pd.DataFrame(rates, index=names, columns=wanted)


def marker_strength(rates: pd.DataFrame) -> pd.DataFrame:
    """How far each gene speaks for each group: how close it comes to its highest rate.

    Parameters
    ----------
    rates
        Groups x genes, transcripts per million, NaN where not measured.

    Returns
    -------
    pandas.DataFrame
        Groups x genes in [0, 1], NaN where not measured:
        ``log1p(rate / ON_RATE) / log1p(max(highest rate, FULL_RATE) / ON_RATE)``.
    """
    highest = rates.max(axis=0).clip(lower=FULL_RATE)
    return np.log1p(rates / ON_RATE) / np.log1p(highest / ON_RATE)


def set_scores(strength: pd.DataFrame, markers: pd.DataFrame) -> pd.DataFrame:
    """Score every marker set in every group.

    Parameters
    ----------
    strength
        Groups x genes from :func:`marker_strength`.
    markers
        One row a marker set, as :func:`marker_sets` returns them; ``set`` must be unique.

    Returns
    -------
    pandas.DataFrame
        Groups x sets: mean strength of the measured positive genes minus :data:`NEGATIVE_WEIGHT`
        times the mean of the negative ones. Of the positive genes of a lineage only the stronger
        half counts, since it has several cell types, each with its part of the genes. NaN for a set
        with fewer than two measured positive genes.
    """
    scores = {}
    for row in markers.itertuples():
        positive = strength.reindex(columns=list(row.positive)).to_numpy()
        negative = strength.reindex(columns=list(row.negative)).to_numpy()
        average = _mean if row.finer else _upper_half_mean
        mean = np.where((~np.isnan(positive)).sum(axis=1) >= 2, average(positive), np.nan)
        scores[row.set] = mean - NEGATIVE_WEIGHT * np.nan_to_num(_mean(negative))
    return pd.DataFrame(scores, index=strength.index)


def name_groups(
    rates: pd.DataFrame,
    markers: pd.DataFrame,
    *,
    min_score: float,
    min_confidence: float,
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Give each group the marker set that fits it best, or ``unresolved``.

    Parameters
    ----------
    rates
        Groups x genes, transcripts per million (:func:`group_rates`).
    markers
        Marker sets as in :func:`set_scores`.
    min_score
        Below this score no set fits and the group is ``unresolved``.
    min_confidence
        Below this confidence the group is ``unresolved``.
    n_resamples
        How often the marker genes are resampled (bootstrap over genes) for the confidence.
    seed
        Seed of the resampling.

    Returns
    -------
    pandas.DataFrame
        Indexed by group: ``best`` (set or ``unresolved``), ``confidence`` (share of resamples in
        which the best set wins and reaches `min_score`, 0-1), ``score``, ``runner_up`` (empty where
        there is one set only) and ``margin`` (score minus runner-up's, NaN then).
    """
    strength = marker_strength(rates)
    scores = set_scores(strength, markers).fillna(-1.0)
    ranked = np.argsort(-scores.to_numpy(), axis=1, kind="stable")
    names = scores.columns.to_numpy()
    rows = np.arange(len(scores))
    first, second = ranked[:, 0], ranked[:, min(1, scores.shape[1] - 1)]
    wins = _resampled_wins(
        strength, markers, min_score=min_score, n_resamples=n_resamples, seed=seed
    )
    named = pd.DataFrame(
        {
            "best": names[first],
            "confidence": wins.to_numpy()[rows, first],
            "score": scores.to_numpy()[rows, first],
            "runner_up": names[second] if len(names) > 1 else "",
            "margin": scores.to_numpy()[rows, first] - scores.to_numpy()[rows, second],
        },
        index=scores.index,
    )
    if len(names) == 1:
        named["margin"] = np.nan
    unsure = (named["score"] < min_score) | (named["confidence"] < min_confidence)
    named.loc[unsure, "best"] = UNRESOLVED
    return named


def _resampled_wins(
    strength: pd.DataFrame,
    markers: pd.DataFrame,
    *,
    min_score: float,
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Share of bootstrap resamples of the marker genes in which each set wins, groups x sets."""
    rng = np.random.default_rng(seed)
    scorable = set_scores(strength, markers).notna().to_numpy()
    scores = np.full((len(strength), n_resamples, len(markers)), -1.0)
    for number, row in enumerate(markers.itertuples()):
        average = _mean if row.finer else _upper_half_mean
        positive = average(_resampled(strength, row.positive, n_resamples, rng))
        negative = _mean(_resampled(strength, row.negative, n_resamples, rng))
        score = positive - NEGATIVE_WEIGHT * np.nan_to_num(negative)
        score[~scorable[:, number]] = np.nan
        scores[:, :, number] = np.nan_to_num(score, nan=-1.0)
    best = np.where(scores.max(axis=2) >= min_score, scores.argmax(axis=2), -1)
    wins = [(best == number).mean(axis=1) for number in range(len(markers))]
    return pd.DataFrame(np.array(wins).T, index=strength.index, columns=markers["set"])


def _resampled(
    strength: pd.DataFrame, genes: Sequence[str], n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Strengths (groups x resamples x genes) of as many genes as are measured, drawn anew."""
    present = strength[[gene for gene in genes if gene in strength.columns]].to_numpy()
    n_genes = present.shape[1]
    if n_genes < 2:
        return np.full((len(strength), n_resamples, 1), np.nan)
    return present[:, rng.integers(n_genes, size=(n_resamples, n_genes))]


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1)


def _upper_half_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the larger half of the last axis (rounded up) without NaN."""
    falling = -np.sort(-values, axis=-1)  # NaN last
    known = (~np.isnan(values)).sum(axis=-1, keepdims=True)
    falling[np.arange(values.shape[-1]) >= (known + 1) // 2] = np.nan
    return _mean(falling)


def _by_dataset(cells: ad.AnnData, genes: pd.Index) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of each dataset with the mask of the genes that its matrix holds."""
    if "measured" not in cells.varm:
        return [(np.arange(cells.n_obs), np.ones(len(genes), dtype=bool))]
    measured = cells.varm["measured"]
    measured = measured.loc[genes]
    dataset = cells.obs["dataset"].astype(str).to_numpy()
    return [
        (np.flatnonzero(dataset == name), measured[name].to_numpy(dtype=bool))
        for name in measured.columns
        if (dataset == name).any()
    ]


def can_be_told(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Tell of which pairs of lineages a doublet can be told from a single cell.

    Parameters
    ----------
    one, other
        Lineages, of one length.

    Returns
    -------
    numpy.ndarray
        Bool: two named lineages that no cells pass between.
    """
    apart = (one != other) & ~np.isin(one, [UNRESOLVED, "HSPC"])
    apart &= ~np.isin(other, [UNRESOLVED, "HSPC"])
    for a, b in JOINED:
        apart &= ~((one == a) & (other == b)) & ~((one == b) & (other == a))
    return apart
