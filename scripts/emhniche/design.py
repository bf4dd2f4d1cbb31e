"""What can a contrast tell, given which samples there are?

Before anything is tested the sample sheet is asked: how many donors stand on each side, are they
paired, and could what looks like the factor just as well be the study, the chemistry, the sorting
gate or another column that changes with it? The verdict of :func:`audit_contrast` binds all tables
of the stage: only a ``tested`` contrast gets p-values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from emhniche.confounding import (
    NUISANCES,
    checkable,
    confounded,
    confounded_together,
    design_rank,
    independent_columns,
    levels_by_arm,
    listing,
    overlap,
)

_MIN_RESIDUAL = 2


@dataclass(frozen=True)
class Audit:
    """What a contrast allows.

    Attributes
    ----------
    name, factor, test, reference
        The contrast.
    verdict
        ``tested``, ``effect_only``, ``not_identifiable`` or ``not_testable``.
    reason
        The verdict in a sentence.
    samples
        Libraries that the tables of the contrast use, indexed by sample: ``unit`` (a donor in an
        arm), ``donor``, ``donor_known``, ``test`` (True on the test side), and the columns of
        :data:`emhniche.confounding.NUISANCES` that the sheet has.
    blocks
        Columns of the design besides the factor; ``donor`` first where donors are paired.
    aliased_with, nested_in
        Columns the factor cannot be told from: with one level an arm, or with several.
    counts
        ``units`` and ``known`` (known donors), each as (test, reference), and ``paired``.
    """

    name: str
    factor: str
    test: str
    reference: str
    verdict: str
    reason: str
    samples: pd.DataFrame
    blocks: tuple[str, ...] = ()
    aliased_with: tuple[str, ...] = ()
    nested_in: tuple[str, ...] = ()
    counts: Mapping = field(default_factory=dict)

    @property
    def formula(self) -> str:
        """The design that the samples allow; empty when the factor cannot be estimated."""
        if self.verdict in ("not_testable", "not_identifiable"):
            return ""
        return "~ " + " + ".join([*self.blocks, self.factor])

    @property
    def units(self) -> pd.DataFrame:
        """One row a unit (a donor in an arm), sorted by its name."""
        return self.samples.drop_duplicates("unit").set_index("unit").sort_index()


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
        optionally ``subset`` (column -> value).
    min_units
        Known donors that each arm needs before anything is tested.

    Returns
    -------
    Audit
        Verdict, reason and design.
    """
    rows = _rows(samples, contrast)
    audit = Audit(
        **{key: str(contrast[key]) for key in ("name", "factor", "test", "reference")},
        verdict="not_testable",
        reason="",
        samples=rows,
        counts=_count(rows),
    )
    sides = ((audit.test, True), (audit.reference, False))
    absent = [level for level, side in sides if not (rows["test"] == side).any()]
    if absent:
        return replace(audit, reason=f"no library has {audit.factor} {listing(absent, 'or')}")
    known = rows[rows["donor_known"]]
    if min(_count(known)["known"]) >= min_units:
        audit = replace(audit, samples=known)
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
        The verdict on those libraries that were not sorted or enriched. Where an arm has no such
        library it is ``not_identifiable``: the gate set the frequencies.
    """
    rows = samples.loc[audit.samples.index]
    free = rows[rows["enrichment"].isin(["none", ""])] if "enrichment" in rows else rows
    for level, side in ((audit.test, True), (audit.reference, False)):
        arm = audit.samples.index[audit.samples["test"] == side]
        if len(arm) and free.index.intersection(arm).empty:
            gates = listing(rows.loc[arm, "enrichment"].unique(), "or")
            return replace(
                audit,
                verdict="not_identifiable",
                reason=f"every {level} library is sorted or enriched ({gates}), and the gate set "
                "how frequent each cell type is",
                samples=audit.samples.loc[free.index],
            )
    keys = ("name", "factor", "test", "reference")
    return audit_contrast(free, {key: getattr(audit, key) for key in keys}, min_units=min_units)


def design_matrix(
    units: pd.DataFrame, blocks: Sequence[str], *, min_units: int
) -> tuple[pd.DataFrame | None, str]:
    """Build the model matrix of the units that are left for a cell type.

    Parameters
    ----------
    units
        Rows of :attr:`Audit.units`, of known donors.
    blocks
        Columns besides the factor.
    min_units
        Known donors that each arm needs.

    Returns
    -------
    matrix
        Units x coefficients; the last column, ``test``, is the factor. Paired designs keep the
        donors with both arms. None when the factor cannot be estimated.
    reason
        Why not, else empty.
    """
    if "donor" in blocks:
        units = units[_paired(units)]
    sides = [int((units["test"] == side).sum()) for side in (True, False)]
    if min(sides) < min_units:
        kind = "paired donors" if "donor" in blocks else "known donors"
        return None, f"{sides[0]} against {sides[1]} {kind}, {min_units} in each arm are needed"
    others = independent_columns(units, blocks)
    matrix = np.column_stack([others, units["test"].to_numpy(dtype=float)])
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        return None, f"in these donors it cannot be told from {listing(blocks, 'and')}"
    if len(matrix) - matrix.shape[1] < _MIN_RESIDUAL:
        return None, f"adjusting for {listing(blocks, 'and')} leaves too few donors to judge noise"
    names = ["intercept", *(f"block_{i}" for i in range(1, others.shape[1])), "test"]
    return pd.DataFrame(matrix, index=units.index, columns=names), ""


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
        *("composition_verdict", "composition_reason"),
    ]
    rows = [
        (
            *(audit.name, audit.factor, audit.test, audit.reference, *audit.counts["units"]),
            *(*audit.counts["known"], audit.counts["paired"], "; ".join(audit.aliased_with)),
            *("; ".join(audit.nested_in), audit.formula, smallest_p(audit)),
            *(audit.verdict, audit.reason, composition.verdict, composition.reason),
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
        be estimated.
    """
    if not audit.formula:
        return math.nan
    units = audit.units[audit.units["donor_known"]]
    strata = units.groupby(list(audit.blocks)) if audit.blocks else [("", units)]
    ways = math.prod(math.comb(len(part), int(part["test"].sum())) for _, part in strata)
    return min(1.0, 2.0 / ways)


def _rows(samples: pd.DataFrame, contrast: Mapping[str, object]) -> pd.DataFrame:
    """Return the libraries of both arms, with their unit and side."""
    chosen = samples
    for column, value in dict(contrast.get("subset") or {}).items():
        chosen = chosen[chosen[column].astype(str) == str(value)]
    level = chosen[contrast["factor"]].astype(str)
    rows = chosen[level.isin([contrast["test"], contrast["reference"]])].copy()
    rows["test"] = level[rows.index] == contrast["test"]
    rows["unit"] = rows["donor"].astype(str) + " | " + level[rows.index]
    present = [column for column in NUISANCES if column in rows]
    for column in present:
        rows[column] = rows[column].astype(object).where(rows[column].notna(), "").astype(str)
    return rows[["unit", "donor", "donor_known", "test", *present]]


def _paired(rows: pd.DataFrame) -> pd.Series:
    """Tell the rows whose donor is known and has both arms."""
    return rows["donor_known"] & (rows.groupby("donor")["test"].transform("nunique") == 2)


def _count(rows: pd.DataFrame) -> dict[str, object]:
    """Count units and known donors of each arm, and the donors with both arms."""
    units = rows.drop_duplicates("unit")
    both = [
        tuple(int((part["test"] == side).sum()) for side in (True, False))
        for part in (units, units[units["donor_known"]])
    ]
    paired = int(rows.loc[_paired(rows), "donor"].nunique())
    return {"units": both[0], "known": both[1], "paired": paired}


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
        rows = rows[_paired(rows)]
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
    pairs = rows[_paired(rows)]
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
