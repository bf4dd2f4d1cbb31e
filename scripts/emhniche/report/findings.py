"""What did the run find, in plain sentences?

Each function reads one stage's tables and returns sentences. Every number in a sentence is computed
from a table here, and each sentence names that table and carries the status word of what it rests
on; a sentence without one states a plain count.
"""

import re
from collections.abc import Iterator

import pandas as pd

from emhniche.axes import Q_LEVEL, differs
from emhniche.report import signals_figures, supply_figures, words
from emhniche.report.finding import Finding, source
from emhniche.report.myeloid_findings import pathological
from emhniche.report.niche_figures import known
from emhniche.report.tables import RunTables, contrast_titles

FOCUS = ("KIT", "CXCL12", "G-CSF", "IL-1", "LIF", "TNF", "CXCR2")
"""Axes of the review's panel; further axes are in the tables and the map."""

OUTCOMES = {
    "not_identifiable": "So no p-value is given.",
    "effect_only": "So the size of a difference is shown, without a p-value.",
    "not_testable": "So nothing is compared.",
}
"""What follows from the verdict on a contrast."""

NAMED = 5
"""Differences named in a sentence."""

MIN_SHOWN = 0.05
"""Share of a cell type that must hold a ligand for the sentence to name it."""


def all_findings(run: RunTables) -> list[tuple[str, list[Finding]]]:
    """Return every finding of a run by topic, in the order of the analysis; no topic is empty."""
    topics = {
        "Cells": [*quality(run), *cell_types(run)],
        "What can be compared": list(design(run)),
        "How frequent cells are": list(frequencies(run)),
        "Blood made outside the marrow": list(signals_figures.blood_made(run)),
        "Who makes the panel": list(producers(run)),
        "What differs in expression": list(differences(run)),
        "Supply of ligands": list(supply_figures.sentences(run)),
        "Signals": [*signalling(run), *signals_figures.sentences(run)],
        "MDSC-like cells": list(pathological(run)),
    }
    return [(topic, found) for topic, found in topics.items() if found]


def quality(run: RunTables) -> Iterator[Finding]:
    """Say what quality control kept, and which lineage of which sample lost most."""
    kept, total = cells_kept(run)
    yield Finding(
        "",
        f"{words.number(kept)} of {words.plural(total, 'barcode')} were kept as cells "
        f"({words.percent(kept, total)}) in {words.plural(len(run.qc), 'sample')}.",
        "#quality",
    )
    heavy = [
        (1 - row["n_kept"] / row["n_in"], sample, row)
        for sample, qc in run.qc.items()
        for row in qc["lineages"]
        if row["n_in"] >= 20 and row["lineage"] != "unresolved"
    ]
    heavy = sorted((h for h in heavy if h[0] >= 0.3), key=lambda h: (-h[0], h[1]))[:3]
    if heavy:
        parts = [
            f"{words.name(row['lineage'])} of {sample} ({words.percent(share)} of "
            f"{words.number(row['n_in'])} barcodes)"
            for share, sample, row in heavy
        ]
        yield Finding("", f"Quality control cost most in {words.join(parts)}.", "#quality")


def cell_types(run: RunTables) -> Iterator[Finding]:
    """Say which lineages were found and how many cells have none."""
    annotation = run["annotation"]
    sizes = annotation["lineage"].value_counts()
    named = sizes.drop("unresolved", errors="ignore")
    parts = [f"{words.name(lineage)} ({words.number(n)})" for lineage, n in named.items()]
    lost = int(sizes.get("unresolved", 0))
    clusters = run["clusters"]["cluster"].nunique()
    yield Finding(
        "",
        f"{words.plural(len(annotation), 'cell')} form {words.plural(clusters, 'cluster')} of "
        f"{words.plural(len(named), 'lineage')}: {words.join(parts)}. "
        f"{words.plural(lost, 'cell')} ({words.percent(lost, len(annotation))}) stay unresolved.",
        source("cluster_types"),
    )


def design(run: RunTables) -> Iterator[Finding]:
    """Say of each contrast whether the samples can answer it."""
    titles = contrast_titles(run)
    for _, row in run["design"].iterrows():
        reason = without_formula("; ".join(map(str.strip, str(row["reason"]).split(";")[:2])))
        text = f"{titles[row['contrast']]}: {words.sentence(reason)}"
        outcome = OUTCOMES.get(row["verdict"], "")
        yield Finding(str(row["verdict"]), f"{text} {outcome}".strip(), source("design"))


def without_formula(reason: str) -> str:
    """Leave the formula of a design to the table of contrasts."""
    return re.sub(r",? ?~ [^;]*", "", reason)


def producers(run: RunTables) -> Iterator[Finding]:
    """Say which cells hold the panel's ligands in each niche, and which cannot be judged."""
    ligands = run["production"]
    ligands = ligands[(ligands["role"] == "ligand") & ligands["axis"].isin(FOCUS)]
    for niche in words.order(ligands["niche"], ["marrow", "extramedullary"]):
        table = ligands[(ligands["niche"] == niche) & (ligands["tier"] == "core")]
        where = f"the {words.name(niche)} niche"
        best = top_producers(table).sort_values("detection", ascending=False, kind="stable")
        often = best[best["detection"] >= MIN_SHOWN]
        seldom = best[best["detection"] < MIN_SHOWN]
        parts = []
        if len(often):
            seen = words.join(_seen(gene, row) for gene, row in often.iterrows())
            parts.append(f"Ligands of {where} are seen most in these cells: {seen}.")
        if len(seldom):
            seen = words.join(_seen(gene, row) for gene, row in seldom.iterrows())
            parts.append(f"Seldom seen even where they are seen most: {seen}.")
        if parts:
            yield Finding("described", " ".join(parts), source("production"))
        lost = [gene for gene in dict.fromkeys(table["gene"]) if gene not in set(_judged(table))]
        if lost:
            yield Finding(
                "not_testable",
                f"In {where} {words.join(lost)} cannot be judged in any cell type: too few counts "
                "or cells, or not measured. That is not absence.",
                source("production"),
            )


def differences(run: RunTables) -> Iterator[Finding]:
    """Say how many differences each contrast could test, and name the clearest."""
    by_type = run["contrasts"][run["contrasts"]["level"] == "cell_type"]
    for contrast, title in contrast_titles(run).items():
        table = by_type[by_type["contrast"] == contrast]
        if table.empty:
            continue
        counts = table["status"].value_counts()
        parts = [
            f"{words.number(counts[key])} are {words.status(key).word}"
            for key in words.STATUSES
            if key in counts
        ]
        yield Finding(
            "",
            f"{title}: of {words.number(len(table))} pairs of gene and cell type "
            f"{words.join(parts)}.",
            source("contrasts"),
        )
        yield from _named_differences(title, table)
        ligands = table[(table["role"] == "ligand") & (table["tier"] == "core")]
        compared = set(ligands.loc[ligands["status"] != "not_testable", "gene"])
        lost = [gene for gene in dict.fromkeys(ligands["gene"]) if gene not in compared]
        if lost:
            yield Finding(
                "not_testable",
                f"{title}: of the panel's core ligands {words.join(lost)} cannot be compared in "
                "any cell type: one arm or both have too few counts, cells or samples of them.",
                source("contrasts"),
            )


def frequencies(run: RunTables) -> Iterator[Finding]:
    """Say what can be said of cell-type frequencies."""
    by_lineage = run["composition"][run["composition"]["level"] == "lineage"]
    for contrast, title in contrast_titles(run).items():
        table = by_lineage[by_lineage["contrast"] == contrast]
        shown = table[table["effect"].notna()]
        if shown.empty:
            status, reason = _why_no_frequencies(run, contrast)
            yield Finding(
                status,
                f"{title}: frequencies cannot be compared. {words.capital(words.sentence(reason))}",
                source("composition"),
            )
            continue
        tested = shown[shown["status"] == "tested"]
        if len(tested):
            yield _tested_frequencies(tested, title)
        for status, part in shown[shown["status"] != "tested"].groupby("status", sort=False):
            yield Finding(
                str(status),
                f"{title}, odds of a cell to be of a lineage: {_largest_odds(part)}.",
                source("composition"),
            )


def _tested_frequencies(tested: pd.DataFrame, title: str) -> Finding:
    """Name the lineages whose frequency differs by the test, and no other."""
    differ = tested[tested["q"] <= Q_LEVEL]
    text = f"odds of a cell to be of a lineage, at a false discovery rate of {Q_LEVEL:g}: "
    text += _largest_odds(differ) if len(differ) else f"none of {len(tested)} lineages differs"
    return Finding("tested", f"{title}, {text}.", source("composition"))


def _largest_odds(part: pd.DataFrame) -> str:
    top = part.loc[part["effect"].abs().sort_values(ascending=False).index[:NAMED]]
    return words.join(
        f"{words.cells(r['lineage'])} {words.fold(r['effect'])}" for _, r in top.iterrows()
    )


def signalling(run: RunTables) -> Iterator[Finding]:
    """Say how many ligand-receptor pairs could be scored, and the strongest of each niche."""
    pairs = run["ligand_receptor"]
    for niche, table in pairs.groupby("niche", sort=False):
        scored = table[table["score"].notna() & (table["status"] != "not_testable")]
        text = (
            f"In the {words.name(niche)} niche {words.number(len(scored))} of "
            f"{words.number(len(table))} combinations of ligand, receptor, sender and receiver "
            "have enough cells and counts for a score"
        )
        if len(scored):
            best = _best_pair(scored)
            text += (
                f"; high among them is {best['ligand']} of {words.cells(best['sender'])} to "
                f"{best['receptor']} of {words.cells(best['receiver'])}"
            )
        status = "described" if len(scored) else "not_testable"
        yield Finding(status, f"{text}.", source("ligand_receptor"))


def top_producers(production: pd.DataFrame) -> pd.DataFrame:
    """Return for each gene the cell type with the highest share of cells that hold it.

    Parameters
    ----------
    production
        Rows of ``production.tsv`` of one niche.

    Returns
    -------
    pandas.DataFrame
        Indexed by gene, in the table's order; genes that no cell type can be judged for, that none
        holds, or whose counts ambient RNA explains are left out.
    """
    ambient = production["ambient"].fillna(False).astype(bool)
    table = production[known(production) & (production["detection"] > 0) & ~ambient]
    best = table.loc[table.groupby("gene", sort=False)["detection"].idxmax()]
    return best.set_index("gene")


def _named_differences(title: str, table: pd.DataFrame) -> Iterator[Finding]:
    """Name the clearest differences of a contrast, tested ones and sizes apart."""
    tested = table[table["status"] == "tested"]
    clear = tested[differs(tested)].sort_values("q", kind="stable")
    sizes = table[(table["status"] == "effect_only") & table["effect"].notna()]
    sizes = sizes.loc[sizes["effect"].abs().sort_values(ascending=False, kind="stable").index]
    if len(tested) and clear.empty:
        yield Finding(
            "tested",
            f"{title}: none of {words.number(len(tested))} tested differs at a false discovery "
            f"rate of {Q_LEVEL:g}.",
            source("contrasts"),
        )
    for status, part, lead in (
        ("tested", clear, f"clearest at a false discovery rate of {Q_LEVEL:g}"),
        ("effect_only", sizes, "the largest differences, with no p-value"),
    ):
        if part.empty:
            continue
        top = part.head(NAMED)
        parts = [
            f"{row['gene']} in {words.name(row['cell_type'])} {words.fold(row['effect'])}"
            for _, row in top.iterrows()
        ]
        more = (
            f" ({words.number(len(part) - len(top))} more in the table)"
            if len(part) > len(top)
            else ""
        )
        yield Finding(
            status,
            f"{title}, {lead}: {words.join(parts)}{more}.",
            source("contrasts"),
        )


def _best_pair(scored: pd.DataFrame) -> pd.Series:
    """Return the pair with the highest score: an agonist of a core axis where there is one."""
    clean = scored[~scored["ambient"].astype(bool)]
    core = clean[clean["axis"].isin(FOCUS)]
    agonists = core[core["sign"] == "agonist"]
    table = next(part for part in (agonists, core, clean, scored) if len(part))
    return table.sort_values("score", kind="stable").iloc[-1]


def _why_no_frequencies(run: RunTables, contrast: str) -> tuple[str, str]:
    row = run["design"].set_index("contrast").loc[contrast]
    return str(row["composition_verdict"]), str(row["composition_reason"])


def _judged(production: pd.DataFrame) -> pd.Series:
    return production.loc[known(production), "gene"]


def _seen(gene: str, row: pd.Series) -> str:
    return (
        f"{gene} in {words.name(row['cell_type'])} ({words.percent(row['detection'])} of "
        f"{words.plural(row['n_cells'], 'cell')})"
    )


def cells_kept(run: RunTables) -> tuple[int, int]:
    """Return how many cells are in the run, of how many barcodes of all samples."""
    kept = sum(qc["n_kept"] for qc in run.qc.values() if qc["kept"])
    return kept, sum(qc["n_in"] for qc in run.qc.values())
