"""Is a sample what the sheet says it is, and in what state are its cells?

Sentences of a sample page, from its row of ``samples.tsv`` and its ``qc.json``.
"""

from collections.abc import Mapping

from emhniche.report import words
from emhniche.sex_genes import SEX_GENES

EXPECTED_FROM = {
    "cells_loaded": "by the number of cells loaded",
    "recovered": "by the number of barcodes recovered",
    "config": "by the configuration, as the loading is not known",
}
"""What the expected rate of doublets rests on."""

METHOD_WORDS = {
    "boosted": "gradient boosting on simulated doublets",
    "scrublet": "Scrublet",
    "none": "nothing",
}
"""How doublets are scored."""


def describe_use(row: Mapping) -> str:
    """Say whether a sample is part of what follows; empty where that goes without saying.

    Parameters
    ----------
    row
        Its row of ``samples.tsv``.
    """
    if not row["kept"]:
        return "This sample is kept out of everything that follows."
    if row["verdict"] == "fail":
        return "The sample sheet keeps it in the run all the same."
    return ""


def describe_sex(row: Mapping, species: str) -> str:
    """Say what the sex genes of a species show, beside what the sample sheet says."""
    genes = SEX_GENES[species]
    named = {
        "female": words.join(genes["female"]),
        "male": f"genes of the Y chromosome ({', '.join(genes['male'])})",
    }
    counts = [
        f"{words.number(row[f'{sex}_counts'])} counts of {what}"
        for sex, what in named.items()
        if not words.is_missing(row[f"{sex}_counts"])
    ]
    kind = {"female": "that females alone make", "male": "of the Y chromosome"}
    unlisted = [s for s in ("female", "male") if words.is_missing(row[f"{s}_counts"])]
    seen = f"The kept cells hold {words.join(counts)}" if counts else "No sex gene is listed"
    if counts and unlisted:
        seen += f"; the file lists no gene {kind[unlisted[0]]}, so a mix cannot be excluded"
    stated = "" if words.is_missing(row["sex"]) else str(row["sex"])
    expected = f"The sample sheet says {stated}" if stated else "The sample sheet names no sex"
    outcome = {
        "agrees": f"they show {row['sex_observed']}, as expected",
        "contradicts": f"they show {row['sex_observed']}: a contradiction",
        "donor_disagrees": f"they show {row['sex_observed']}, unlike another library of the donor",
        "mixed": "they show both sexes",
        "one_sex": f"they show {row['sex_observed']} alone",
        "not_stated": f"they show {row['sex_observed']}",
        "not_testable": "that is too little to tell",
    }
    return f"{expected}. {seen}; {outcome[row['sex_status']]}."


def describe_twin(row: Mapping) -> str:
    """Say whether another sample of the run holds the same cells."""
    if not words.is_missing(row["duplicate_of"]):
        return f"This library is also in the run as {row['duplicate_of']}."
    if row["same_cells"]:
        return (
            f"{words.plural(row['same_cells'], 'cell')} have the same counts in every gene as "
            "cells of another sample of the run."
        )
    return "No earlier sample of the run holds the same cells."


def describe_composition(qc: Mapping) -> str:
    """Say how complex the kept cells are and what part of their counts is of two kinds of gene."""
    medians = qc["medians"]
    shares = [
        f"{words.significant(medians.get(key), 2)} % of {genes} genes"
        for key, genes in (("pct_ribo", "ribosomal"), ("pct_hb", "haemoglobin"))
        if not words.is_missing(medians.get(key))
    ]
    told = f"In the median kept cell complexity is {words.number(medians.get('complexity'), 2)}"
    held = f"; of its counts are {words.join(shares)}" if shares else ""
    return f"{told}{held}. None of these removes a barcode."


def describe_states(qc: Mapping) -> str:
    """Say how many kept cells cycle, and that no cell was removed for its state."""
    phases = qc["states"]["phases"]
    total = sum(phases.values())
    if not total:
        return (
            "The cell cycle is not scored: the file lists too few of its genes. Nothing is removed "
            "for its state."
        )
    cycling = phases["S"] + phases["G2M"]
    return (
        f"{words.number(cycling)} of {words.plural(total, 'cell')} "
        f"({words.percent(cycling, total)}) are in S ({words.number(phases['S'])}) or G2/M "
        f"({words.number(phases['G2M'])}) by their genes. These shares are approximate and "
        "grow with depth: a cell is counted when it holds two genes of a phase, and more of them "
        "than of other genes of like expression. Resting cells of a deep library do so too, and "
        "where all cells are alike, half of them. Compare lineages of one library rather than "
        "libraries. Both columns describe; no barcode is removed for its state."
    )


def state_rows(qc: Mapping) -> list[dict[str, str]]:
    """Return cycling share and stress of each lineage of kept cells, in words, largest first."""
    rows = sorted(qc["states"]["lineages"], key=lambda row: (-row["n"], row["lineage"]))
    return [
        {
            "lineage": words.name(row["lineage"]),
            "n": words.number(row["n"]) if row["n"] else words.MISSING,
            "cycling": words.percent(row["cycling"], row["n"]) if row["n"] else words.MISSING,
            "stress": words.number(row["stress_score"], 2),
        }
        for row in rows
    ]


def describe_doublets(qc: Mapping) -> str:
    """Say how doublets were looked for in a sample, and what came of it."""
    found = qc["doublets"]
    if found["status"] == "not_run":
        return words.sentence(f"Not searched for: {found['reason']}")
    usable = qc["n_kept"] + found["n_called"]
    expected = (
        f"Expected {EXPECTED_FROM[found['expected_from']]}: "
        f"{words.percent(found['expected_rate'])} of {words.plural(usable, 'usable barcode')}, of "
        f"which {words.number(found['n_expected'])} hold cells of two lineages and can be found."
    )
    if found["reason"]:
        return f"{expected} Scored by {METHOD_WORDS[found['method']]}, but none called."
    return (
        f"{expected} {words.plural(found['n_called'], 'barcode')} of {words.number(usable)} "
        f"({words.percent(found['n_called'], usable)}) were called doublets by "
        f"{METHOD_WORDS[found['method']]} and removed."
    )


def call_sentence(method: str, by: str) -> str:
    """Say how a run calls doublets, as a sentence of its methods.

    Parameters
    ----------
    method
        ``qc.doublets.method``.
    by
        What calls them, with its source.
    """
    if method == "none":
        return "Doublets were not called."
    return (
        f"Doublets were called by {by} in libraries that were not sorted to one cell a well, no "
        "more than the loading lets expect."
    )
