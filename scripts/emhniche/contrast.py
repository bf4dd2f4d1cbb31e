"""Which panel genes differ between the arms of a contrast, and in which cells?

Every panel gene is looked at in every lineage and cell type, donor by donor. A row says first
whether there is anything to compare (measured in both arms, enough cells, enough counts), then
whether the contrast may be read at all (its audit), and only then what the difference is.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from emhniche.audits import Audit, design_matrix
from emhniche.moderation import adjust
from emhniche.negative_binomial import MIN_GENES, compare_counts
from emhniche.pseudobulk import LEVELS, Pseudobulk
from emhniche.units import ARMS, Units, between, describe, gather_units

COLUMNS = (
    *("contrast", "axis", "role", "gene", "cell_type", "units_test", "units_reference"),
    *("cells_test", "cells_reference", "counts_test", "counts_reference", "detection_test"),
    *("detection_reference", "logcpm_test", "logcpm_reference", "effect", "ci_low", "ci_high"),
    *("p", "q", "status", "ambient", "reason", "level", "tier"),
)

_WHOLE = [f"{name}_{arm}" for name in ("units", "cells", "counts") for arm, _ in ARMS]
_LIMITS = ["ci_low", "ci_high"]
_EFFECT = ["logcpm_test", "logcpm_reference", "effect", *_LIMITS]


def compare_expression(
    bulk: Pseudobulk,
    panel: pd.DataFrame,
    audits: Sequence[Audit],
    ambient: Mapping[str, pd.DataFrame],
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
) -> pd.DataFrame:
    """Compare every panel gene between the arms of every contrast, by lineage and cell type.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    panel
        ``axis``, ``role``, ``tier`` and ``gene``, one row a gene.
    audits
        What each contrast allows.
    ambient
        For each level, groups of `bulk` x panel genes: ambient RNA explains the counts (bool);
        see :func:`emhniche.ambient.flag_groups`.
    min_cells
        Cells of a type that a unit needs.
    min_counts
        Counts of a gene over both arms below which it is not testable. Half as many must be
        expected in each arm if the arms did not differ.
    min_units
        Known donors that each arm needs for a p-value.

    Returns
    -------
    pandas.DataFrame
        ``niche/contrasts.tsv``; ``docs/niche.md`` explains the columns. ``q`` is
        Benjamini-Hochberg over the tested rows of a contrast and panel tier.
    """
    limits = {"min_cells": min_cells, "min_counts": min_counts, "min_units": min_units}
    tables = [pd.DataFrame(columns=[*COLUMNS])]
    for audit in audits:
        if audit.verdict == "not_testable":
            continue
        here = bulk.groups[bulk.groups["sample"].isin(audit.samples.index)]
        held = holders(bulk, audit, panel["gene"])
        done: dict[tuple[int, ...], pd.DataFrame] = {}
        for level in LEVELS:
            for label in bulk.labels(level):
                cells = tuple(here.index[here[level] == label])
                if not cells:
                    continue
                # a lineage of one cell type is compared once
                if cells not in done:
                    units = gather_units(
                        bulk, audit, level, label, ambient[level], min_cells=min_cells
                    )
                    done[cells] = _compare_units(units, panel, audit, held, **limits)
                tables.append(done[cells].assign(level=level, cell_type=label))
    table = pd.concat([part for part in tables if len(part)] or tables, ignore_index=True)
    table["q"] = table.groupby(["contrast", "tier"])["p"].transform(lambda p: adjust(p.to_numpy()))
    table[_WHOLE] = table[_WHOLE].astype("Int64")
    order = ["contrast", "tier", "axis", "gene", "level", "cell_type"]
    rising = [True, True, True, True, False, True]
    return table.sort_values(order, ascending=rising, ignore_index=True)[[*COLUMNS]]


def holders(bulk: Pseudobulk, audit: Audit, genes: Sequence[str]) -> pd.DataFrame:
    """Tell in which arms any dataset measures a gene.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    audit
        The contrast.
    genes
        Genes, known to the data or not.

    Returns
    -------
    pandas.DataFrame
        Genes x (``test``, ``reference``), bool.
    """
    table = pd.DataFrame(index=list(genes))
    for arm, side in ARMS:
        samples = audit.samples.index[audit.samples["test"] == side]
        datasets = bulk.samples["dataset"].astype(str)[samples].unique()
        table[arm] = bulk.measured[datasets].any(axis=1).reindex(table.index, fill_value=False)
    return table


def _compare_units(
    units: Units,
    panel: pd.DataFrame,
    audit: Audit,
    held: pd.DataFrame,
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
) -> pd.DataFrame:
    """Return the rows of one lineage or cell type in one contrast."""
    matrix, why_not, counts = None, "", pd.DataFrame()
    if audit.verdict == "tested":
        matrix, why_not = design_matrix(units.table, audit.blocks, min_units=min_units)
        units = units if matrix is None else units.take(matrix.index)
    if matrix is not None:
        counts = units.dense(units.genes[units.measured.all(axis=0)])
        n_genes = int((counts.sum() >= min_counts).sum())
        if n_genes < MIN_GENES:
            matrix = None
            needed = f"{MIN_GENES} are needed to learn how donors vary"
            why_not = f"{n_genes} genes have {min_counts} counts, {needed}"
    table, nothing = _describe(units, panel["gene"], audit, held, min_cells, min_counts)
    table = panel.set_index("gene")[["axis", "role", "tier"]].join(table)
    verdict = np.where(nothing != "", "not_testable", audit.verdict)
    because = "" if audit.verdict == "tested" else audit.reason.split(":")[0].split(";")[0]
    reason = nothing.where(nothing != "", because)
    hollow = (verdict == "tested") & ((matrix is None) | ~table["measured_by_all"])
    table["status"] = np.where(hollow, "effect_only", verdict)
    table["reason"] = reason.where(~hollow, why_not or "some donors' datasets do not measure it")
    table.loc[table["status"] == "not_testable", _EFFECT] = np.nan
    table.loc[table["status"] == "not_identifiable", _LIMITS] = np.nan
    table["p"] = np.nan
    tested = table.index[table["status"] == "tested"]
    if len(tested):
        found = compare_counts(counts, matrix, tested, min_counts=min_counts)
        table.loc[tested, [*found.columns]] = found
        single = tested[found["p"].isna()]
        table.loc[single, "status"] = "effect_only"
        table.loc[single, "reason"] = "a single donor makes the difference (Cook's distance)"
    return table.rename_axis("gene").reset_index().assign(contrast=audit.name)


def _describe(
    units: Units,
    genes: pd.Series,
    audit: Audit,
    held: pd.DataFrame,
    min_cells: int,
    min_counts: int,
) -> tuple[pd.DataFrame, pd.Series]:
    """Describe both arms gene by gene, and say why they cannot be compared, if so.

    An interaction is described place by place, and can be compared where both places can.
    """
    limits = {"min_cells": min_cells, "min_counts": min_counts}
    if not audit.within:
        table = describe(units, genes)
        return table, _nothing_to_compare(table, units, audit, held, **limits)
    tables, reasons = [], []
    inside = units.table["within"].to_numpy(dtype=bool)
    for level, here in ((audit.within[1], inside), (audit.within[2], ~inside)):
        part = units.take(units.table.index[here])
        tables.append(describe(part, genes))
        why_not = _nothing_to_compare(tables[-1], part, audit, held, **limits)
        reasons.append(why_not.mask(why_not != "", f"{level}: " + why_not))
    table = between(*tables)
    return table, reasons[0].where(reasons[0] != "", reasons[1])


def _nothing_to_compare(
    table: pd.DataFrame,
    units: Units,
    audit: Audit,
    held: pd.DataFrame,
    *,
    min_cells: int,
    min_counts: int,
) -> pd.Series:
    """Say for each gene why the arms cannot be compared at all, empty where they can.

    The first reason that holds is given.
    """
    arms = ((audit.test, *ARMS[0]), (audit.reference, *ARMS[1]))
    both = table["counts_test"] + table["counts_reference"]
    number = both.map("{:.0f} counts in both arms together, ".format)
    reasons = [(~held.any(axis=1), "no dataset measures it")]
    for level, arm, _ in arms:
        reasons.append((~held[arm], f"no {level} dataset measures it"))
    for level, _, side in arms:
        absent = pd.Series(not (units.table["test"] == side).any(), index=table.index)
        reasons.append((absent, f"no {level} donor or library has {min_cells} such cells"))
    for level, arm, _ in arms:
        silent = table[f"units_{arm}"] == 0
        reasons.append((silent, f"no {level} library with such cells measures it"))
    reasons.append((both < min_counts, number + f"{min_counts} are needed"))
    soup = "RNA of other lineages (ambient or in doublets) explains half of its counts or more"
    reasons.append((table["ambient"].astype(bool), soup))
    for level, arm, _ in arms:
        expected = table[f"expected_{arm}"]
        number = expected.map("{:.1f} counts expected in ".format)
        needed = f"{level} without a difference, {min_counts / 2:g} are needed"
        reasons.append((expected < min_counts / 2, number + needed))
    if audit.verdict == "not_identifiable":
        for level, arm, _ in arms:
            unseen = f"no count in {level}: not seen is not the same as absent"
            reasons.append((table[f"counts_{arm}"] == 0, unseen))
    result = pd.Series("", index=table.index)
    for failing, why in reversed(reasons):
        result = result.mask(failing, why)
    return result
