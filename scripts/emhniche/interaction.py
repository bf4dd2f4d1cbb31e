"""Is the difference between two arms another one at a second place, and can the samples tell?

Does a tumour change the spleen more than the marrow? The effect is a difference of two differences:
tumour against naive in spleen, less tumour against naive in marrow. What acts alike at both places
cancels, so donors that have both are best: each is compared with itself. What goes with the arms at
one place only does not cancel. A column of the sheet is therefore told from the interaction only
where one of its levels has all four groups of libraries.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations

import pandas as pd

from emhniche.audits import Audit, compared, design_matrix, paired, sizes
from emhniche.confounding import checkable, design_rank, listing

_GROUPS = 4


def judge_interaction(audit: Audit, *, min_units: int) -> Audit:
    """Go through the verdicts on an interaction: confounded, too few donors, tested.

    Parameters
    ----------
    audit
        The contrast with its libraries, all four groups among them; `samples` holds both factors.
    min_units
        Known donors that each group needs.

    Returns
    -------
    Audit
        Verdict, reason and design.
    """
    columns, notes = _checkable(audit)
    alone = [column for column in columns if overlap_groups(audit.samples, [column]).empty]
    if alone:
        return _confounded_alone(audit, alone)
    columns = [column for column in columns if (audit.samples[column] != "").all()]
    rows = overlap_groups(audit.samples, columns)
    if rows.empty:
        return _confounded_together(audit, columns)
    if len(rows) < len(audit.samples):
        gone = listing(audit.samples.index.difference(rows.index), "and")
        notes.insert(0, f"left out, because not every group has their like: {gone}")
    audit = _with_blocks(replace(audit, samples=rows), columns, min_units)
    if not _estimable(audit.samples, audit.blocks):
        return _confounded_together(replace(audit, blocks=()), audit.blocks)
    audit = replace(audit, verdict="effect_only")
    numbers = sizes(audit.samples[audit.samples["donor_known"]])
    named = [f"{n} in {name}" for n, name in zip(numbers, audit.groups, strict=True)]
    if min(numbers) < min_units:
        why_not = f"known donors: {', '.join(named)}; {min_units} in each are needed"
    else:
        _, why_not = design_matrix(audit.units, audit.blocks, min_units=min_units)
    if why_not:
        return replace(audit, reason="; ".join([why_not, *notes]))
    kind = "paired" if "donor" in audit.blocks else "known"
    reason = f"{kind} donors: {', '.join(named)}, {audit.formula}"
    return replace(audit, verdict="tested", reason="; ".join([reason, *notes]))


def overlap_groups(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Keep the libraries whose level of every column is found in all four groups.

    Parameters
    ----------
    rows
        Libraries of the interaction. Those without a record in one of the columns go.
    columns
        Columns to look at.

    Returns
    -------
    pandas.DataFrame
        The rows that are left, none when no level has all groups.
    """
    rows = rows[(rows[list(columns)] != "").all(axis=1)]
    while True:
        group = rows["test"].astype(str) + rows["within"].astype(str)
        kept = rows
        for column in columns:
            has = group[kept.index].groupby(kept[column]).transform("nunique")
            kept = kept[has == _GROUPS]
        if len(kept) == len(rows):
            return kept
        rows = kept


def relabellings(units: pd.DataFrame, blocks: Sequence[str]) -> float:
    """Return in how many ways the donors of an interaction can be relabelled.

    Parameters
    ----------
    units
        Units of known donors.
    blocks
        Columns of the design.

    Returns
    -------
    float
        Of paired donors: ways to choose those of the test side within the strata of the design, or
        to swap the two places of each donor that has all groups. NaN where donors are not paired,
        since then no relabelling keeps what the factors do by themselves.
    """
    if "donor" not in blocks:
        return math.nan
    donors = units[paired(units)].groupby("donor")
    for factor in ("test", "within"):
        if (donors[factor].nunique() == 1).all():
            side = donors[factor].first()
            strata = [donors[column.split(":")[0]].first() for column in blocks if ":" in column]
            parts = side.groupby(strata) if strata else [("", side)]
            return float(math.prod(math.comb(len(part), int(part.sum())) for _, part in parts))
    return 2.0**donors.ngroups


def _checkable(audit: Audit) -> tuple[list[str], list[str]]:
    """Choose the columns that both factors can be checked against; say what is not recorded."""
    rows = audit.samples.assign(unit=audit.samples["donor"])
    first, notes = checkable(rows, audit.factor)
    second, _ = checkable(rows.assign(test=rows["within"]), audit.within[0])
    return [column for column in first if column in second], notes


def _with_blocks(audit: Audit, columns: Sequence[str], min_units: int) -> Audit:
    """Choose what the design adjusts for, and the libraries that it uses.

    The donor where enough have both places; then the columns, both factors, and, of paired donors,
    what a column of the donor does to the difference between its places.
    """
    rows, blocks, factors = audit.samples, [], (audit.factor, audit.within[0])
    pairs = rows[paired(rows)]
    enough = max(min_units, min(sizes(rows)) / 2)
    if min(sizes(pairs)) >= enough and _estimable(pairs, ["donor", *factors]):
        rows, blocks = pairs, ["donor"]
    by_donor = [column for column in columns if rows.groupby("donor")[column].nunique().max() == 1]
    crossed = {
        f"{column}:{factor}": rows[column] + " " + rows[factor]
        for column in by_donor
        for factor in factors
        if "donor" in blocks
    }
    rows = rows.assign(**crossed)
    for column in [*columns, *factors, *crossed]:
        constant = rows.groupby("unit")[column].nunique().max() == 1
        if constant and design_rank(rows, [*blocks, column]) > design_rank(rows, blocks):
            blocks.append(column)
    spare = [column for column in crossed if column not in blocks]
    return replace(audit, samples=rows.drop(columns=spare), blocks=tuple(blocks))


def _estimable(rows: pd.DataFrame, blocks: Sequence[str]) -> bool:
    """Tell whether the interaction adds anything to the design."""
    both = rows.assign(both=compared(rows))
    return design_rank(both, [*blocks, "both"]) > design_rank(rows, blocks)


def _confounded_alone(audit: Audit, columns: Sequence[str]) -> Audit:
    """Say which columns the interaction cannot be told from, and why."""
    groups = audit.samples.groupby(["test", "within"])
    single = {column for column in columns if (groups[column].nunique() == 1).all()}
    first, *others = columns
    reason = f"{_name(audit)} cannot be told from {first}: no {first} has {_all(audit)}"
    if others:
        reason += f"; nor from {listing(others, 'and', most=len(others))}"
    return replace(
        audit,
        verdict="not_identifiable",
        reason=reason,
        aliased_with=tuple(column for column in columns if column in single),
        nested_in=tuple(column for column in columns if column not in single),
    )


def _confounded_together(audit: Audit, columns: Sequence[str]) -> Audit:
    """Say which columns leave no interaction when taken together."""
    several = (combinations(columns, size) for size in range(2, len(columns) + 1))
    few = next(
        (
            some
            for some in chain.from_iterable(several)
            if overlap_groups(audit.samples, some).empty
        ),
        tuple(columns),
    )
    reason = f"{_name(audit)} cannot be told from {listing(few, 'and')} taken together"
    return replace(audit, verdict="not_identifiable", reason=reason, nested_in=few)


def _name(audit: Audit) -> str:
    return f"{audit.factor}:{audit.within[0]}"


def _all(audit: Audit) -> str:
    """Name the four groups."""
    _, there, elsewhere = audit.within
    return f"{audit.test} and {audit.reference} in both {there} and {elsewhere}"
