"""Do the arms of a contrast differ in how frequent a kind of cell is?

The witness is the donor: its cells of each kind, from libraries that were not sorted. Two readings
are compared: the odds of the kind against all other cells, which is what was seen, and its change
against the kind that changes least, which the growth of another kind cannot make.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emhniche.audits import Audit, design_matrix, difference, split
from emhniche.frequency import PRIOR_CELLS, Difference, compare_abundance, compare_odds
from emhniche.moderation import adjust, interval
from emhniche.pseudobulk import LEVELS, Pseudobulk

COLUMNS = (
    *("contrast", "lineage", "cell_type", "units_test", "units_reference", "fraction_test"),
    *("fraction_reference", "effect", "ci_low", "ci_high", "p", "q", "status", "reason", "level"),
    *("effect_compositional", "ci_low_compositional", "ci_high_compositional"),
    *("p_compositional", "q_compositional"),
)

_ODDS = ["effect", "ci_low", "ci_high", "p"]
_ABUNDANCE = [f"{name}_compositional" for name in _ODDS]


def compare_composition(
    bulk: Pseudobulk,
    audits: Sequence[Audit],
    frequencies: Sequence[Audit],
    *,
    min_cells: int,
    min_units: int,
) -> pd.DataFrame:
    """Compare the fractions of lineages and of cell types between the arms of every contrast.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    audits
        What each contrast allows.
    frequencies
        What it allows for frequencies, in the same order; see
        :func:`emhniche.design.audit_composition`.
    min_cells
        Cells that a unit needs in all, and a kind of cell over all units, to be compared.
    min_units
        Known donors that each arm needs for a p-value.

    Returns
    -------
    pandas.DataFrame
        ``niche/composition.tsv``; ``docs/niche.md`` explains the columns. ``q`` is
        Benjamini-Hochberg over the tested rows of a contrast and level.
    """
    tables = [pd.DataFrame(columns=[*COLUMNS])]
    for audit, frequency in zip(audits, frequencies, strict=True):
        if audit.verdict == "not_testable":
            continue
        present = bulk.groups[bulk.groups["sample"].isin(audit.samples.index)]
        for level in LEVELS:
            labels = [name for name in bulk.labels(level) if name in set(present[level])]
            if not labels:
                continue
            cells = count_cells(bulk, frequency, level)
            cells = cells[cells.sum(axis=1) >= min_cells]
            table = _compare(cells, labels, frequency, min_cells=min_cells, min_units=min_units)
            lineage = bulk.lineage_of().to_dict() if level == "cell_type" else {}
            table["lineage"] = [lineage.get(label, label) for label in labels]
            tables.append(table.assign(level=level))
    table = pd.concat([part for part in tables if len(part)] or tables, ignore_index=True)
    order = ["contrast", "level", "lineage", "cell_type"]
    rising = [True, False, True, True]
    return table.sort_values(order, ascending=rising, ignore_index=True)[[*COLUMNS]]


def count_cells(bulk: Pseudobulk, audit: Audit, level: str) -> pd.DataFrame:
    """Count the cells of every kind in every unit.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    audit
        The contrast.
    level
        ``lineage`` or ``cell_type``.

    Returns
    -------
    pandas.DataFrame
        Units x kinds of cells, unresolved ones among them.
    """
    groups = bulk.groups[bulk.groups["sample"].isin(audit.samples.index)]
    unit = groups["sample"].map(audit.samples["unit"])
    cells = groups["n_cells"].groupby([unit.to_numpy(), groups[level].to_numpy()]).sum()
    return cells.unstack(fill_value=0).sort_index()


def _compare(
    cells: pd.DataFrame, labels: list[str], audit: Audit, *, min_cells: int, min_units: int
) -> pd.DataFrame:
    """Return one row a kind of cell, from units x kinds of cells."""
    units = audit.units.loc[cells.index]
    status, reason, matrix = audit.verdict, audit.reason.split(":")[0].split(";")[0], None
    if status == "tested":
        matrix, reason = design_matrix(units, audit.blocks, min_units=min_units)
        status = "effect_only" if matrix is None else status
        units = units if matrix is None else units.loc[matrix.index]
    cells = cells.loc[units.index]
    side = units["test"].to_numpy(dtype=bool)
    held = cells.reindex(columns=labels, fill_value=0).to_numpy(dtype=float)
    whole = cells.sum(axis=1).to_numpy(dtype=float)[:, None]
    logs = np.log2((held + PRIOR_CELLS) / (whole - held + PRIOR_CELLS))
    table = pd.DataFrame({"contrast": audit.name, "cell_type": labels})
    for arm, here in (("test", side), ("reference", ~side)):
        table[f"units_{arm}"] = units.loc[here, "donor"].nunique()
        one = here.any() and not audit.within
        table[f"fraction_{arm}"] = (held / whole)[here].mean(axis=0) if one else np.nan
    table[[*_ODDS, "q", *_ABUNDANCE, "q_compositional"]] = np.nan
    table["status"], table["reason"] = status, reason
    groups = split(units)
    if not all(here.any() for here in groups):
        return table
    table["effect"] = difference(logs, units)
    few = _too_few(held, whole, min_cells)
    rare = (few != "").to_numpy()
    if matrix is not None and not rare.all():
        seen = (held[:, ~rare], whole[:, 0], matrix.to_numpy())
        table.loc[~rare, _ODDS] = _columns(compare_odds(*seen))
        table.loc[~rare, _ABUNDANCE] = _columns(compare_abundance(*seen))
        for name in ("", "_compositional"):
            table[f"q{name}"] = adjust(table[f"p{name}"].to_numpy())
    elif status == "effect_only" and units["donor_known"].all():
        spans = [interval(*(column[here] for here in groups)) for column in logs.T]
        table[["ci_low", "ci_high"]] = np.array(spans).reshape(-1, 2)
    table.loc[rare, ["effect", "ci_low", "ci_high"]] = np.nan
    table.loc[rare, "status"] = "not_testable"
    table["reason"] = table["reason"].mask(rare, few)
    return table


def _too_few(held: np.ndarray, whole: np.ndarray, min_cells: int) -> pd.Series:
    """Say which kinds of cells have no frequency: seen too seldom, or all that was seen."""
    why = pd.Series("", index=range(held.shape[1]))
    for cells, kind in ((whole - held, "other"), (held, "such")):
        number = pd.Series(cells.sum(axis=0)).map(f"{{:.0f}} {kind} cells in both arms, ".format)
        why = why.mask(cells.sum(axis=0) < min_cells, number + f"{min_cells} are needed")
    return why


def _columns(found: Difference) -> np.ndarray:
    """Return kinds x (effect, low, high, p)."""
    return np.column_stack([found.effect, found.low, found.high, found.p])
