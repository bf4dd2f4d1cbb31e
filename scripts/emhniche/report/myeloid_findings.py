"""What was found among myeloid cells, what was not, and why, in plain sentences?

Gates that came to the same end are told in one sentence, however many they are.
"""

from collections.abc import Iterator

import pandas as pd

from emhniche.donor_markers import MARKER_LEVEL, MIN_MARKER_CELLS, MIN_PAIRS
from emhniche.report import words
from emhniche.report.finding import Finding, source
from emhniche.report.myeloid_gates import (
    CONFOUNDER_WORDS,
    further_reasons,
    gate_cells,
    gate_status,
    overlap,
    place_name,
    several_datasets,
    why,
)
from emhniche.report.tables import RunTables

ENDS = {
    "tested": "The gate stayed closed",
    "score_only": "Scores only, no call",
    "not_testable": "Not scored",
}
"""What a gate that called nothing still gives, by its status."""

MAX_NAMED = 3
"""Signatures that a sentence names; more are counted."""


def pathological(run: RunTables) -> Iterator[Finding]:
    """Say which cells were called and what else marks them, or that none could be."""
    called = run["gates"][run["gates"]["code"] == "called"]
    for _, gate in called.iterrows():
        yield _called(run, gate)
        yield from _overlap(run, gate)
        yield from _markers(run, gate)
    if called.empty:
        yield _nothing_called(run)
    yield from not_called(run)


def not_called(run: RunTables) -> Iterator[Finding]:
    """Say for which lineages, tissues and signatures nothing was called, one sentence a reason."""
    gates = run["gates"][run["gates"]["code"] != "called"]
    total = run["gates"]["signature"].nunique()
    for status in words.order(gates["status"], list(ENDS)):
        for _, part in gates[gates["status"] == status].groupby("code", sort=False):
            where = _where(part, total, dataset=several_datasets(run["gates"]))
            end = ENDS.get(status, words.name(status))
            reasons = [words.sentence(why(part)), *further_reasons(part)]
            text = f"{end} for {where}: {' '.join(reasons)}"
            yield Finding(gate_status(part.iloc[0]), text, source("gates"))


def _called(run: RunTables, gate: pd.Series) -> Finding:
    """Say how many cells of a place are called, by which donors, and in what excess."""
    cells = gate_cells(run, gate)
    judged = int(cells["pathological"].notna().sum())
    outside = int(((cells["status"] == "unsupported") & (cells["arm"] == "case")).sum())
    within = f" within the reference's maturation ({words.number(outside)} outside)"
    text = (
        f"{words.capital(place_name(gate, dataset=several_datasets(run['gates'])))}: "
        f"{words.number(cells['called'].sum())} of {words.plural(judged, 'case cell')}"
        f"{within if outside else ''} are called {gate['label']} by "
        f"{words.name(gate['signature'])}; {words.number(gate['case_donors'])} case against "
        f"{words.plural(gate['reference_donors'], 'reference donor')}, "
        f"p {words.p_value(gate['p'])}, adjusted {words.p_value(gate['q'])}."
    )
    if not words.is_missing(gate["excess"]):
        text += (
            f" Beyond what reference donors have, {words.percent(gate['excess'])} of the cells lie "
            f"above the naive range (95 % interval {words.percent(gate['excess_low'])} to "
            f"{words.percent(gate['excess_high'])})."
        )
    if "reactive" in str(gate["label"]):
        text += " Reactive: no inflamed donors were there to tell a tumour from inflammation."
    return Finding("tested", text, source("gates"))


def _overlap(run: RunTables, gate: pd.Series) -> Iterator[Finding]:
    """Say how far the called cells are those of stress or inflammation, the median of donors."""
    parts = []
    for name, rows in overlap(run, gate).groupby("set", sort=False):
        both = rows.dropna(subset=["called", "other"])
        if len(both):
            parts.append(
                f"{CONFOUNDER_WORDS[name]} genes {_span(both['called'])} of the called and "
                f"{_span(both['other'])} of the other case cells"
            )
    if parts:
        text = (
            f"{words.capital(place_name(gate))}, share of cells above 95 % of the reference cells, "
            f"median and range of donors: {'; '.join(parts)}."
        )
        yield Finding("described", text, source("calls"))


def _span(shares: pd.Series) -> str:
    """Write the median of the donors' shares with their range."""
    ends = f"{words.percent(shares.min())} to {words.percent(shares.max())}"
    return f"{words.percent(shares.median())} ({ends})"


def _markers(run: RunTables, gate: pd.Series) -> Iterator[Finding]:
    """Name the genes that mark all called cells of a gate, and in how many donors."""
    subsets = run["subsets"]
    keys = ["lineage", "tissue", "dataset", "signature"]
    if not {"state", "markers_per_unit", *keys} <= set(subsets):
        return
    mine = subsets[(subsets[keys] == [gate[key] for key in keys]).all(axis=1)]
    for _, row in mine[mine["state"] == "all"].iterrows():
        yield Finding(
            "described",
            f"Markers of these cells, beside the genes they were called by: {marker_words(row)}.",
            source("subsets"),
        )


def marker_words(row: pd.Series) -> str:
    """Put the markers of a subset in words, with the donors that show each.

    Parameters
    ----------
    row
        A row of ``myeloid/subsets.tsv``.

    Returns
    -------
    str
        Such as ``Cd84 (4 of 4 donors)``, or why there is none.
    """
    units = row.get("marker_units", None)
    if not words.is_missing(row.get("markers_per_unit", None)):
        pairs = [part.rsplit("=", 1) for part in str(row["markers_per_unit"]).split(";")]
        return words.join(f"{gene} ({share.replace('/', ' of ')} donors)" for gene, share in pairs)
    if words.is_missing(units):
        return words.MISSING if words.is_missing(row["markers"]) else str(row["markers"])
    if units < MIN_PAIRS:
        return (
            f"not testable, {words.plural(units, 'donor')} with {MIN_MARKER_CELLS} cells on both "
            f"sides, {MIN_PAIRS} are needed"
        )
    return f"none at a false discovery rate of {MARKER_LEVEL:g} in {words.plural(units, 'donor')}"


def _nothing_called(run: RunTables) -> Finding:
    """Say that no cell was called: because every gate stayed closed, or because none could be."""
    calls = run["calls"]
    judged = calls.loc[calls["pathological"].notna(), "cell_id"].nunique()
    if judged:
        text = f"None of {words.plural(judged, 'case cell')} that could be judged is MDSC-like."
        return Finding("none_called", text, source("gates"))
    scored = calls.loc[calls["status"] == "score_only", "cell_id"].nunique()
    text = "No cell could be called MDSC-like or not"
    if scored:
        text += (
            f"; {words.plural(scored, 'myeloid cell')} {'has' if scored == 1 else 'have'} scores"
        )
    return Finding("score_only" if scored else "not_testable", f"{text}.", source("gates"))


def _where(gates: pd.DataFrame, total: int, *, dataset: bool) -> str:
    """Name the places of some gates, those with the same signatures together."""
    tissue = gates["tissue"].map(words.name)
    tissue = tissue + " (" + gates["dataset"].astype(str) + ")" if dataset else tissue
    named = gates.assign(where=tissue)
    by_place = named.groupby(["lineage", "where"], sort=False)["signature"].agg(tuple).reset_index()
    parts = []
    for signatures, places in by_place.groupby("signature", sort=False):
        here = [
            f"{words.name(lineage)} in {words.join(rows['where'])}"
            for lineage, rows in places.groupby("lineage", sort=False)
        ]
        parts.append(f"{words.join(here)} by {_signatures(signatures, total)}")
    return "; ".join(parts)


def _signatures(names: tuple[str, ...], total: int) -> str:
    if len(names) == total > 1:
        return f"all {total} signatures"
    if len(names) <= MAX_NAMED:
        return words.join(words.name(name) for name in names)
    return f"{len(names)} of {total} signatures"
