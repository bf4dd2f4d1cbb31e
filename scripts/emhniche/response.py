"""Do cells answer to a signal more in one arm than in the other?

A ligand and its receptor say that a signal could pass; genes that the signal switches on say
whether it did. For each response set the log2 expression of its genes in a unit (a donor in an
arm) is averaged and compared with random sets of genes that are as abundant in the same cells, so
that what moves all genes alike cancels. The difference between the arms is a mean log2 fold change
of the response beyond its background, tested over donors.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from emhniche.audits import Audit, design_matrix
from emhniche.moderation import adjust, interval, moderated_test
from emhniche.pseudobulk import LEVELS, Pseudobulk, log_cpm
from emhniche.response_sets import MIN_GENES
from emhniche.units import ARMS, Units, gather_units

COLUMNS = (
    *("contrast", "set", "axis", "kind", "cell_type", "units_test", "units_reference"),
    *("cells_test", "cells_reference", "n_genes", "n_measured", "n_used", "genes_used"),
    *("activity_test", "activity_reference", "effect", "ci_low", "ci_high", "p", "q"),
    *("z_random", "status", "ambient", "reason", "level"),
)

N_RANDOM = 200
"""Random sets that each response is compared with."""

NEIGHBOURS = 50
"""Genes of like expression that each random gene is one of; a background holds as many at least."""

_NUMBERS = [
    *("activity_test", "activity_reference", "effect", "ci_low", "ci_high", "p", "z_random"),
]


def compare_responses(
    bulk: Pseudobulk,
    responses: pd.DataFrame,
    panel: pd.DataFrame,
    audits: Sequence[Audit],
    ambient: Mapping[str, pd.DataFrame],
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
    seed: int,
) -> pd.DataFrame:
    """Compare the response to every axis between the arms of every contrast.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    responses
        See :func:`emhniche.response_sets.load_responses`.
    panel
        The panel; an axis without a response gets a row that says so.
    audits
        What each contrast allows.
    ambient
        For each level, groups of `bulk` x response genes: ambient RNA explains the counts.
    min_cells
        Cells of a type that a unit needs.
    min_counts
        Counts of a gene over both arms below which it is left out of its set and the background.
    min_units
        Known donors that each arm needs for a p-value.
    seed
        Seed of the random sets. The draws of a set hang on the seed and its name.

    Returns
    -------
    pandas.DataFrame
        ``niche/responses.tsv``; ``docs/signals.md`` explains the columns. ``q`` is
        Benjamini-Hochberg over the tested rows of a contrast and kind.

    References
    ----------
    Tirosh I et al. (2016) Dissecting the multicellular ecosystem of metastatic melanoma by
    single-cell RNA-seq. Science 352:189-196. doi:10.1126/science.aad0501 (background of like
    expression; from memory)
    """
    limits = {"min_cells": min_cells, "min_counts": min_counts, "min_units": min_units}
    rows = []
    for audit in audits:
        if audit.verdict == "not_testable":
            continue
        here = bulk.groups[bulk.groups["sample"].isin(audit.samples.index)]
        done: dict[tuple[int, ...], list[dict]] = {}
        for level in LEVELS:
            for label in bulk.labels(level):
                part = here[here[level] == label]
                if part.empty:
                    continue
                # a lineage of one cell type is compared once
                key = tuple(part.index)
                if key not in done:
                    wanted = _read_in(responses, part["lineage"].iloc[0])
                    done[key] = _compare(bulk, audit, level, label, wanted, ambient, seed, **limits)
                rows += [row | {"level": level, "cell_type": label} for row in done[key]]
        rows += _without_response(audit, responses, panel)
    table = pd.DataFrame(rows, columns=[*COLUMNS])
    table["q"] = table.groupby(["contrast", "kind"])["p"].transform(
        lambda p: adjust(p.to_numpy(dtype=float))
    )
    whole = [name for name in COLUMNS if name.startswith(("units_", "cells_", "n_"))]
    table[whole] = table[whole].astype("Int64")
    order = ["contrast", "kind", "axis", "set", "level", "cell_type"]
    rising = [True, False, True, True, False, True]
    return table.sort_values(order, ascending=rising, ignore_index=True)


def activity(
    values: np.ndarray, genes: np.ndarray, weights: np.ndarray, pool: np.ndarray, seed: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Average the expression of a set of genes, and of random sets like it, in every unit.

    Parameters
    ----------
    values
        Units x genes, log2 counts per million.
    genes
        Columns of the set.
    weights
        One a gene of the set.
    pool
        Columns that random genes are drawn from, without those of the set.
    seed
        Seed of the draws.

    Returns
    -------
    own
        Weighted mean of the set in each unit.
    random
        Random sets x units: the same of sets in which each gene is replaced by one of the 50 of
        the pool that are nearest in mean expression.
    """
    rng = np.random.default_rng(seed)
    share = weights / np.abs(weights).sum()
    level = values.mean(axis=0)
    order = pool[np.argsort(level[pool], kind="stable")]
    near = min(NEIGHBOURS, len(order))
    place = np.searchsorted(level[order], level[genes])
    first = np.clip(place - near // 2, 0, len(order) - near)
    picked = first[:, None] + rng.integers(0, near, (len(genes), N_RANDOM))
    random = np.einsum("g,ugr->ru", share, values[:, order[picked]])
    return values[:, genes] @ share, random


def _read_in(responses: pd.DataFrame, lineage: str) -> pd.DataFrame:
    """Return the sets that are read in a lineage."""
    return responses[[not named or lineage in named for named in responses["lineages"]]]


def _compare(
    bulk: Pseudobulk,
    audit: Audit,
    level: str,
    label: str,
    responses: pd.DataFrame,
    ambient: Mapping[str, pd.DataFrame],
    seed: int,
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
) -> list[dict]:
    """Return one row a response set for one lineage or cell type."""
    units = gather_units(bulk, audit, level, label, ambient[level], min_cells=min_cells)
    matrix, why_not = None, ""
    if audit.verdict == "tested":
        matrix, why_not = design_matrix(units.table, audit.blocks, min_units=min_units)
        units = units if matrix is None else units.take(matrix.index)
    side = units.table["test"].to_numpy(dtype=bool)
    missing = [lv for lv, arm in ((audit.test, side), (audit.reference, ~side)) if not arm.any()]
    nobody = f"no {missing[0]} donor or library has {min_cells} such cells" if missing else ""
    held = units.measured.all(axis=0) if len(side) else np.zeros(len(units.genes), dtype=bool)
    total = np.asarray(units.counts.sum(axis=0)).ravel()
    usable = held & (total >= min_counts)
    values = (
        log_cpm(
            units.counts[:, np.flatnonzero(usable)].toarray(),
            units.counts[:, np.flatnonzero(held)].sum(axis=1).A1,
        )
        if len(side)
        else np.zeros((0, 0))
    )
    names = units.genes[usable]
    rows = []
    for one in responses.itertuples():
        row = _row(one, audit, units, total, min_counts)
        row["reason"] = nobody or row["reason"]
        background = names.difference(one.genes)
        if not row["reason"] and len(background) < NEIGHBOURS:
            beside = f"{len(background)} other genes have {min_counts} counts"
            row["reason"] = f"{beside}, {NEIGHBOURS} are needed as background"
        if not row["reason"]:
            own, random = _measure(row, values, names, background, one, seed)
            row |= _judge(own, random, audit, units, matrix, why_not)
        rows.append(row)
    return rows


def _row(one: tuple, audit: Audit, units: Units, total: np.ndarray, min_counts: int) -> dict:
    """Describe one set, and say why it is not testable, if so."""
    side = units.table["test"].to_numpy(dtype=bool)
    place = units.genes.get_indexer(one.genes)
    known = place >= 0
    if len(side):
        known[known] = units.measured[:, place[known]].all(axis=0)
    measured = [gene for gene, ok in zip(one.genes, known, strict=True) if ok]
    soup = [gene for gene in measured if _is_ambient(units, gene, total)]
    counted = [gene for gene in measured if total[units.genes.get_loc(gene)] >= min_counts]
    used = [gene for gene in counted if gene not in soup]
    ambient = len([gene for gene in counted if gene in soup]) > len(counted) / 2
    if ambient:
        reason = "RNA of other lineages (ambient or in doublets) explains most of its genes"
    elif len(used) < MIN_GENES:
        reason = f"{len(used)} of its genes have {min_counts} counts, {MIN_GENES} are needed"
    else:
        reason = ""
    cells = units.table["n_cells"].to_numpy()
    arms = {f"units_{arm}": int((side == here).sum()) for arm, here in ARMS}
    arms |= {f"cells_{arm}": int(cells[side == here].sum()) for arm, here in ARMS}
    return {
        **{"contrast": audit.name, "set": one.set, "axis": one.axis, "kind": one.kind},
        **arms,
        **{"n_genes": len(one.genes), "n_measured": len(measured), "n_used": len(used)},
        **{"genes_used": ";".join(used), "ambient": ambient, "status": "not_testable"},
        **dict.fromkeys(_NUMBERS, np.nan),
        "reason": reason,
    }


def _is_ambient(units: Units, gene: str, total: np.ndarray) -> bool:
    """Tell whether ambient RNA explains half of a gene's counts or more."""
    counts = total[units.genes.get_loc(gene)]
    return bool(counts > 0 and units.ambient[gene].sum() >= 0.5 * counts)


def _measure(
    row: dict, values: np.ndarray, names: pd.Index, background: pd.Index, one: tuple, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the activity of each unit beyond its background, and that of the random sets."""
    used = row["genes_used"].split(";")
    weights = dict(zip(one.genes, one.weights, strict=True))
    own, random = activity(
        values,
        names.get_indexer(used),
        np.array([weights[gene] for gene in used]),
        names.get_indexer(background),
        [seed, zlib.crc32(one.set.encode())],
    )
    middle = random.mean(axis=0)
    return own - middle, random - middle


def _judge(
    own: np.ndarray,
    random: np.ndarray,
    audit: Audit,
    units: Units,
    matrix: pd.DataFrame | None,
    why_not: str,
) -> dict:
    """Return status, reason and numbers of a set that can be measured."""
    side = units.table["test"].to_numpy(dtype=bool)
    means = [own[side].mean(), own[~side].mean()]
    judged = {"activity_test": means[0], "activity_reference": means[1]}
    if matrix is not None:
        reader = np.linalg.pinv(matrix.to_numpy())[-1]
    else:
        reader = side / side.sum() - ~side / (~side).sum()
    spread = (random @ reader).std(ddof=1)
    judged["effect"] = float(own @ reader)
    judged["z_random"] = judged["effect"] / spread if spread > 0 else np.nan
    judged |= {"status": "effect_only", "reason": why_not or _first(audit.reason)}
    if matrix is not None:
        found = moderated_test(own[:, None], matrix.to_numpy())
        numbers = dict(
            zip(("ci_low", "ci_high", "p"), (float(x[0]) for x in found[1:]), strict=True)
        )
        return judged | numbers | {"status": "tested", "reason": ""}
    if audit.verdict == "not_identifiable":
        return judged | {"status": audit.verdict, "reason": _first(audit.reason)}
    if units.table["donor_known"].all():
        low, high = interval(own[side], own[~side])
        judged |= {"ci_low": low, "ci_high": high}
    return judged


def _first(reason: str) -> str:
    """Return the first clause of a reason."""
    return reason.split(":")[0].split(";")[0]


def _without_response(audit: Audit, responses: pd.DataFrame, panel: pd.DataFrame) -> list[dict]:
    """Return one row an axis that no set stands for."""
    axes = [axis for axis in panel["axis"].unique() if axis not in set(responses["axis"])]
    reason = "no set of genes that answer to this axis is listed in resources.responses"
    return [
        {
            **{"contrast": audit.name, "set": "", "axis": axis, "kind": "response"},
            **{"cell_type": "", "level": "", "ambient": False},
            **{"status": "not_testable", "reason": reason},
        }
        for axis in axes
    ]
