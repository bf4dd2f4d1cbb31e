"""What can a contrast tell, given which samples there are?

Before anything is tested the sample sheet is asked: how many donors stand on each side, are they
paired, and could what looks like the factor just as well be the study, the chemistry, the sorting
gate or another column that changes with it? The verdict of :func:`audit_contrast` binds all tables
of the stage: only a ``tested`` contrast gets p-values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from emhniche.audits import Audit, design_matrix, paired, sizes, split
from emhniche.confounding import (
    NUISANCES,
    checkable,
    confounded,
    confounded_together,
    design_rank,
    levels_by_arm,
    listing,
    overlap,
)
from emhniche.interaction import judge_interaction, relabellings


def audit_contrast(
    samples: pd.DataFrame, contrast: Mapping[str, object], *, min_units: int
) -> Audit:
    """Judge one contrast from the sample sheet alone.

    Parameters
    ----------
    samples
        Sample sheet, indexed by sample, with ``donor``, ``donor_known`` and whichever of
        :data:`emhniche.confounding.NUISANCES` it has. An empty field is not recorded.
    contrast
        ``name``, ``factor`` (a column), ``test`` and ``reference`` (two of its levels), and
        optionally ``subset`` (column -> value) and ``interaction``: ``factor``, ``test`` and
        ``reference`` of a second factor, at whose levels the arms' differences are compared.
    min_units
        Known donors that each arm (each of the four groups of an interaction) needs before
        anything is tested.

    Returns
    -------
    Audit
        Verdict, reason and design.
    """
    rows = _rows(samples, contrast)
    second = contrast.get("interaction") or {}
    audit = Audit(
        **{key: str(contrast[key]) for key in ("name", "factor", "test", "reference")},
        verdict="not_testable",
        reason="",
        samples=rows,
        counts=_count(rows),
        within=tuple(str(second[key]) for key in ("factor", "test", "reference") if second),
    )
    absent = [name for name, n in zip(audit.groups, sizes(rows), strict=True) if not n]
    if absent:
        return replace(audit, reason=f"no library kept has {audit.factor} {listing(absent, 'or')}")
    known = rows[rows["donor_known"]]
    if min(sizes(known)) >= min_units:
        audit = replace(audit, samples=known)
    if audit.within:
        return judge_interaction(audit, min_units=min_units)
    return _judge(audit, min_units)


def audit_composition(samples: pd.DataFrame, audit: Audit, *, min_units: int) -> Audit:
    """Judge whether the frequencies of cell types may be compared.

    Parameters
    ----------
    samples
        Sample sheet, as for :func:`audit_contrast`.
    audit
        The verdict on the contrast.
    min_units
        Known donors that each arm needs.

    Returns
    -------
    Audit
        The verdict on those libraries that were not sorted or enriched. Where a group has no such
        library it is ``not_identifiable``: the gate set the frequencies.
    """
    rows = samples.loc[audit.samples.index]
    free = rows[rows["enrichment"].isin(["none", ""])] if "enrichment" in rows else rows
    for name, here in zip(audit.groups, split(audit.samples), strict=True):
        arm = audit.samples.index[here]
        if len(arm) and free.index.intersection(arm).empty:
            gates = listing(rows.loc[arm, "enrichment"].unique(), "or")
            return replace(
                audit,
                verdict="not_identifiable",
                reason=f"every {name} library is sorted or enriched ({gates}), and the gate set "
                "how frequent each cell type is",
                samples=audit.samples.loc[free.index],
            )
    return audit_contrast(free, audit.contrast, min_units=min_units)


def design_table(audits: Sequence[Audit], compositions: Sequence[Audit]) -> pd.DataFrame:
    """Lay out the verdicts, one row a contrast.

    Parameters
    ----------
    audits
        Verdicts on the contrasts.
    compositions
        Verdicts on the frequencies of cell types, in the same order.

    Returns
    -------
    pandas.DataFrame
        ``niche/design.tsv``; ``docs/niche.md`` explains the columns.
    """
    columns = [
        *("contrast", "factor", "test", "reference", "units_test", "units_reference"),
        *("known_donors_test", "known_donors_reference", "paired_donors", "aliased_with"),
        *("nested_in", "design_formula", "min_attainable_p", "verdict", "reason"),
        *("composition_verdict", "composition_reason", "interaction"),
    ]
    rows = [
        (
            *(audit.name, audit.factor, audit.test, audit.reference, *audit.counts["units"]),
            *(*audit.counts["known"], audit.counts["paired"], "; ".join(audit.aliased_with)),
            *("; ".join(audit.nested_in), audit.formula, smallest_p(audit)),
            *(audit.verdict, audit.reason, composition.verdict, composition.reason),
            "{}: {} against {}".format(*audit.within) if audit.within else "",
        )
        for audit, composition in zip(audits, compositions, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def smallest_p(audit: Audit) -> float:
    """Return the smallest two-sided p that relabelling the donors could give.

    Parameters
    ----------
    audit
        Verdict on a contrast.

    Returns
    -------
    float
        2 / the number of ways to relabel known donors within the blocks of the design (pairs by
        swapping), at most 1. A model's smaller p leans on the model. NaN where the factor cannot
        be estimated, and for an interaction of unpaired donors.
    """
    if not audit.formula:
        return math.nan
    units = audit.units[audit.units["donor_known"]]
    if audit.within:
        found = 2.0 / relabellings(units, audit.blocks)
        return min(1.0, found) if found == found else found
    strata = units.groupby(list(audit.blocks)) if audit.blocks else [("", units)]
    ways = math.prod(math.comb(len(part), int(part["test"].sum())) for _, part in strata)
    return min(1.0, 2.0 / ways)


def _rows(samples: pd.DataFrame, contrast: Mapping[str, object]) -> pd.DataFrame:
    """Return the libraries of both arms, with their unit and side."""
    chosen = samples
    for column, value in dict(contrast.get("subset") or {}).items():
        chosen = chosen[chosen[column].astype(str) == str(value)]
    level = chosen[contrast["factor"]].astype(str)
    inside = level.isin([contrast["test"], contrast["reference"]])
    second = contrast.get("interaction") or {}
    if second:
        place = chosen[second["factor"]].astype(str)
        inside &= place.isin([second["test"], second["reference"]])
    rows = chosen[inside].copy()
    rows["test"] = level[rows.index] == contrast["test"]
    rows["unit"] = rows["donor"].astype(str) + " | " + level[rows.index]
    present = [column for column in NUISANCES if column in rows]
    for column in present:
        rows[column] = rows[column].astype(object).where(rows[column].notna(), "").astype(str)
    kept = dict.fromkeys(["unit", "donor", "donor_known", "test", *present])
    if second:
        rows["within"] = place[rows.index] == second["test"]
        rows["unit"] += " | " + place[rows.index]
        rows[contrast["factor"]], rows[second["factor"]] = level[rows.index], place[rows.index]
        kept |= dict.fromkeys(["within", contrast["factor"], second["factor"]])
    return rows[[*kept]]


def _count(rows: pd.DataFrame) -> dict[str, object]:
    """Count donors (and libraries of unknown ones) of each arm, and those with both arms."""
    both = [
        tuple(int(part.loc[part["test"] == side, "donor"].nunique()) for side in (True, False))
        for part in (rows, rows[rows["donor_known"]])
    ]
    in_both = int(rows.loc[paired(rows), "donor"].nunique())
    return {"units": both[0], "known": both[1], "paired": in_both}


def _judge(audit: Audit, min_units: int) -> Audit:
    """Go through the verdicts: confounded, too few donors, tested."""
    columns, notes = checkable(audit.samples, audit.factor)
    alone = [column for column in columns if confounded(audit.samples, [column])]
    if alone:
        return _confounded_alone(audit, alone)
    columns = [column for column in columns if (audit.samples[column] != "").all()]
    rows = overlap(audit.samples, columns)
    if rows.empty:
        return _confounded_together(audit, columns)
    if len(rows) < len(audit.samples):
        gone = listing(audit.samples.index.difference(rows.index), "and")
        notes.insert(0, f"left out, because only one arm has their like: {gone}")
    blocks = _blocks(rows, columns, min_units)
    if "donor" in blocks:
        rows = rows[paired(rows)]
    audit = replace(audit, samples=rows)
    if confounded(rows, blocks):
        return _confounded_together(audit, blocks)
    audit = replace(audit, blocks=blocks, verdict="effect_only")
    known = _count(rows)["known"]
    if min(known) < min_units:
        why_not = _too_few(audit, known, min_units)
    else:
        _, why_not = design_matrix(audit.units, blocks, min_units=min_units)
    if why_not:
        return replace(audit, reason="; ".join([why_not, *notes]))
    kind = f"{known[0]} paired" if "donor" in blocks else f"{known[0]} against {known[1]}"
    reason = "; ".join([f"{kind} known donors, {audit.formula}", *notes])
    return replace(audit, verdict="tested", reason=reason)


def _blocks(rows: pd.DataFrame, columns: Sequence[str], min_units: int) -> tuple[str, ...]:
    """Choose what the design adjusts for: the donor where enough are paired, then the rest."""
    pairs = rows[paired(rows)]
    blocks = []
    if pairs["donor"].nunique() >= max(min_units, min(_count(rows)["known"]) / 2):
        rows, blocks = pairs, ["donor"]
    for column in columns:
        constant = rows.groupby("unit")[column].nunique().max() == 1
        if constant and design_rank(rows, [*blocks, column]) > design_rank(rows, blocks):
            blocks.append(column)
    return tuple(blocks)


def _confounded_alone(audit: Audit, columns: Sequence[str]) -> Audit:
    """Say which columns the factor cannot be told from, and which levels are in each arm."""
    levels = {column: levels_by_arm(audit.samples, column) for column in columns}
    aliased = tuple(column for column in columns if all(len(arm) == 1 for arm in levels[column]))
    first, *others = columns
    test, reference = (listing(arm, "or") for arm in levels[first])
    reason = (
        f"{audit.factor} cannot be told from {first}: every {audit.test} library is {test}, "
        f"every {audit.reference} library {reference}"
    )
    if others:
        reason += f"; nor from {listing(others, 'and', most=len(others))}"
    return replace(
        audit,
        verdict="not_identifiable",
        reason=reason,
        aliased_with=aliased,
        nested_in=tuple(column for column in columns if column not in aliased),
    )


def _confounded_together(audit: Audit, columns: Sequence[str]) -> Audit:
    """Say which columns leave no difference between the arms when taken together."""
    few = confounded_together(audit.samples, columns)
    reason = f"{audit.factor} cannot be told from {listing(few, 'and')} taken together"
    return replace(audit, verdict="not_identifiable", reason=reason, nested_in=few)


def _too_few(audit: Audit, known: tuple[int, int], min_units: int) -> str:
    """Say how many donors there are, and how many are needed."""
    units = audit.units
    reason = (
        f"known donors: {known[0]} with {audit.test}, {known[1]} with {audit.reference}; "
        f"{min_units} in each are needed"
    )
    for level, side in ((audit.test, True), (audit.reference, False)):
        arm = units[units["test"] == side]
        if len(arm) == 1 and arm["donor_known"].all():
            alone = f"every {level} library is of {arm['donor'].iloc[0]}"
            return f"{audit.factor} cannot be told from donor: {alone}; {reason}"
    unknown = int((~audit.samples["donor_known"]).sum())
    return f"{reason}; libraries of an unknown donor: {unknown}" if unknown else reason
