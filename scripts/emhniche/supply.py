"""Does a tissue hold more of a ligand, because there are more producers or because each makes more?

What a niche offers is expression times abundance. Here the product itself is tested: the
transcripts of a ligand that one kind of cell holds, per million transcripts of the whole tissue,
donor by donor, from libraries that were not sorted. The effect is given in two parts that add up to
it: how much more frequent the cells are, and how much more of it each of them holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from emhniche.audits import Audit, design_matrix, difference, split
from emhniche.frequency import coefficient, compare_weighted
from emhniche.moderation import adjust
from emhniche.pseudobulk import LEVELS, Pseudobulk

COLUMNS = (
    *("contrast", "axis", "role", "gene", "lineage", "cell_type", "units_test"),
    *("units_reference", "counts_test", "counts_reference", "supply_test", "supply_reference"),
    *("effect", "effect_abundance", "effect_expression", "ci_low", "ci_high", "bootstrap_low"),
    *("bootstrap_high", "p", "q", "status", "ambient", "reason", "level", "tier"),
)

ROLES = ("ligand", "adhesion_ligand", "antagonist")
"""Roles of the panel whose genes are supplied to other cells; each gene keeps its own row."""

TISSUE = "tissue"
"""Level of the rows for all cells of the tissue together."""

WHOLE = "all"
"""What stands for the kind of cell in those rows."""

DRAWS = 500
"""Resamplings of the donors behind a bootstrap interval."""

_RIDGE = 1e-10
"""Part of the trace that lets a level of a pair that was not drawn be any number."""

_PRIOR = 0.5
_PARTS = ["effect", "effect_abundance", "effect_expression"]
_LIMITS = ["ci_low", "ci_high", "bootstrap_low", "bootstrap_high"]


@dataclass(frozen=True)
class _Supply:
    """Units x features of one level: counts of the gene in the kind, cells of the kind, ambient."""

    units: pd.DataFrame
    counts: np.ndarray
    cells: np.ndarray
    soup: np.ndarray
    total: np.ndarray
    whole: np.ndarray
    measured: np.ndarray


def compare_supply(
    bulk: Pseudobulk,
    panel: pd.DataFrame,
    frequencies: Sequence[Audit],
    ambient: Mapping[str, pd.DataFrame],
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
    seed: int,
) -> pd.DataFrame:
    """Compare how much of each ligand each kind of cell supplies, between the arms of contrasts.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    panel
        ``axis``, ``role``, ``tier`` and ``gene``, one row a gene; those of :data:`ROLES` are used.
    frequencies
        What each contrast allows for frequencies: libraries that were not sorted.
    ambient
        For each level, groups of `bulk` x panel genes: ambient RNA explains the counts (bool).
    min_cells
        Cells that a unit needs in all.
    min_counts
        Counts of the gene in the kind of cell over all units; half as many must be expected in each
        arm if the arms did not differ.
    min_units
        Known donors that each arm needs for a p-value.
    seed
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``niche/supply.tsv``; ``docs/supply.md`` explains the columns. ``q`` is Benjamini-Hochberg
        over the tested rows of a contrast, panel tier and level.
    """
    genes = panel[panel["role"].isin(ROLES)]
    limits = {"min_cells": min_cells, "min_counts": min_counts, "min_units": min_units}
    tables = [pd.DataFrame(columns=[*COLUMNS])]
    for audit in frequencies:
        for level in (TISSUE, *LEVELS):
            keys, held = _gather(bulk, genes["gene"], audit, level, ambient)
            if len(keys) and len(held.units):
                table = _compare(keys, held, audit, seed=seed, **limits)
                tables.append(table.assign(contrast=audit.name, level=level))
    table = pd.concat([part for part in tables if len(part)] or tables, ignore_index=True)
    known = genes.set_index("gene")
    for column in ("axis", "role", "tier"):
        table[column] = table["gene"].map(known[column])
    lineage = bulk.lineage_of()
    table["lineage"] = table["cell_type"].map(lineage).where(table["level"] == "cell_type")
    table["lineage"] = table["lineage"].fillna(table["cell_type"])
    family = table.groupby(["contrast", "tier", "level"])["p"]
    table["q"] = family.transform(lambda p: adjust(p.to_numpy()))
    counts = ["units_test", "units_reference", "counts_test", "counts_reference"]
    table[counts] = table[counts].astype("Int64")
    order = ["contrast", "tier", "axis", "gene", "level", "lineage", "cell_type"]
    rising = [True, True, True, True, False, True, True]
    return table.sort_values(order, ascending=rising, ignore_index=True)[[*COLUMNS]]


def _gather(
    bulk: Pseudobulk,
    genes: pd.Series,
    audit: Audit,
    level: str,
    ambient: Mapping[str, pd.DataFrame],
) -> tuple[pd.DataFrame, _Supply]:
    """Return the features (kind of cell and gene) of a level, and what each unit holds of them."""
    known = [gene for gene in genes if gene in bulk.detected]
    groups = bulk.groups[bulk.groups["sample"].isin(audit.samples.index)]
    unit = groups["sample"].map(audit.samples["unit"])
    order = sorted(set(unit))
    units = audit.units.loc[order]
    kind = pd.Series(WHOLE, groups.index) if level == TISSUE else groups[level]
    labels = [WHOLE] if level == TISSUE else [x for x in bulk.labels(level) if x in set(kind)]
    counts = bulk.dense(known).loc[groups.index]
    flags = ambient["lineage" if level == TISSUE else level].loc[groups.index, known]
    soup = counts.where(flags, 0.0) if level != TISSUE else counts * 0.0
    keys = [unit.to_numpy(), kind.to_numpy()]
    index = pd.MultiIndex.from_product([order, labels])
    shape = (len(order), len(labels), len(known))
    held, dirty = (
        table.groupby(keys).sum().reindex(index, fill_value=0.0).to_numpy().reshape(shape)
        for table in (counts, soup)
    )
    cells = groups["n_cells"].groupby(keys).sum().reindex(index, fill_value=0).to_numpy()
    depth = pd.Series(bulk.counts[groups.index].sum(axis=1).A1, groups.index)
    dataset = bulk.samples["dataset"].astype(str)[groups["sample"]]
    measured = bulk.measured.loc[known, dataset].T.groupby(unit.to_numpy()).all().loc[order]
    flat = (len(order), len(labels) * len(known))
    features = pd.MultiIndex.from_product([labels, known], names=["cell_type", "gene"])
    return features.to_frame(index=False), _Supply(
        units=units,
        counts=held.reshape(flat),
        cells=np.repeat(cells.reshape(shape[:2]), len(known), axis=1).astype(float),
        soup=dirty.reshape(flat),
        total=depth.groupby(unit).sum()[order].to_numpy(),
        whole=groups["n_cells"].groupby(unit).sum()[order].to_numpy(dtype=float),
        measured=np.tile(measured.to_numpy(dtype=bool), (1, len(labels))),
    )


def _take(held: _Supply, here: np.ndarray) -> _Supply:
    """Return some of the units."""
    where = np.arange(len(held.units))[here]
    parts = {field.name: getattr(held, field.name) for field in fields(_Supply)}
    units = parts.pop("units").iloc[where]
    return _Supply(units=units, **{name: part[where] for name, part in parts.items()})


def _compare(
    keys: pd.DataFrame,
    held: _Supply,
    audit: Audit,
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
    seed: int,
) -> pd.DataFrame:
    """Return one row a feature of one level and contrast."""
    held = _take(held, held.whole >= min_cells)
    verdict, matrix, because = audit.verdict, None, ""
    if verdict == "tested":
        matrix, because = design_matrix(held.units, audit.blocks, min_units=min_units)
        verdict = "effect_only" if matrix is None else verdict
        if matrix is not None:
            held = _take(held, held.units.index.get_indexer(matrix.index))
    else:
        because = audit.reason.split(":")[0].split(";")[0]
    table = _describe(keys, held, audit)
    nothing = _nothing_to_compare(held, audit, min_counts)
    table["status"] = np.where(nothing != "", "not_testable", verdict)
    table["reason"] = np.where(nothing != "", nothing, because)
    lacking = (table["status"] != "not_testable") & ~held.measured.all(axis=0)
    table.loc[lacking, ["status", "reason"]] = [
        "not_testable",
        "some donors' datasets do not measure it",
    ]
    table[[*_PARTS, *_LIMITS, "p"]] = np.nan
    shown = (table["status"] != "not_testable").to_numpy()
    if not shown.any():
        return table
    supply, cells = _logs(held)
    if matrix is None:
        effects = [difference(part[:, shown], held.units) / np.log(2) for part in (supply, cells)]
    else:
        noise = _noise(held, supply, cells, matrix.to_numpy())[:, shown]
        found = compare_weighted(supply[:, shown], noise, matrix.to_numpy())
        variance = noise + found.donors
        effects = [found.effect, coefficient(cells[:, shown], variance, matrix.to_numpy())]
        drawn = bootstrap(supply[:, shown], variance, matrix, held.units, seed=seed)
        numbers = np.column_stack([found.low, found.high, *drawn, found.p])
        table.loc[shown, [*_LIMITS, "p"]] = numbers
    table.loc[shown, _PARTS] = np.column_stack([*effects, effects[0] - effects[1]])
    # all cells of a tissue are always all of it
    table.loc[table["cell_type"] == WHOLE, _PARTS[1:]] = np.nan
    return table


def _describe(keys: pd.DataFrame, held: _Supply, audit: Audit) -> pd.DataFrame:
    """Describe both arms: units, counts, and transcripts per million of the tissue.

    Counts and supply are those of the units whose datasets measure the gene, empty without one.
    """
    table, side = keys.copy(), held.units["test"].to_numpy(dtype=bool)
    shares = held.counts / np.maximum(held.total, 1)[:, None] * 1e6
    for arm, here in (("test", side), ("reference", ~side)):
        speaks = held.measured & here[:, None]
        number = speaks.sum(axis=0)
        table[f"units_{arm}"] = held.units.loc[here, "donor"].nunique()
        counts = np.where(speaks, held.counts, 0.0).sum(axis=0)
        table[f"counts_{arm}"] = np.where(number > 0, counts, np.nan)
        supply = np.where(speaks, shares, 0.0).sum(axis=0) / np.maximum(number, 1)
        one = (number > 0) & (not audit.within)
        table[f"supply_{arm}"] = np.where(one, supply, np.nan)
    both = held.counts.sum(axis=0)
    table["ambient"] = (held.soup.sum(axis=0) >= 0.5 * both) & (both > 0)
    return table


def _nothing_to_compare(held: _Supply, audit: Audit, min_counts: int) -> np.ndarray:
    """Say of each feature why it cannot be compared at all, empty where it can."""
    both = held.counts.sum(axis=0)
    why = np.full(len(both), "", dtype=object)
    depth = held.measured * held.total[:, None]
    for name, here in zip(audit.groups, split(held.units), strict=True):
        if not here.any():
            return np.full(len(both), f"no unsorted {name} library", dtype=object)
        expected = both * depth[here].sum(axis=0) / np.maximum(depth.sum(axis=0), 1)
        few = (expected < min_counts / 2) & (why == "")
        text = f"counts expected in {name} without a difference, {min_counts / 2:g} are needed"
        why[few] = [f"{number:.1f} {text}" for number in expected[few]]
    dirty = (held.soup.sum(axis=0) >= 0.5 * both) & (both > 0)
    why[dirty] = (
        "RNA of other lineages (ambient or in doublets) explains half of its counts or more"
    )
    few = both < min_counts
    text = f"counts in both arms together, {min_counts} are needed"
    why[few] = [f"{number:.0f} {text}" for number in both[few]]
    for name, here in zip(audit.groups, split(held.units), strict=True):
        why[~held.measured[here].any(axis=0)] = f"no {name} dataset measures it"
    why[~held.measured.any(axis=0)] = "no dataset measures it"
    return why


def _logs(held: _Supply) -> tuple[np.ndarray, np.ndarray]:
    """Return the natural logs of the share of transcripts and of the share of cells."""
    supply = np.log((held.counts + _PRIOR) / (held.total[:, None] + 1))
    return supply, np.log((held.cells + _PRIOR) / (held.whole[:, None] + 1))


def _noise(held: _Supply, supply: np.ndarray, cells: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the variance that counting transcripts and cells gives each log, from fitted numbers.

    A kind that is all of the tissue has no variance of its share of cells.
    """
    hat = matrix @ np.linalg.pinv(matrix)
    counts = np.exp(np.minimum(hat @ supply, 0)) * held.total[:, None]
    share = np.minimum(np.exp(hat @ cells), 1.0)
    return 1 / (counts + _PRIOR) + (1 - share) / (share * held.whole[:, None] + _PRIOR)


def bootstrap(
    values: np.ndarray,
    variance: np.ndarray,
    matrix: pd.DataFrame,
    units: pd.DataFrame,
    *,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % percentile interval of the last coefficient over resampled donors.

    Parameters
    ----------
    values
        Units x features, natural log.
    variance
        Units x features; its inverse weights the units.
    matrix
        Units x coefficients.
    units
        The units: ``donor`` and its arms.
    seed
        Of the draws.

    Returns
    -------
    low, high
        In log2. Donors are drawn with replacement among those of the same arms; draws that cannot
        estimate the coefficient are left out. Other coefficients need not be: the level of a pair
        that was not drawn is no loss.

    References
    ----------
    Efron B, Tibshirani RJ (1993) An Introduction to the Bootstrap. Chapman & Hall. (from memory)
    """
    rng = np.random.default_rng(seed)
    units = units.loc[matrix.index]
    design = matrix.to_numpy()
    donors = units["donor"].to_numpy()
    names, member = np.unique(donors, return_inverse=True)
    arms = pd.Series(_arms(units)).groupby(donors).agg("|".join).reindex(names)
    drawn = np.zeros((DRAWS, len(names)))
    for arm in sorted(set(arms)):
        where = np.flatnonzero(arms.to_numpy() == arm)
        drawn[:, where] = rng.multinomial(len(where), np.full(len(where), 1 / len(where)), DRAWS)
    times = drawn[:, member]
    used = np.array([_estimable(design[row > 0]) for row in times])
    low, high = np.full((2, values.shape[1]), np.nan)
    if used.sum() < DRAWS / 2:
        return low, high
    # few donors can be drawn in few ways only: each is fitted once
    ways, way = np.unique(times[used], axis=0, return_inverse=True)
    squares = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    ridge = _RIDGE * np.eye(design.shape[1])
    for feature in range(values.shape[1]):
        weight = ways / variance[:, feature]
        left = (weight @ squares).reshape(-1, *ridge.shape)
        left += ridge * np.trace(left, axis1=1, axis2=2)[:, None, None]
        right = (weight * values[:, feature]) @ design
        effect = np.linalg.solve(left, right[:, :, None])[way, -1, 0]
        low[feature], high[feature] = np.percentile(effect, [2.5, 97.5]) / np.log(2)
    return low, high


def _estimable(design: np.ndarray) -> bool:
    """Tell whether these rows tell the last coefficient from the others."""
    return np.linalg.matrix_rank(design) > np.linalg.matrix_rank(design[:, :-1])


def _arms(units: pd.DataFrame) -> list[str]:
    """Name the group of each unit."""
    number = np.zeros(len(units), dtype=int)
    for place, here in enumerate(split(units)):
        number[here] = place
    return [str(one) for one in number]
