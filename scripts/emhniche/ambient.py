"""Are a gene's counts in a group of cells its own, or do they float in from another group?

Lysed cells leave their RNA in the suspension, and every barcode of the library draws from that
soup: S100a8 of neutrophils is then "detected" in most B cells. A gene is explained by ambient RNA
in a group when both hold:

1. another lineage is a plausible source: its rate (the gene's share of all counts) is above that
   of the soup, which mixes all sources, and at least `fold` times the rate in the group;
2. the group holds no more than the soup would bring: its count is within the 99 % Poisson bound of
   ``tolerance x contamination x ambient fraction x total count of the group``. What lies in cells
   that hold a second lineage beside their own (:mod:`emhniche.carriers`: two cells in a droplet,
   mostly) is not the group's either, and does not count here.

The contamination of a group (the share of its counts that is soup) is given, or estimated from
the genes that other lineages make and the soup is full of: the lower quartile, over them, of the
rate in the group relative to the rate in the soup, since a little expression of the group's own,
or a cell of another kind among it, can only add to that. Where it can't be estimated all of the
group's counts may be soup; ``tolerance x contamination`` is never more than that.

A count of zero has nothing to explain and is never flagged. RNA of a cell type that the library
does not hold (all of it lysed) has no source here. It can be flagged only where a list says that
the group's lineage does not make the gene (``resources/ambient.tsv``); the list stands in for the
source and for nothing else, so counts beyond those of the soup stay the group's own.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from emhniche.pseudobulk import LEVELS, UNRESOLVED, Pseudobulk

MIN_SOURCE_COUNTS = 10
"""A lineage can be the source of a gene's ambient RNA when it holds this many counts of it."""

_MIN_EXPECTED = 50.0
_QUANTILE = 0.25
_MIN_GENES = 10
_PROFILE_FOLD = 5.0


def explained_by_ambient(
    counts: pd.DataFrame,
    profile: pd.Series,
    *,
    sources: pd.DataFrame | None = None,
    source_of: pd.Series | None = None,
    contamination: pd.Series | None = None,
    carried: pd.DataFrame | None = None,
    genes: Sequence[str] | None = None,
    foreign: Mapping[str, Collection[str]] | None = None,
    fold: float = 10.0,
    tolerance: float = 2.0,
) -> pd.DataFrame:
    """Flag the genes of each group of cells whose counts the ambient profile explains.

    Parameters
    ----------
    counts
        Groups x genes: summed raw counts of one sample. All measured genes, since they give the
        totals and the contamination.
    profile
        Fraction of the soup that each gene makes (sums to 1 over genes), indexed by gene.
    sources
        Lineages x genes: summed raw counts that may be the source. The groups when not given.
    source_of
        Lineage of each group, indexed by group: no group is explained by its own lineage. Each
        group is its own lineage when not given.
    contamination
        Share of each group's counts that is ambient, in [0, 1], indexed by group. Estimated for
        the groups without a number (missing or NaN), or for all when not given.
    carried
        Groups x genes: counts in cells that hold a lineage which makes the gene beside their own.
        None of the genes that it lacks; none at all when not given.
    genes
        Genes to judge. All when not given.
    foreign
        Lineage -> genes that it is known not to make. They need no source in the library where the
        group's contamination is known.
    fold
        How many times the group's rate a source must reach.
    tolerance
        How many times the expected ambient count is still called ambient: the error allowed in
        profile and contamination.

    Returns
    -------
    pandas.DataFrame
        One row a group and gene, sorted: ``group``, ``gene``, ``counts``, ``rate`` (counts per
        count of the group), ``top_source`` and ``top_rate`` (the other lineage with the highest
        rate), ``n_sources_seen`` (other lineages with any count: how broadly it is seen),
        ``contamination`` (of the group; NaN where neither given nor estimated), ``expected``
        (ambient counts, of a contamination of 1 where that is NaN) and ``ambient`` (bool).

    References
    ----------
    Young MD, Behjati S (2020) SoupX removes ambient RNA contamination from droplet-based
    single-cell RNA sequencing data. GigaScience 9:giaa151. doi:10.1093/gigascience/giaa151
    """
    sources = counts if sources is None else sources[counts.columns]
    lineages = counts.index.to_series() if source_of is None else source_of
    own = {group: lineages.get(group, group) for group in counts.index}
    profile = profile.reindex(counts.columns).fillna(0.0)
    by_lineage = {name: _top_source(sources, name, profile) for name in set(own.values())}
    top = {group: by_lineage[own[group]] for group in counts.index}
    share = _contamination(counts, profile, top, contamination, fold)
    judged = counts.columns if genes is None else pd.Index(genes).intersection(counts.columns)
    tables = []
    where = counts.columns.get_indexer(judged)
    for group in sorted(counts.index):
        held = counts.loc[group].to_numpy()[where]
        alone = held
        if carried is not None:
            alone = held - carried.loc[group].reindex(judged, fill_value=0.0).to_numpy()
        total = counts.loc[group].to_numpy().sum()
        name, rate, seen = (values[where] for values in top[group])
        assumed = 1.0 if np.isnan(share[group]) else share[group]
        soup = profile.to_numpy()[where] * total
        own_rate = held / total if total else np.zeros(len(held))
        alone_rate = alone / total if total else own_rate
        bound = stats.poisson.ppf(0.99, min(tolerance * assumed, 1.0) * soup)
        sourced = (rate > 0) & (rate >= fold * alone_rate)
        if foreign and not np.isnan(share[group]):
            sourced |= judged.isin(foreign.get(own[group], ()))
        tables.append(
            pd.DataFrame(
                {
                    "group": group,
                    "gene": judged,
                    "counts": held,
                    "rate": own_rate,
                    "top_source": name,
                    "top_rate": rate,
                    "n_sources_seen": seen,
                    "contamination": share[group],
                    "expected": assumed * soup,
                    "ambient": (held > 0) & sourced & (alone <= bound),
                }
            ).sort_values("gene", kind="stable")
        )
    return pd.concat(tables, ignore_index=True)


def flag_groups(bulk: Pseudobulk, genes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Flag the counts of every library's lineages and cell types that ambient RNA explains.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    genes
        Genes to judge; those that no dataset measures are left out.

    Returns
    -------
    dict of pandas.DataFrame
        For ``lineage`` and ``cell_type``: groups of `bulk` x genes, bool. The groups of a lineage
        share its flags. Unresolved cells are judged but are no source.
    """
    known = [gene for gene in genes if gene in bulk.genes]
    flags = {}
    for level in LEVELS:
        wide = judge_groups(bulk, known, level).pivot(
            index=["sample", "group"], columns="gene", values="ambient"
        )
        keys = pd.MultiIndex.from_frame(bulk.groups[["sample", level]])
        flags[level] = wide.reindex(keys)[known].set_axis(bulk.groups.index)
    return flags


def judge_groups(
    bulk: Pseudobulk,
    genes: Sequence[str],
    level: str,
    foreign: Mapping[str, Collection[str]] | None = None,
) -> pd.DataFrame:
    """Judge the counts of every library's groups at one level.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    genes
        Genes to judge, all of `bulk`.
    level
        ``lineage`` or ``cell_type``.
    foreign
        As :func:`explained_by_ambient` takes it.

    Returns
    -------
    pandas.DataFrame
        The rows of :func:`explained_by_ambient`, with ``sample`` first.
    """
    tables = []
    for sample, groups in bulk.groups.groupby("sample"):
        counts = pd.DataFrame(bulk.counts[groups.index].toarray(), columns=bulk.genes)
        summed = {name: counts.groupby(groups[name].to_numpy()).sum() for name in LEVELS}
        weight = counts.sum(axis=1).set_axis(groups.index)
        types = groups.drop_duplicates("cell_type").set_index("cell_type")["lineage"]
        table = explained_by_ambient(
            summed[level],
            bulk.soup[sample],
            sources=summed["lineage"].drop(index=UNRESOLVED, errors="ignore"),
            source_of=types if level == "cell_type" else None,
            contamination=_mean_contamination(groups, weight, level),
            carried=bulk.carried.loc[groups.index].groupby(groups[level]).sum(),
            genes=genes,
            foreign=foreign,
        )
        table.insert(0, "sample", sample)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _mean_contamination(groups: pd.DataFrame, weight: pd.Series, level: str) -> pd.Series:
    """Return the contamination of each label, weighted by counts; NaN where none is known."""
    known = groups["contamination"].notna()
    weight = weight.where(known, 0.0)
    total = weight.groupby(groups[level]).sum()
    return (weight * groups["contamination"]).groupby(groups[level]).sum() / total.where(total > 0)


def _top_source(
    sources: pd.DataFrame, own: str, profile: pd.Series
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per gene: the other lineage with the highest rate, that rate, and how many have counts.

    A lineage that holds no more than the soup is not its source: its rate counts as 0.
    """
    others = sources.drop(index=own, errors="ignore")
    if others.empty:
        n_genes = sources.shape[1]
        return np.full(n_genes, None), np.zeros(n_genes), np.zeros(n_genes, dtype=int)
    held = others.to_numpy(dtype=float)
    rates = held / np.maximum(held.sum(axis=1, keepdims=True), 1.0)
    rates[(held < MIN_SOURCE_COUNTS) | (rates <= profile.to_numpy())] = 0.0
    best = rates.argmax(axis=0)
    rate = rates.max(axis=0)
    names = np.where(rate > 0, others.index.to_numpy(dtype=object)[best], None)
    return names, rate, (held > 0).sum(axis=0)


def _contamination(
    counts: pd.DataFrame,
    profile: pd.Series,
    top: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    given: pd.Series | None,
    fold: float,
) -> dict[str, float]:
    """Return the ambient share of each group: given, else estimated, else the sample's, else NaN.

    A gene informs on a group when another lineage makes it `fold` times as much as the group, that
    lineage holds it well above the soup, and a group of soup alone would hold 50 counts of it.
    """
    soup = profile.to_numpy()
    estimates = {}
    for group in counts.index:
        held = counts.loc[group].to_numpy(dtype=float)
        total = max(held.sum(), 1.0)
        rate = top[group][1]
        foreign = (rate >= fold * held / total) & (rate >= _PROFILE_FOLD * soup)
        foreign &= soup * total >= _MIN_EXPECTED
        if foreign.sum() >= _MIN_GENES:
            ratio = np.quantile(held[foreign] / (soup[foreign] * total), _QUANTILE)
            estimates[group] = float(np.clip(ratio, 0.0, 1.0))
    whole = float(np.median(list(estimates.values()))) if estimates else np.nan
    shares = {group: estimates.get(group, whole) for group in counts.index}
    if given is not None:
        shares.update(given.reindex(counts.index).dropna().astype(float).to_dict())
    return shares
