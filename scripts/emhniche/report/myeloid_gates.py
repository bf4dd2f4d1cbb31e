"""Which gates of the myeloid stage does the report show, with which cells, and in which words?

A place is a lineage of a tissue of a dataset. The functions here pick what :mod:`.myeloid_figures`
draws and :mod:`.myeloid_findings` says, so that figure and sentence rest on the same rows.
"""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from emhniche.gate import naive_threshold
from emhniche.io import CELL_ID
from emhniche.lineage_cells import CONFOUNDERS
from emhniche.report import words
from emhniche.report.tables import RunTables
from emhniche.signature_genes import MIN_GENES
from emhniche.verdict import CONSEQUENCE

PLACE = ["lineage", "tissue", "dataset"]

MAX_PLACES = 4
"""Places that the figures draw; the tables hold all."""

ARMS = {"reference": "reference", "inflammation_control": "inflamed", "case": "case", "": "no arm"}
"""Arms of the sample sheet, in the order they are drawn in, and what they are called."""

CONFOUNDER_WORDS = dict(zip(CONFOUNDERS, ("immediate-early", "interferon"), strict=True))

CODES: Mapping[str, tuple[str, str]] = {
    "no_donor_level_excess": (
        "case donors do not stand out from reference donors",
        "q",
    ),
    "wrong_direction": ("case donors hold fewer cells above the naive range", "q"),
    "not_beyond_random_sets": ("random gene sets of the same expression show as much", "q"),
    "not_beyond_inflammation": ("inflamed donors hold as many cells above the naive range", "q"),
    "no_threshold": (
        "donors differ, but no threshold keeps to the false discovery rate",
        "q",
    ),
    "not_counts": ("the matrix does not hold raw counts", ""),
    "no_lineage_cells": ("there is no cell of the lineage", ""),
    "too_few_cells": ("too few cells of the lineage", "cells"),
    "unknown_signature": ("no such signature for this species", ""),
    "unresolved_alias": ("genes stand under old symbols", ""),
    "too_few_genes": (f"fewer than {MIN_GENES} genes of the signature can be used", "n_genes"),
    "no_maturation_genes": ("too few genes that tell maturation are measured", ""),
    "donor_in_two_arms": ("a donor is reference and case", ""),
    "no_reference_arm": ("there are no naive reference donors to compare with", ""),
    "no_case_arm": ("there are no case donors to compare", ""),
    "reference_other_platform": ("the reference is of another study or protocol", ""),
    "reference_other_tissue": ("the reference is of another tissue", ""),
    "too_few_reference_donors": ("too few known reference donors", "reference_donors"),
    "too_few_case_donors": ("too few known case donors", "case_donors"),
    "arm_aliased_with_batch": (
        "the arms share no batch, so the two cannot be told apart",
        "",
    ),
    "case_unsupported": ("most case cells lie outside the maturation of the reference cells", ""),
    "no_random_sets": ("too few genes are left to draw random sets from", ""),
}
"""Code of a gate that called nothing -> why, and the column of the gate table that says how far."""

UNITS = {
    "cells": "cell",
    "n_genes": "gene",
    "reference_donors": "donor",
    "case_donors": "donor",
}
"""What the numbers of :data:`CODES` count; ``q`` is a p-value."""


def gate_status(gate: Mapping) -> str:
    """Return the status word that a gate is shown with.

    Parameters
    ----------
    gate
        A row of the gate table.

    Returns
    -------
    str
        Its status; where it was tested and called nothing, that word of
        :data:`emhniche.report.words.STATUSES` which says so.
    """
    if gate["status"] != "tested" or gate["code"] == "called":
        return str(gate["status"])
    return "no_difference" if gate["code"] == "no_donor_level_excess" else "none_called"


def shown_gates(gates: pd.DataFrame, signatures: Sequence[str]) -> pd.DataFrame:
    """Choose one gate a place: the clearest called one, else the first signature with an answer.

    Parameters
    ----------
    gates
        ``myeloid/gates.tsv``.
    signatures
        Signatures in the order of the settings.

    Returns
    -------
    pandas.DataFrame
        Rows of `gates`, called ones first, then tested ones, then those with scores only; places
        without a score are left out.
    """
    kinds = ["called", "tested", "score_only"]
    kind = gates["status"].where(gates["code"] != "called", "called")
    order = {name: place for place, name in enumerate(signatures)}
    ranked = gates.assign(
        kind=kind.map({name: rank for rank, name in enumerate(kinds)}),
        strength=gates["q"].where(kind == "called", 0.0),
        wanted=gates["signature"].map(order),
        found=range(len(gates)),
    ).dropna(subset=["kind"])
    first = ranked.sort_values(["kind", "strength", "wanted"], kind="stable").drop_duplicates(PLACE)
    return first.sort_values(["kind", "found"])[gates.columns].reset_index(drop=True)


def gate_cells(run: RunTables, gate: Mapping) -> pd.DataFrame:
    """Return the cells of a gate.

    Parameters
    ----------
    run
        Tables of the run.
    gate
        A row of the gate table.

    Returns
    -------
    pandas.DataFrame
        Rows of ``calls.parquet``, indexed by cell_id, with ``donor``, ``arm`` and ``called``.
    """
    calls = run["calls"]
    mine = calls[(calls["lineage"] == gate["lineage"]) & (calls["signature"] == gate["signature"])]
    here = (run.cells["tissue"] == gate["tissue"]) & (run.cells["dataset"] == gate["dataset"])
    named = run.cells.loc[here, ["donor", "arm"]].astype(object).fillna("").astype(str)
    table = mine.set_index(CELL_ID).join(named, how="inner")
    return table.assign(called=table["pathological"].fillna(False).astype(bool))


def gate_donors(run: RunTables, gate: Mapping) -> pd.DataFrame:
    """Return the donors of a gate that count, with their share of cells above the naive range."""
    donors = run["donors"]
    keys = [*PLACE, "signature"]
    mine = donors[(donors[keys] == [gate[key] for key in keys]).all(axis=1)]
    return mine[mine["role"].isin(list(ARMS)[:3]) & mine["exceedance"].notna()]


def overlap(run: RunTables, gate: Mapping) -> pd.DataFrame:
    """Compare called with other case cells in genes of stress and of inflammation.

    Parameters
    ----------
    run
        Tables of the run.
    gate
        A row of the gate table that called cells.

    Returns
    -------
    pandas.DataFrame
        One row a donor and set: ``set``, ``donor``, ``n_called``, ``n_other``, ``called`` and
        ``other`` (share of these cells above the reference cells' 95th percentile, where reference
        donors weigh the same); sets without a score here are left out.
    """
    cells, scores = gate_cells(run, gate), run["scores"].set_index(CELL_ID)
    rows = []
    for name in [name for name in CONFOUNDERS if name in scores]:
        score = scores[name].reindex(cells.index).to_numpy(dtype=float)
        known = cells.assign(score=score)[~pd.isna(score)]
        naive = known[known["status"] == "reference"]
        judged = known[known["pathological"].notna()]
        if naive.empty:
            continue
        limit = naive_threshold(naive["score"].to_numpy(), naive["donor"].to_numpy(dtype=str))
        for donor, part in judged.groupby("donor", sort=True):
            hit = part["score"] > limit
            rows.append(
                {
                    "set": name,
                    "donor": donor,
                    "n_called": int(part["called"].sum()),
                    "n_other": int((~part["called"]).sum()),
                    "called": hit[part["called"]].mean(),
                    "other": hit[~part["called"]].mean(),
                }
            )
    columns = ["set", "donor", "n_called", "n_other", "called", "other"]
    return pd.DataFrame(rows, columns=columns)


def place_name(gate: Mapping, *, dataset: bool = False) -> str:
    """Name a place, such as ``neutrophil in spleen``."""
    tail = f" ({gate['dataset']})" if dataset else ""
    return f"{words.name(gate['lineage'])} in {words.name(gate['tissue'])}{tail}"


def several_datasets(gates: pd.DataFrame) -> bool:
    """Tell whether a place must name its dataset."""
    return gates["dataset"].nunique() > 1


def why(gates: pd.DataFrame, *, numbers: bool = True) -> str:
    """Say why gates of one code called nothing, with the range of the number that decided.

    Parameters
    ----------
    gates
        Rows of the gate table with the same ``code``.
    numbers
        Whether to add the range.

    Returns
    -------
    str
        Without a full stop. A code unknown here is told by the first clause of its reason.
    """
    code = str(gates["code"].iloc[0])
    if code not in CODES:
        return str(gates["reason"].iloc[0]).split(". ")[0].rstrip(".")
    text, column = CODES[code]
    known = gates[column].dropna() if column and numbers else []
    if not len(known):
        return text
    low, high = known.min(), known.max()
    write = words.p_value if column == "q" else words.number
    span = f"{write(low)} to " if write(low) != write(high) else ""
    last = f"{write(high)}" if column == "q" else words.plural(high, UNITS[column])
    return f"{text} ({'adjusted p ' if column == 'q' else ''}{span}{last})"


def further_reasons(gates: pd.DataFrame) -> list[str]:
    """Return the sentences beyond the first that the reasons of all these gates share."""
    split = [re.split(r"(?<=\.) (?=[A-Z])", str(reason)) for reason in gates["reason"]]
    first = {one[0] for one in split}
    told = first | set(CONSEQUENCE.values())
    return [s for s in split[0] if s not in told and all(s in other for other in split)]


def verdict(gate: pd.Series) -> str:
    """Say in a sentence what came of a gate; its p-values stand elsewhere."""
    if gate["code"] == "called":
        return f"Gate open: {words.plural(gate['called'], 'cell')} called {gate['label']}."
    tested = gate["status"] == "tested"
    text = why(gate.to_frame().T.infer_objects(), numbers=not tested)
    return words.sentence(f"{'Gate closed' if tested else 'Scores only'}: {text}")
