"""Do the scores of cells differ between the arms of a contrast, beyond what donors differ?

Every signature and every side of an axis with two genes or more is looked at in every lineage and
cell type. Cells of one donor are alike, so a mixed model gives each unit (a donor in an arm) an
intercept of its own; what is left to judge the arms by is how units differ. Agonists, receptors
and antagonists are rows of their own and never added up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.audits import Audit, design_matrix
from emhniche.errors import InputError
from emhniche.io import CELL_ID
from emhniche.mixed_model import Moments, compare_intercepts
from emhniche.moderation import adjust, interval
from emhniche.pseudobulk import LEVELS, Pseudobulk
from emhniche.score import GeneSet, gene_sets
from emhniche.units import ARMS

COLUMNS = (
    *("contrast", "set", "kind", "role", "tier", "cell_type", "units_test", "units_reference"),
    *("cells_test", "cells_reference", "score_test", "score_reference", "effect", "ci_low"),
    *("ci_high", "p", "q", "effect_z", "ci_z_low", "ci_z_high", "p_z", "variance_between"),
    *("variance_within", "status", "ambient", "reason", "level"),
)

_NAMING = ("identity", "exclusion", "niche")
_MIN_GENES = 2
_LIMITS = ["ci_low", "ci_high", "ci_z_low", "ci_z_high"]
_NUMBERS = [
    *("score_test", "score_reference", "effect", "ci_low", "ci_high", "p", "effect_z"),
    *("ci_z_low", "ci_z_high", "p_z", "variance_between", "variance_within"),
]


@dataclass(frozen=True)
class ScoreSums:
    """Scores summed by the groups of a pseudobulk (library x lineage x cell type).

    Attributes
    ----------
    sets
        The sets, in the order of the columns.
    tiers
        Family of each set: ``core`` or ``extended`` (sides of axes), ``state`` or ``identity``
        (signatures of a state, and those that name a cell).
    n, total, square
        For ``score`` and ``z``: groups x sets; cells with a value, its sum and sum of squares.
    above
        Groups x sets: cells that score above 0.
    """

    sets: tuple[GeneSet, ...]
    tiers: tuple[str, ...]
    n: Mapping[str, np.ndarray]
    total: Mapping[str, np.ndarray]
    square: Mapping[str, np.ndarray]
    above: np.ndarray

    def moments(self, reading: str, rows: np.ndarray, codes: np.ndarray, n_units: int) -> Moments:
        """Sum some groups by unit.

        Parameters
        ----------
        reading
            ``score`` or ``z``.
        rows
            Places of the groups.
        codes
            Unit of each group, from 0.
        n_units
            Number of units.

        Returns
        -------
        Moments
            Units x sets.
        """
        member = np.zeros((n_units, len(rows)))
        member[codes, np.arange(len(rows))] = 1.0
        parts = (part[reading][rows] for part in (self.n, self.total, self.square))
        n, total, square = (member @ part for part in parts)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(n > 0, total / n, np.nan)
        within = np.maximum(square - n * np.nan_to_num(mean) ** 2, 0.0)
        return Moments(n, mean, within)


def sum_scores(
    bulk: Pseudobulk,
    obs: pd.DataFrame,
    annotation: pd.DataFrame,
    scores: pd.DataFrame,
    panel: pd.DataFrame,
    signatures: pd.DataFrame,
) -> ScoreSums:
    """Sum the scores of cells over each library and cell type.

    Parameters
    ----------
    bulk
        The groups; see :func:`emhniche.pseudobulk.sum_cells`.
    obs
        ``sample`` of each cell, indexed by ``cell_id``.
    annotation
        ``cell_id``, ``lineage`` and ``cell_type``.
    scores
        ``score/scores.parquet``: ``cell_id``, and ``<set>`` and ``<set>__z`` of each set.
    panel, signatures
        What the sets hold.

    Returns
    -------
    ScoreSums
        Of every set with two genes or more.

    Raises
    ------
    InputError
        When a set has no column, or a cell no row, in `scores`.
    """
    sets = [one for one in gene_sets(panel, signatures) if len(one.genes) >= _MIN_GENES]
    missing = [one.name for one in sets if one.name not in scores]
    if missing:
        raise InputError(
            f"scores.parquet: it has no column {missing[0]}; score the cells with the panel and "
            "signatures of this run"
        )
    rows = scores.set_index(CELL_ID)
    absent = obs.index.difference(rows.index)
    if len(absent):
        raise InputError(
            f"scores.parquet: cell '{absent[0]}' and {len(absent) - 1} more have no row; score "
            "the cells of the same run"
        )
    rows = rows if rows.index.equals(obs.index) else rows.loc[obs.index]
    keys = obs[["sample"]].join(annotation.set_index(CELL_ID)[list(LEVELS)]).astype(str)
    wanted = pd.MultiIndex.from_frame(bulk.groups[["sample", *LEVELS]])
    codes = wanted.get_indexer(pd.MultiIndex.from_frame(keys))
    member = sparse.csr_matrix(
        (np.ones(len(codes)), (codes, np.arange(len(codes)))), (len(wanted), len(codes))
    )
    n, total, square, above = {}, {}, {}, np.zeros((len(wanted), len(sets)))
    for reading, suffix in (("score", ""), ("z", "__z")):
        values = rows[[f"{one.name}{suffix}" for one in sets]].to_numpy(dtype=float)
        known = np.isfinite(values)
        values = np.where(known, values, 0.0)
        n[reading], total[reading] = member @ known.astype(float), member @ values
        square[reading] = member @ values**2
        if reading == "score":
            above = member @ (values > 0).astype(float)
    core = set(panel.loc[panel["tier"] == "core", "axis"])
    tiers = [_tier(one, core) for one in sets]
    return ScoreSums(tuple(sets), tuple(tiers), n, total, square, above)


def compare_scores(
    bulk: Pseudobulk,
    sums: ScoreSums,
    audits: Sequence[Audit],
    ambient: Mapping[str, pd.DataFrame],
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
) -> pd.DataFrame:
    """Compare the scores of cells between the arms of every contrast.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type, ``detected`` for every gene of the sets.
    sums
        Scores summed by the same groups; see :func:`sum_scores`.
    audits
        What each contrast allows.
    ambient
        For each level, groups of `bulk` x genes of the sets: ambient RNA explains the counts.
    min_cells
        Cells of a type that a unit needs.
    min_counts
        Cells of both arms together that must score above 0.
    min_units
        Known donors that each arm needs for a p-value.

    Returns
    -------
    pandas.DataFrame
        ``niche/scores.tsv``; ``docs/signals.md`` explains the columns. ``q`` is
        Benjamini-Hochberg over the tested rows of a contrast and tier.
    """
    limits = {"min_cells": min_cells, "min_counts": min_counts, "min_units": min_units}
    tables = [pd.DataFrame(columns=[*COLUMNS])]
    for audit in audits:
        if audit.verdict == "not_testable":
            continue
        here = bulk.groups[bulk.groups["sample"].isin(audit.samples.index)]
        done: dict[tuple[int, ...], pd.DataFrame] = {}
        for level in LEVELS:
            for label in bulk.labels(level):
                rows = here[here[level] == label]
                if rows.empty:
                    continue
                # a lineage of one cell type is compared once
                key = tuple(rows.index)
                if key not in done:
                    done[key] = _compare(bulk, sums, audit, rows, ambient[level], **limits)
                tables.append(done[key].assign(level=level, cell_type=label))
    table = pd.concat([part for part in tables if len(part)] or tables, ignore_index=True)
    table["q"] = table.groupby(["contrast", "tier"])["p"].transform(lambda p: adjust(p.to_numpy()))
    order = ["contrast", "tier", "set", "level", "cell_type"]
    rising = [True, True, True, False, True]
    return table.sort_values(order, ascending=rising, ignore_index=True)[[*COLUMNS]]


def _tier(one: GeneSet, core: set[str]) -> str:
    """Return the family that a set is tested in."""
    if one.kind != "axis":
        return "identity" if one.role in _NAMING else "state"
    return "core" if one.name.rsplit(".", 1)[0] in core else "extended"


def _compare(
    bulk: Pseudobulk,
    sums: ScoreSums,
    audit: Audit,
    groups: pd.DataFrame,
    ambient: pd.DataFrame,
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
) -> pd.DataFrame:
    """Return one row a set for the groups of one lineage or cell type."""
    unit = groups["sample"].map(audit.samples["unit"])
    cells = groups["n_cells"].groupby(unit).sum()
    units = audit.units.loc[cells.index[cells >= min_cells]].assign(n_cells=cells)
    matrix, why_not = None, ""
    if audit.verdict == "tested":
        matrix, why_not = design_matrix(units, audit.blocks, min_units=min_units)
        units = units if matrix is None else units.loc[matrix.index]
    groups = groups[unit.isin(units.index)]
    rows, codes = groups.index.to_numpy(), units.index.get_indexer(unit[groups.index])
    readings = {name: sums.moments(name, rows, codes, len(units)) for name in ("score", "z")}
    table = _describe(sums, units, readings["score"].mean, audit)
    table["ambient"] = _soup(bulk, sums, rows, ambient)
    nothing = _nothing_to_compare(table, sums.above[rows].sum(axis=0), audit, min_cells, min_counts)
    by_all = np.isfinite(readings["score"].mean).all(axis=0)
    hollow = (audit.verdict == "tested") & ((matrix is None) | ~by_all)
    because = "" if audit.verdict == "tested" else audit.reason.split(":")[0].split(";")[0]
    missing = why_not or "some donors' datasets measure fewer than two of its genes"
    status = np.where(hollow, "effect_only", audit.verdict)
    table["status"] = np.where(nothing != "", "not_testable", status)
    table["reason"] = nothing.where(nothing != "", np.where(hollow, missing, because))
    _fill_sizes(table, units, readings)
    if matrix is not None:
        _fill_tests(table, readings, matrix.to_numpy())
    table.loc[table["status"] == "not_testable", _NUMBERS] = np.nan
    table.loc[table["status"] == "not_identifiable", _LIMITS] = np.nan
    return table.reset_index(drop=True)


def _describe(
    sums: ScoreSums, units: pd.DataFrame, means: np.ndarray, audit: Audit
) -> pd.DataFrame:
    """Return units, cells and mean scores of both arms, one row a set."""
    table = pd.DataFrame(
        {
            "contrast": audit.name,
            "set": [one.name for one in sums.sets],
            "kind": [one.kind for one in sums.sets],
            "role": [one.role for one in sums.sets],
            "tier": sums.tiers,
        }
    )
    cells = units["n_cells"].to_numpy(dtype=float)[:, None]
    for arm, here in ARMS:
        speaks = np.isfinite(means) & (units["test"].to_numpy(dtype=bool) == here)[:, None]
        table[f"units_{arm}"] = speaks.sum(axis=0)
        table[f"cells_{arm}"] = (speaks * cells).sum(axis=0).astype(int)
        table[f"score_{arm}"] = _mean(means, speaks)
    return table.reindex(columns=[name for name in COLUMNS if name not in ("level", "cell_type")])


def _mean(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the mean over the counted rows of each column, NaN where there is none."""
    number = counted.sum(axis=0)
    total = np.where(counted, values, 0.0).sum(axis=0)
    return np.where(number, total / np.maximum(number, 1), np.nan)


def _soup(bulk: Pseudobulk, sums: ScoreSums, rows: np.ndarray, ambient: pd.DataFrame) -> np.ndarray:
    """Tell the sets of which ambient RNA explains half of what is seen, or more.

    A score hangs on ranks, so genes seen in a cell are counted, not their transcripts.
    """
    seen = bulk.detected.loc[rows]
    flagged = ambient.loc[rows].reindex(columns=seen.columns, fill_value=False).to_numpy(dtype=bool)
    foreign = np.where(flagged, seen.to_numpy(), 0.0).sum(axis=0)
    holds = [seen.columns.isin(one.genes) for one in sums.sets]
    member = np.array(holds, dtype=float).reshape(len(sums.sets), -1)
    total = member @ seen.to_numpy().sum(axis=0)
    return (member @ foreign >= 0.5 * total) & (total > 0)


def _nothing_to_compare(
    table: pd.DataFrame, above: np.ndarray, audit: Audit, min_cells: int, min_counts: int
) -> pd.Series:
    """Say for each set why the arms cannot be compared at all, empty where they can."""
    arms = ((audit.test, "test"), (audit.reference, "reference"))
    no_units = table[["units_test", "units_reference"]].sum() == 0
    reasons = []
    for level, arm in arms:
        absent = pd.Series(bool(no_units[f"units_{arm}"]), index=table.index)
        reasons.append((absent, f"no {level} donor or library has {min_cells} such cells"))
    for level, arm in arms:
        unscored = table[f"units_{arm}"] == 0
        reasons.append((unscored, f"no {level} dataset measures two of its genes"))
    number = pd.Series(above, index=table.index).map("{:.0f} cells score above 0, ".format)
    reasons.append(
        (pd.Series(above < min_counts, table.index), number + f"{min_counts} are needed")
    )
    soup = (
        "RNA of other lineages (ambient or in doublets) explains half of what is seen of it or more"
    )
    reasons.append((table["ambient"].astype(bool), soup))
    result = pd.Series("", index=table.index)
    for failing, why in reversed(reasons):
        result = result.mask(failing, why)
    return result


def _fill_sizes(table: pd.DataFrame, units: pd.DataFrame, readings: Mapping[str, Moments]) -> None:
    """Write the difference of means over units, with a Welch interval where donors are known."""
    side = units["test"].to_numpy(dtype=bool)
    for reading, suffix in (("score", ""), ("z", "_z")):
        means = readings[reading].mean
        known = np.isfinite(means)
        arms = [_mean(means, known & (side == here)[:, None]) for here in (True, False)]
        table[f"effect{suffix}"] = arms[0] - arms[1]
        if units["donor_known"].all():
            columns = zip(means.T, known.T, strict=True)
            spans = [interval(value[ok & side], value[ok & ~side]) for value, ok in columns]
            names = [f"ci{suffix}_low", f"ci{suffix}_high"]
            table[names] = np.array(spans, dtype=float).reshape(-1, 2)


def _fill_tests(table: pd.DataFrame, readings: Mapping[str, Moments], matrix: np.ndarray) -> None:
    """Write effect, interval and p of the mixed model into the rows that are tested."""
    tested = (table["status"] == "tested").to_numpy()
    for reading, suffix in (("score", ""), ("z", "_z")):
        names = [f"effect{suffix}", f"ci{suffix}_low", f"ci{suffix}_high", f"p{suffix}"]
        every = tested & (readings[reading].n > 0).all(axis=0)
        table.loc[tested, names] = np.nan
        if not every.any():
            continue
        moments = readings[reading]
        parts = (part[:, every] for part in (moments.n, moments.mean, moments.within))
        found = compare_intercepts(Moments(*parts), matrix)
        keys = ("effect", "ci_low", "ci_high", "p")
        table.loc[every, names] = np.column_stack([found[key] for key in keys])
        if reading == "score":
            spread = np.column_stack([found["between"], found["within"]])
            table.loc[every, ["variance_between", "variance_within"]] = spread
