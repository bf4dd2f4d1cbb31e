"""Which axes of the niche move with the making of blood, from donor to donor?

Each side of each axis is read in each lineage (mean log2 expression of its genes) and ranked by how
it follows the EMH index over the donors. That a tumour raises both is no evidence that they
belong together, so donors are ranked within their own condition, tissue, dataset and chemistry,
and p comes from permuting them within it.
"""

import itertools
import math
import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from emhniche.moderation import adjust
from emhniche.pseudobulk import Pseudobulk, log_cpm, sum_rows
from emhniche.resources import SIDES

COLUMNS = (
    *("rank", "axis", "side", "tier", "lineage", "genes", "units", "strata", "rho"),
    *("rho_between", "min_attainable_p", "p", "q", "status", "ambient", "reason"),
)

STRATA = ("condition", "tissue", "study", "dataset", "chemistry")
"""Columns of the sheet within which donors are compared."""

MAX_EXACT = 20_000
"""Orders of the donors that are all gone through; of more, as many are drawn."""

ALPHA = 0.05
"""Where no order of the donors could give a smaller p, there is none."""


def rank_axes(
    bulk: Pseudobulk,
    units: pd.DataFrame,
    panel: pd.DataFrame,
    ambient: Mapping[str, pd.DataFrame],
    *,
    min_cells: int,
    min_counts: int,
    seed: int,
) -> pd.DataFrame:
    """Rank the sides of the axes by how they follow the EMH index.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    units
        See :func:`emhniche.emh_index.index_units`. Known donors with an index are used.
    panel
        ``axis``, ``role``, ``tier`` and ``gene``.
    ambient
        For each level, groups of `bulk` x panel genes: ambient RNA explains the counts.
    min_cells
        Cells of a lineage that a unit needs.
    min_counts
        Counts over all units below which a gene is left out.
    seed
        Seed of the permutations where they are drawn.

    Returns
    -------
    pandas.DataFrame
        ``niche/emh_axes.tsv``; ``docs/signals.md`` explains the columns. ``q`` is
        Benjamini-Hochberg over the tested rows of a tier.
    """
    usable = units[units["emh_index"].notna() & units["status"].isin(["described", "effect_only"])]
    of_sample = usable.assign(sample=usable["samples"].str.split(";")).explode("sample")
    of_sample = of_sample.set_index("sample")[["unit", "emh_index"]]
    known = bulk.samples["donor_known"].fillna(False).astype(bool)
    of_sample = of_sample[known.reindex(of_sample.index, fill_value=False)]
    strata = _strata(bulk.samples, of_sample)
    index = of_sample.groupby("unit")["emh_index"].first()
    donors = bulk.samples["donor"].reindex(of_sample.index).groupby(of_sample["unit"]).first()
    design = pd.DataFrame({"index": index, "stratum": strata, "donor": donors})
    rows = []
    for lineage in bulk.labels("lineage"):
        values, cells = _expression(bulk, of_sample["unit"], lineage, panel["gene"], min_cells)
        if values is None:
            continue
        soup = ambient["lineage"].loc[cells.index]
        for (axis, tier), genes in panel.groupby(["axis", "tier"], sort=True):
            for side, roles in SIDES.items():
                own = [g for g in genes["gene"][genes["role"].isin(roles)] if g in values.totals]
                row = {"axis": axis, "side": side, "tier": tier, "lineage": lineage}
                if own:
                    rows.append(row | _relate(values, own, soup, design, min_counts, seed))
    table = pd.DataFrame(rows, columns=[*COLUMNS])
    table["q"] = table.groupby("tier")["p"].transform(lambda p: adjust(p.to_numpy(dtype=float)))
    return _ordered(table)


class _Values:
    """Log2 expression of panel genes in the units of a lineage."""

    def __init__(self, logs: pd.DataFrame, counts: pd.DataFrame, by_group: pd.DataFrame) -> None:
        self.logs, self.totals, self.by_group = logs, counts.sum(), by_group


def _strata(samples: pd.DataFrame, of_sample: pd.DataFrame) -> pd.Series:
    """Name the stratum of each unit."""
    columns = [column for column in STRATA if column in samples]
    names = samples.loc[of_sample.index, columns].astype(object)
    parts = names.where(names.notna(), "").astype(str).itertuples(index=False)
    names = pd.Series([" | ".join(part) for part in parts], names.index, dtype=object)
    return names.groupby(of_sample["unit"]).agg(lambda part: " + ".join(sorted(set(part))))


def _expression(
    bulk: Pseudobulk, unit_of: pd.Series, lineage: str, genes: pd.Series, min_cells: int
) -> tuple[_Values | None, pd.DataFrame]:
    """Return the expression of the panel in the units with enough cells of a lineage."""
    here = (bulk.groups["lineage"] == lineage) & bulk.groups["sample"].isin(unit_of.index)
    groups = bulk.groups[here]
    unit = groups["sample"].map(unit_of)
    cells = groups["n_cells"].groupby(unit).sum().sort_index()
    order = cells.index[cells >= min_cells]
    groups, unit = groups[unit.isin(order)], unit[unit.isin(order)]
    if not len(order):
        return None, groups
    datasets = bulk.samples["dataset"].astype(str)[groups["sample"]].unique()
    shared = bulk.measured[datasets].all(axis=1).to_numpy()
    summed = sum_rows(bulk.counts[groups.index], unit, order)
    known = [gene for gene in genes if gene in bulk.genes and shared[bulk.genes.get_loc(gene)]]
    held = summed[:, bulk.genes.get_indexer(known)].toarray()
    totals = summed[:, np.flatnonzero(shared)].sum(axis=1).A1
    logs = pd.DataFrame(log_cpm(held, totals), order, known)
    by_group = bulk.dense(known).loc[groups.index]
    return _Values(logs, pd.DataFrame(held, order, known), by_group), groups


def _relate(
    values: _Values,
    genes: list[str],
    soup: pd.DataFrame,
    design: pd.DataFrame,
    min_counts: int,
    seed: int,
) -> dict:
    """Return how one side of an axis follows the index in one lineage."""
    counted = [gene for gene in genes if values.totals[gene] >= min_counts]
    held = values.by_group[counted]
    foreign = held.where(soup[counted], 0.0).sum() >= 0.5 * held.sum()
    used = [gene for gene in counted if not foreign[gene]]
    design = design.loc[values.logs.index]
    row = {"genes": ";".join(used), "units": len(design), "strata": design["stratum"].nunique()}
    row |= {"ambient": bool(len(counted) and not used), "status": "not_testable"}
    if not counted:
        return row | {"reason": f"no gene of it has {min_counts} counts"}
    if not used:
        return row | {"reason": "RNA of other lineages (ambient or in doublets) explains its genes"}
    level = values.logs[used].mean(axis=1).to_numpy()
    index, strata, donors = (design[name].to_numpy() for name in ("index", "stratum", "donor"))
    return row | relate(level, index, strata, donors, seed=seed)


def relate(
    level: np.ndarray,
    index: np.ndarray,
    strata: np.ndarray,
    donors: np.ndarray | None = None,
    *,
    seed: int,
) -> dict:
    """Correlate two values over units, within strata.

    Parameters
    ----------
    level, index
        One value a unit.
    strata
        Stratum of each unit; units are ranked, and permuted, within it.
    donors
        Donor of each unit, each unit's own if not given. Strata are permuted on their own, so a
        donor that stands in two of them would count as two witnesses: then there is no p.
    seed
        Seed of the permutations where there are more than :data:`MAX_EXACT`.

    Returns
    -------
    dict
        ``rho`` (Spearman within strata), ``rho_between`` (Spearman over all units, strata
        ignored), ``min_attainable_p``, ``p`` (two-sided; NaN unless it could reach 0.05),
        ``status`` and ``reason``.
    """
    parts = [np.flatnonzero(strata == name) for name in sorted(set(strata))]
    parts = [part for part in parts if len(part) > 1]
    ways = math.prod(math.factorial(len(part)) for part in parts)
    result = {"rho": np.nan, "rho_between": np.nan, "p": np.nan, "min_attainable_p": np.nan}
    if len(level) > 2 and np.ptp(level) > 0 and np.ptp(index) > 0:
        result["rho_between"] = float(stats.spearmanr(level, index).statistic)
    if not parts:
        why = "no two donors share condition, tissue, study, dataset and chemistry"
        return result | {"status": "not_testable", "reason": why}
    x, y = _centred(level, parts), _centred(index, parts)
    scale = math.sqrt((x**2).sum() * (y**2).sum())
    if scale == 0:
        return result | {"status": "not_testable", "reason": "it does not vary within strata"}
    result["rho"] = float((x * y).sum() / scale)
    if donors is not None and not pd.Series(donors[np.concatenate(parts)]).is_unique:
        return result | {"status": "effect_only", "reason": "a donor stands in several strata"}
    result["min_attainable_p"] = min(1.0, 2 / ways)
    if result["min_attainable_p"] > ALPHA:
        why = f"its donors can be ordered in {ways} ways: too few for p <= {ALPHA}"
        return result | {"status": "effect_only", "reason": why}
    found = _permuted(x, y, parts, ways, seed)
    extreme = np.abs(found) >= abs((x * y).sum()) - 1e-9
    exact = ways <= MAX_EXACT
    result["p"] = float(extreme.mean() if exact else (extreme.sum() + 1) / (len(found) + 1))
    return result | {"status": "tested", "reason": ""}


def _centred(values: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
    """Rank the values within each stratum, and take its mean rank off."""
    ranks = np.zeros(len(values))
    for part in parts:
        own = stats.rankdata(values[part])
        ranks[part] = own - own.mean()
    return ranks


def _permuted(
    x: np.ndarray, y: np.ndarray, parts: list[np.ndarray], ways: int, seed: int
) -> np.ndarray:
    """Return the sum of products of ranks in every order of the units, or in drawn ones."""
    if ways <= MAX_EXACT:
        sums = np.zeros(1)
        for part in parts:
            orders = np.array(list(itertools.permutations(range(len(part)))))
            own = x[part] @ y[part][orders].T
            sums = (sums[:, None] + own[None, :]).ravel()
        return sums
    rng = np.random.default_rng([seed, zlib.crc32(y.tobytes())])
    sums = np.zeros(MAX_EXACT)
    for part in parts:
        orders = rng.permuted(np.tile(np.arange(len(part)), (MAX_EXACT, 1)), axis=1)
        sums += y[part][orders] @ x[part]
    return sums


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Rank the rows that have a correlation: tested ones first, by p, then by size.

    Rows that are alike in all of these share the first of their ranks.
    """
    standing = table["status"].map({"tested": 0, "effect_only": 1, "not_testable": 2})
    key = pd.DataFrame(
        {
            "standing": standing,
            "least": table["min_attainable_p"].astype(float).where(standing == 1, 0.0),
            "p": table["p"].astype(float).fillna(1.0),
            "size": -table["rho"].astype(float).abs().fillna(-1.0),
            **{name: table[name] for name in ("tier", "axis", "side", "lineage")},
        }
    )
    key = key.sort_values([*key.columns], kind="stable")
    table = table.loc[key.index].reset_index(drop=True)
    alike = key[["standing", "least", "p", "size"]].round(9)
    first = (~alike.duplicated()).to_numpy()
    rank = pd.Series(range(1, len(table) + 1)).where(first).ffill()
    table["rank"] = rank.where(table["rho"].notna()).astype("Int64")
    return table
