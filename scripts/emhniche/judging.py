"""Did the pipeline find what was planted in a simulated cohort?

Every expectation of every truth is compared with the tables of the run, and gives one row: what was
expected, what the results say (with numbers), and whether that is right.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from emhniche import judging_cells, judging_makers, judging_tables
from emhniche.axes import Q_LEVEL
from emhniche.evidence import NOT_ASKED, Evidence, Finding
from emhniche.report import words
from emhniche.study import Study
from emhniche.truths import Truth, not_asked

COLUMNS = ("truth", "claim", "expected", "found", "verdict", "table")

Judge = Callable[[Truth, Mapping, Evidence], Finding]

JUDGES: Mapping[str, tuple[Judge, str]] = {
    "contrasts up": (judging_tables.moved, "niche/contrasts.tsv"),
    "contrasts down": (judging_tables.moved, "niche/contrasts.tsv"),
    "contrasts no_call": (judging_tables.not_called, "niche/contrasts.tsv"),
    "contrasts not_testable": (judging_tables.not_testable, "niche/contrasts.tsv"),
    "contrasts own_only": (judging_makers.own_only, "niche/contrasts.tsv"),
    "contrasts not_identifiable": (judging_tables.not_identifiable, "niche/contrasts.tsv"),
    "composition up": (judging_tables.moved, "niche/composition.tsv"),
    "composition down": (judging_tables.moved, "niche/composition.tsv"),
    "composition no_call": (judging_tables.not_called, "niche/composition.tsv"),
    "composition not_identifiable": (judging_tables.not_identifiable, "niche/composition.tsv"),
    "maturation rises": (judging_cells.rises, "myeloid/calls.parquet"),
    "design tested": (judging_tables.design, "niche/design.tsv"),
    "design not_identifiable": (judging_tables.design, "niche/design.tsv"),
    "myeloid called": (judging_cells.called, "myeloid/gates.tsv"),
    "myeloid none_called": (judging_cells.none_called, "myeloid/calls.parquet"),
    "doublets found": (judging_cells.doublets, "samples/*/qc.parquet"),
    "ambient estimated": (judging_cells.ambient, "samples/*/qc.parquet"),
    "annotation named": (judging_cells.named, "annotate/annotation.parquet"),
    "qc kept": (judging_cells.kept, "samples/*/qc.parquet"),
}
"""Table and finding of an expectation -> what judges it, and the file of the run it looks at."""


def judge(truths: Sequence[Truth], root: str | Path, study: Study) -> pd.DataFrame:
    """Compare the results of a simulated run with the planted truths.

    Parameters
    ----------
    truths
        As :func:`emhniche.truths.load_truths` returns them.
    root
        Folder of the run.
    study
        The simulated study.

    Returns
    -------
    pandas.DataFrame
        ``simulate/recovered.tsv``, one row an expectation: ``truth`` (its id), ``claim``,
        ``expected`` and ``found`` (sentences), ``verdict`` (``right``, ``wrong``, ``not asked`` or
        ``cannot tell``) and ``table`` (path below `root`).
    """
    evidence = Evidence(Path(root), study)
    rows = []
    for truth in truths:
        for expected in truth.expect:
            look, table = JUDGES[f"{expected['table']} {expected['finding']}"]
            reason = not_asked(expected, study)
            found = Finding(reason, NOT_ASKED) if reason else look(truth, expected, evidence)
            sentence = describe(expected)
            rows.append((truth.id, truth.claim, sentence, found.text, found.verdict, table))
    return pd.DataFrame(rows, columns=[*COLUMNS])


def describe(expected: Mapping) -> str:
    """Put an expectation in a sentence.

    Parameters
    ----------
    expected
        An expectation.

    Returns
    -------
    str
    """
    contrast = words.name(expected.get("contrast"))
    genes = words.join(expected.get("genes", ()))
    cells = " or ".join(map(words.name, expected.get("cell_types", ())))
    match f"{expected['table']} {expected['finding']}":
        case "contrasts up" | "contrasts down":
            sign = "higher" if expected["finding"] == "up" else "lower"
            return f"{genes} {sign} in {cells} at q ≤ 0.05 ({contrast})."
        case "contrasts no_call":
            return f"No call of {genes} in {cells or 'any cells'} at q ≤ 0.05 ({contrast})."
        case "contrasts not_testable":
            of = f" ({contrast})" if "contrast" in expected else ""
            return f"{genes} not testable in any cells{of}."
        case "contrasts own_only":
            of = f" ({contrast})" if "contrast" in expected else ""
            drawn = "of a gene in cells that were drawn without it"
            return f"No call {drawn} at q ≤ {words.number(Q_LEVEL, 1)}{of}."
        case "contrasts not_identifiable" | "composition not_identifiable":
            what = "gene" if expected["table"] == "contrasts" else "frequency"
            return f"No interval, p or q for any {what} ({contrast})."
        case "composition up" | "composition down":
            sign = "more" if expected["finding"] == "up" else "less"
            return f"{words.capital(cells)} {sign} frequent at q ≤ 0.05 ({contrast})."
        case "composition no_call":
            return f"No change in the frequency of {cells} at q ≤ 0.05 ({contrast})."
        case "maturation rises":
            lineage = words.name(expected["lineage"])
            return (
                f"{genes} rises with the maturation of {lineage} cells: from the least to the most "
                f"mature third {expected['min_fold']:g}-fold or more."
            )
        case "design tested":
            return f"The contrast can be tested ({contrast})."
        case "design not_identifiable":
            because = f", because of {expected['names']}" if "names" in expected else ""
            return f"The contrast is not identifiable{because} ({contrast})."
    return _describe_cells(expected)


def _describe_cells(expected: Mapping) -> str:
    """Put an expectation of single cells in a sentence."""
    place = f"{expected.get('condition')} mice"
    place += f" ({expected['tissue']})" if "tissue" in expected else ""
    lineage = words.name(expected["lineage"]) if "lineage" in expected else "myeloid"
    of = f" by {words.name(expected['signature'])}" if "signature" in expected else ""
    match expected["table"]:
        case "myeloid" if expected["finding"] == "called":
            return (
                f"MDSC-like {lineage} cells are called in {place}{of}: false at a rate of "
                f"{words.percent(expected['max_false_share'])} at most, and planted cells found at "
                f"{words.percent(expected['min_found_share'])} at least, each within what chance "
                "allows."
            )
        case "myeloid":
            return f"No {lineage} cell of {place} is called MDSC-like{of}."
        case "doublets":
            least = f"AUROC ≥ {expected['min_auroc']:g}"
            return f"Doublet scores tell doublets from single cells: {least}."
        case "ambient":
            return (
                "The estimated share of ambient RNA follows the planted one over libraries: "
                f"correlation ≥ {expected['min_correlation']:g}, mean error ≤ "
                f"{words.number(100 * expected['max_error'], 1)} %."
            )
        case "annotation":
            return f"Kept single cells are named by lineage: macro-F1 ≥ {expected['min_f1']:g}."
    most = words.percent(expected["max_lost"])
    return f"No lineage loses more than {most} of its live single cells."
