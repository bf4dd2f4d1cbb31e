"""Do the results say of single cells what was expected of a planted truth?

Like :mod:`emhniche.judging_tables`, from what each cell was simulated as.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import binom

from emhniche.evidence import (
    CANNOT_TELL,
    MIN_CELLS,
    RIGHT,
    WRONG,
    Evidence,
    Finding,
    together,
)
from emhniche.io import CELL_ID
from emhniche.report import words
from emhniche.truth_cells import (
    SINGLE,
    ambient_shares,
    doublet_auroc,
    lineage_f1,
    lost_cells,
    pathological_rates,
)
from emhniche.truths import Truth

LEVEL = 0.95
"""How often a run whose true rate is the expected one stays within the allowance."""

MIN_LIBRARIES = 3
"""Libraries over which a correlation is taken."""

NOTHING_TO_COMPARE = (
    *("no_reference_arm", "no_case_arm", "too_few_reference_donors", "too_few_case_donors"),
    *("no_lineage_cells", "too_few_cells"),
)
"""Codes of gates that no one could have opened: mice or cells are missing."""

COMPARED = ("tested", "unsupported", "reference", "inflammation_control")
"""Statuses of cells in a comparison that was made."""


def called(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge ``called``: the gate is open, and the called cells are those that were planted."""
    gates = evidence.gates
    keys = ("lineage", "tissue", "signature")
    rows = gates[(gates[[*keys]] == [expected[key] for key in keys]).all(axis=1)]
    if rows.empty:
        return Finding("There is no such gate.", CANNOT_TELL)
    gate = rows.iloc[0]
    if gate["code"] != "called":
        unknown = gate["status"] != "tested" and gate["code"] in NOTHING_TO_COMPARE
        text = f"The gate is closed ({words.name(gate['code'])}): {gate['reason']}"
        return Finding(words.sentence(text), CANNOT_TELL if unknown else WRONG)
    place = {key: expected[key] for key in ("lineage", "signature", "condition", "tissue")}
    rates = pathological_rates(evidence.calls, evidence.cells, truth=truth.id, **place)
    if not rates.planted:
        number = words.plural(rates.called, "cell")
        return Finding(f"The gate is open and {number} called, but none was planted.", WRONG)
    most = int(binom.ppf(LEVEL, rates.called, expected["max_false_share"])) if rates.called else 0
    least = int(binom.ppf(1 - LEVEL, rates.planted, expected["min_found_share"]))
    right = rates.called > 0 and rates.false <= most and rates.found >= least
    text = (
        f"The gate is open (effect {words.significant(gate['effect'], 2)}, "
        f"q {words.p_value(gate['q'])}). Of {words.plural(rates.called, 'called cell')} "
        f"{words.number(rates.false)} ({words.percent(rates.false, rates.called)}) are false; "
        f"chance allows {words.number(most)}. Of {words.plural(rates.planted, 'planted cell')} "
        f"{words.number(rates.found)} ({words.percent(rates.found, rates.planted)}) are called; "
        f"{words.number(least)} are needed. {words.number(rates.lost)} planted cells were removed "
        "by quality control or named another lineage."
    )
    return Finding(text, RIGHT if right else WRONG)


def none_called(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge ``none_called``: comparisons were made, and no such cell is called."""
    cells, calls = evidence.cells, evidence.calls
    here = cells["condition"] == expected["condition"]
    if "tissue" in expected:
        here &= cells["tissue"] == expected["tissue"]
    rows = calls[calls[CELL_ID].isin(cells.loc[here, CELL_ID])]
    for key in ("lineage", "signature"):
        if key in expected:
            rows = rows[rows[key] == expected[key]]
    hits = rows[rows["pathological"].fillna(False).astype(bool)]
    compared = rows[rows["status"].isin(COMPARED)]
    number = words.plural(compared[CELL_ID].nunique(), "cell")
    if len(hits):
        by = words.join(words.name(name) for name in sorted(set(hits["signature"])))
        return Finding(f"{words.plural(hits[CELL_ID].nunique(), 'cell')} called, by {by}.", WRONG)
    if compared.empty:
        seen = words.plural(rows[CELL_ID].nunique(), "such cell")
        return Finding(f"No comparison was made with any of {seen}.", CANNOT_TELL)
    judged = compared["status"].isin(["tested", "unsupported"])
    if judged.any():
        return Finding(f"0 of {number} called.", RIGHT)
    return Finding(
        f"0 of {number} called. They are what the other cells are compared with, and never called "
        "themselves.",
        RIGHT,
    )


def rises(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge ``rises``: the rate of a gene in the thirds of the cells by maturation."""
    calls = evidence.calls
    scored = calls[(calls["lineage"] == expected["lineage"]) & calls["maturation"].notna()]
    maturation = scored.groupby(CELL_ID)["maturation"].first()
    if len(maturation) < 3 * MIN_CELLS:
        number = words.plural(len(maturation), "cell")
        return Finding(f"Only {number} of the lineage have a maturation.", CANNOT_TELL)
    third = 3 * (maturation.rank(method="first") - 1) // len(maturation)
    texts, verdicts = [], []
    for gene in expected["genes"]:
        held = evidence.counts(gene).reindex(maturation.index).groupby(third).sum()
        if not held["all"].gt(0).all():
            texts.append(f"{gene}: not in the data.")
            verdicts.append(CANNOT_TELL)
            continue
        rate = 1e4 * held["gene"] / held["all"]
        right = rate.is_monotonic_increasing and rate[2] > 0
        right = right and rate[2] >= expected["min_fold"] * rate[0]
        told = words.join(words.significant(value, 2) for value in rate)
        texts.append(
            f"{gene}, counts per 10,000 in the thirds of {words.plural(len(maturation), 'cell')} "
            f"from the least to the most mature: {told}."
        )
        verdicts.append(RIGHT if right else WRONG)
    return Finding(" ".join(texts), together(verdicts))


def doublets(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge the doublet scores."""
    table = doublet_auroc(evidence.barcodes, evidence.cells)
    if table.empty:
        return Finding("No library has scores of both doublets and single cells.", CANNOT_TELL)
    auroc = float(np.average(table["auroc"], weights=table["doublets"]))
    mixed = table[table["mixed"] > 0]
    of_two = "–"
    if len(mixed):
        of_two = words.number(np.average(mixed["auroc_mixed"], weights=mixed["mixed"]), 3)
    total = int((evidence.cells["state"] == "doublet").sum())
    text = (
        f"AUROC {words.number(auroc, 3)}, "
        f"mean of {words.plural(len(table), 'library', 'libraries')} "
        f"({words.number(table['auroc'].min(), 2)} to {words.number(table['auroc'].max(), 2)}); "
        f"{of_two} for doublets of two lineages. {words.number(table['doublets'].sum())} of "
        f"{words.plural(total, 'doublet')} have a score."
    )
    return Finding(text, RIGHT if auroc >= expected["min_auroc"] else WRONG)


def ambient(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge the estimated shares of ambient RNA, library by library."""
    by_library = ambient_shares(evidence.barcodes, evidence.cells, ["sample"])
    number = words.plural(len(by_library), "library", "libraries")
    if len(by_library) < MIN_LIBRARIES:
        return Finding(f"{words.capital(number)} with an estimate.", CANNOT_TELL)
    groups = ambient_shares(evidence.barcodes, evidence.cells, ["sample", "lineage"])
    planted, estimated = by_library["planted"], by_library["estimated"]
    correlation = planted.corr(estimated)
    error = float((estimated - planted).abs().mean())
    text = (
        f"Correlation with the planted share {words.number(correlation, 2)} over {number}, "
        f"{words.number(groups['planted'].corr(groups['estimated']), 2)} over "
        f"{words.plural(len(groups), 'lineage of a library', 'lineages of libraries')}. Of a "
        f"library's counts {_range(planted)} were planted as soup, {_range(estimated)} estimated; "
        f"mean error {words.number(100 * error, 1)} %."
    )
    good = correlation >= expected["min_correlation"] and error <= expected["max_error"]
    return Finding(text, RIGHT if good else WRONG)


def named(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge the named lineages."""
    table = lineage_f1(evidence.annotation, evidence.cells)
    table = table[table["cells"] >= MIN_CELLS]
    if table.empty:
        return Finding(f"No lineage kept {MIN_CELLS} single cells.", CANNOT_TELL)
    macro, lowest = float(table["f1"].mean()), table["f1"].idxmin()
    text = (
        f"Macro-F1 {words.number(macro, 3)} over {words.plural(len(table), 'lineage')} and "
        f"{words.plural(table['cells'].sum(), 'cell')}; lowest {words.name(lowest)} with "
        f"{words.number(table.at[lowest, 'f1'], 2)}; {words.number(table['unresolved'].sum())} "
        "cells are unresolved."
    )
    return Finding(text, RIGHT if macro >= expected["min_f1"] else WRONG)


def kept(truth: Truth, expected: Mapping, evidence: Evidence) -> Finding:
    """Judge what quality control removes."""
    table = lost_cells(evidence.barcodes, evidence.cells)
    live = table[(table["state"] == SINGLE) & (table["cells"] >= MIN_CELLS)].set_index("lineage")
    if live.empty:
        return Finding(f"No lineage has {MIN_CELLS} live single cells.", CANNOT_TELL)
    share = live["lost"] / live["cells"]
    worst = share.idxmax()
    others = table.groupby("state")[["cells", "lost"]].sum()
    removed = words.join(
        f"{words.percent(others.at[state, 'lost'], others.at[state, 'cells'])} of "
        f"{words.plural(others.at[state, 'cells'], noun)}"
        for state, noun in (("doublet", "doublet"), ("dying", "dying cell"))
        if state in others.index
    )
    text = (
        f"Lost: {words.percent(live['lost'].sum(), live['cells'].sum())} of "
        f"{words.plural(live['cells'].sum(), 'live single cell')}, most of {words.name(worst)}: "
        f"{words.number(live.at[worst, 'lost'])} of {words.number(live.at[worst, 'cells'])} "
        f"({words.percent(share[worst])})."
    )
    text += f" Also removed: {removed}." if removed else ""
    return Finding(text, RIGHT if share[worst] <= expected["max_lost"] else WRONG)


def _range(shares: pd.Series) -> str:
    """Write the lowest and the highest share."""
    return " to ".join(f"{words.number(100 * end, 1)} %" for end in (shares.min(), shares.max()))
