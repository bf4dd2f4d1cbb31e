"""What came in with one sample, what was lost, why, and which lineages lost most?

:func:`build_sample_page` turns a sample's ``qc.json`` and ``qc.parquet`` into its ``qc.html`` and
the tables that its figures link; every number on the page comes from those two files and the
sample's row of ``samples.tsv``.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emhniche.io import read_json, read_table, write_text
from emhniche.report import sample_checks, sample_figures, sample_states, words
from emhniche.report.render import Picture, picture, render
from emhniche.report.sample_tables import (
    AMBIENT,
    BARCODES,
    LINEAGES,
    METRICS,
    THRESHOLDS,
    ambient_table,
    sample_tables,
    write_sample_tables,
)

SHEET_WORDS = {
    "dataset": "Dataset",
    "study": "Study",
    "species": "Species",
    "tissue": "Tissue",
    "niche": "Niche",
    "donor": "Donor",
    "condition": "Condition",
    "arm": "Arm",
    "enrichment": "Enrichment",
    "chemistry": "Chemistry",
    "sex": "Sex",
    "age": "Age",
}
"""Columns of the sample sheet that a page shows, and what they are called there."""

BASIS_WORDS = {
    "mad": "the lineage's own spread",
    "floor": "the configured floor",
    "ceiling": "the configured ceiling",
    "few_cells": "no spread to go by, so the mildest limit allowed",
    "not_measured": "not measured",
}
"""What a threshold rests on."""

METRIC_WORDS = {"n_counts": "counts", "n_genes": "genes", "pct_mito": "mitochondrial share"}


def build_sample_page(
    qc_json: Path,
    qc_table: Path,
    output: Path,
    *,
    verdicts: Path,
    sheet: Mapping[str, object],
    settings: Mapping,
    simulated: bool = False,
) -> None:
    """Write the quality-control page of one sample, and its tables beside it.

    Parameters
    ----------
    qc_json, qc_table
        The sample's ``qc.json`` and ``qc.parquet``.
    output
        Where ``qc.html`` goes; :func:`emhniche.report.sample_tables.sample_tables` go beside it.
    verdicts
        ``samples.tsv`` of the run.
    sheet
        The sample's row of the sample sheet.
    settings
        The configuration's ``qc`` section.
    simulated
        Whether the counts were simulated, which the page then says first.
    """
    qc = read_json(qc_json)
    judged = read_table(verdicts).set_index("sample").loc[qc["sample"]].to_dict()
    qc |= {key: judged[key] for key in ("verdict", "verdict_reason")}
    barcodes = read_table(qc_table)
    tables = sample_tables(qc, barcodes)
    table = sample_figures.with_fate(barcodes)
    reasons = words.order(qc["removed"], list(words.REASON_WORDS))
    page = render(
        "sample.html.j2",
        scripts=["report.js"],
        context={
            "sample": qc["sample"],
            "simulated": simulated,
            "planted_link": "../../report/planted.html",
            "qc": qc,
            "summary": summarise(qc),
            "use": sample_checks.describe_use(judged),
            "sex": sample_checks.describe_sex(judged, sheet["species"]),
            "twin": sample_checks.describe_twin(judged),
            "states": sample_checks.describe_states(qc),
            "state_rows": sample_checks.state_rows(qc),
            "facts": sheet_facts(sheet),
            "came_in": _came_in(qc, table),
            "pictures": _pictures(qc, table) | _state_pictures(table, tables),
            "composition": sample_checks.describe_composition(qc),
            "reasons": reasons,
            "losses": sorted(qc["lineages"], key=lambda row: (-row["n_in"], row["lineage"])),
            "doublets": sample_checks.describe_doublets(qc),
            "ambient": ambient_table(tables[AMBIENT]),
            "ambient_text": describe_ambient(qc, table),
            "thresholds": _threshold_rows(qc["thresholds"]),
            "method": _method(settings),
        },
    )
    write_sample_tables(tables, Path(output).parent)
    write_text(page, output)


def summarise(qc: Mapping) -> list[str]:
    """Say in plain sentences what quality control did to a sample.

    Parameters
    ----------
    qc
        Its ``qc.json``.

    Returns
    -------
    list of str
        The verdict with its reason, what was kept, why the rest was not, and who lost most.
    """
    kept, lost = words.number(qc["n_kept"]), words.number(qc["n_in"] - qc["n_kept"])
    share = words.percent(qc["n_kept"], qc["n_in"])
    lines = [
        f"{_verdict(qc)} {kept} of {words.plural(qc['n_in'], 'barcode')} were kept as cells "
        f"({share}); {lost} were removed."
    ]
    if qc["removed"]:
        by_size = sorted(qc["removed"].items(), key=lambda item: (-item[1], item[0]))
        parts = [f"{words.reason(reason)} ({words.number(n)})" for reason, n in by_size]
        lines.append(f"Reasons for removal: {words.join(parts)}.")
    worst = worst_lineage(qc)
    if worst:
        lines.append(f"Of the lineages, {worst}.")
    nameless = [row for row in qc["lineages"] if row["lineage"] == "unresolved"]
    if nameless:
        gone = nameless[0]["n_in"] - nameless[0]["n_kept"]
        lines.append(
            f"Of {words.plural(nameless[0]['n_in'], 'barcode')} without a lineage "
            f"{words.number(gone)} were removed ({words.percent(gone, nameless[0]['n_in'])})."
        )
    depth = qc["medians"].get("n_counts")
    if not words.is_missing(depth):
        lines.append(
            f"A kept cell holds {words.number(depth)} counts of "
            f"{words.number(qc['medians'].get('n_genes'))} genes (medians)."
        )
    return lines


def worst_lineage(qc: Mapping, *, least: int = 10) -> str:
    """Name the lineage that lost the greatest share of its barcodes, with numbers.

    Parameters
    ----------
    qc
        A sample's ``qc.json``.
    least
        Barcodes a lineage needs to be named.

    Returns
    -------
    str
        Part of a sentence; empty when no lineage lost any.
    """
    rows = [r for r in qc["lineages"] if r["n_in"] >= least and r["lineage"] != "unresolved"]
    rows = [row for row in rows if row["n_kept"] < row["n_in"]]
    if not rows:
        return ""
    worst = max(rows, key=lambda row: (1 - row["n_kept"] / row["n_in"], row["lineage"]))
    lost = worst["n_in"] - worst["n_kept"]
    most = max(worst["removed"], key=lambda reason: (worst["removed"][reason], reason))
    return (
        f"{words.name(worst['lineage'])} lost most: {words.percent(lost, worst['n_in'])}, "
        f"{words.number(lost)} of {words.number(worst['n_in'])} barcodes (main reason: "
        f"{words.reason(most)})"
    )


def sheet_facts(sheet: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what the sample sheet says of a sample, in words, without the empty fields."""
    facts = []
    for column, word in SHEET_WORDS.items():
        value = sheet.get(column)
        if words.is_missing(value):
            continue
        text = str(value)
        if column == "donor" and not sheet.get("donor_known", True):
            text = "unknown: the library is shown but never counts as a replicate"
        if column == "enrichment" and text == "none":
            text = "none: the library can say how frequent a cell type is"
        facts.append((word, text))
    return facts


def describe_ambient(qc: Mapping, table: pd.DataFrame) -> str:
    """Say how much ambient RNA a sample holds, or why nobody can tell.

    Parameters
    ----------
    qc
        Its ``qc.json``.
    table
        Its ``qc.parquet``.
    """
    shares = table.dropna(subset=["ambient"]).groupby("lineage")["ambient"].median()
    if shares.empty:
        return (
            "Not estimated: one lineage, or too little RNA, leaves nothing that tells ambient RNA "
            "from a cell's own."
        )
    shares = shares.sort_values(ascending=False, kind="stable")
    parts = [f"{words.percent(share)} of {words.name(x)} counts" for x, share in shares.items()]
    genes = qc["ambient_genes"]
    text = (
        f"RNA of broken cells in the suspension is estimated to make up {words.join(parts)}. "
        f"Its profile is that of {_soup(qc['soup'], qc['n_empty'])}."
    )
    if not genes:
        return f"{text} No gene is explained by it."
    return (
        f"{text} {words.plural(len(genes), 'pair')} of gene and lineage may be explained by it, "
        "most counts first; a finding that rests on one is marked in the report."
    )


def _soup(source: str, n_empty: int) -> str:
    if source == "cellbender":
        return "the droplets that CellBender takes for empty"
    if source == "droplets":
        return f"{words.number(n_empty)} droplets without a cell"
    return "the whole library, as the file holds no droplets without a cell"


def _verdict(qc: Mapping) -> str:
    word = words.VERDICTS.get(qc["verdict"], qc["verdict"])
    if words.is_missing(qc["verdict_reason"]):
        return f"Verdict: {word}."
    return words.sentence(f"Verdict: {word} ({qc['verdict_reason']})")


def _came_in(qc: Mapping, table: pd.DataFrame) -> str:
    low, middle, high = (words.number(table["n_counts"].quantile(q)) for q in (0.1, 0.5, 0.9))
    genes = words.number(table["n_genes"].median())
    return (
        f"{words.plural(qc['n_in'], 'barcode')} with {middle} counts in the median (a tenth holds "
        f"fewer than {low}, a tenth more than {high}) and {genes} genes."
    )


def _pictures(qc: Mapping, table: pd.DataFrame) -> dict[str, Picture]:
    thresholds = qc["thresholds"]
    mito = table["pct_mito"].notna().any()
    scored = table["doublet_score"].notna().any()
    doublet_plot = None
    if scored:
        doublet_plot = sample_figures.doublets(table["doublet_score"], qc["doublets"]["threshold"])
    return {
        "counts": picture(
            "counts",
            sample_figures.counts(table, thresholds),
            caption="Left: counts of every barcode, sorted. Right: the same by coarse lineage, one "
            "dot a barcode, black where it was removed for any reason; the red tick is the "
            "lineage's own lower limit, and the number behind its name counts its barcodes.",
            tables=[BARCODES, THRESHOLDS],
        ),
        "genes": picture(
            "genes",
            sample_figures.genes(table),
            caption="Genes against counts, by what became of the barcode. In brackets: barcodes.",
            tables=[BARCODES],
        ),
        "losses": picture(
            "losses",
            sample_figures.losses(qc["lineages"]),
            caption="Share of each lineage's barcodes that was removed, by reason; the lineage "
            "that lost the greatest share is on top.",
            tables=[LINEAGES],
        ),
        "mito": picture(
            "mito",
            sample_figures.mitochondrial(table, thresholds) if mito else None,
            caption="Mitochondrial share of each barcode's counts by coarse lineage; black where "
            "it was removed for any reason, red tick: the lineage's upper limit.",
            tables=[BARCODES, THRESHOLDS],
            nothing="Not measured: the file lists no mitochondrial gene, so no barcode was removed "
            "for it.",
        ),
        "doublets": picture(
            "doublets",
            doublet_plot,
            caption="Doublet scores of the usable barcodes, by "
            f"{sample_checks.METHOD_WORDS[qc['doublets']['method']]}: 1 is most like two cells in "
            "one droplet.",
            tables=[BARCODES],
        ),
    }


def _state_pictures(table: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> dict[str, Picture]:
    """Draw of what kind the RNA is and in what state the cells are, by lineage."""
    lineages = sample_figures.by_size(table)
    quantiles = tables[METRICS]
    return {
        "composition": picture(
            "composition",
            sample_states.composition(quantiles, lineages),
            caption="Distribution by coarse lineage: in colour kept cells, in black removed "
            f"barcodes; of fewer than {sample_states.FEWEST} none is drawn. Complexity is the "
            "ratio of the logarithms, so a barcode whose counts are few genes' lies at the left.",
            tables=[METRICS],
            nothing="No lineage has enough barcodes for a distribution.",
        ),
        "states": picture(
            "states",
            sample_states.states(table, tables[LINEAGES], quantiles, lineages),
            caption="Kept cells. Left: the scores of the cell cycle, a dot a cell. Middle: phases "
            "by coarse lineage, in brackets the cells with a phase. Right: stress score in the "
            "same order of lineages; 0 is the level of other genes of like expression.",
            tables=[BARCODES, LINEAGES, METRICS],
            nothing="Neither cell cycle nor stress was scored.",
        ),
    }


def _threshold_rows(thresholds: list[Mapping]) -> list[dict[str, object]]:
    """Return one row a lineage, with each metric's limit in words."""
    rows: dict[str, dict] = {}
    for limit in thresholds:
        row = rows.setdefault(
            limit["lineage"],
            {
                "lineage": limit["lineage"],
                "n": limit["n"],
                **dict.fromkeys(METRIC_WORDS, words.MISSING),
                "bases": {},
            },
        )
        row[limit["metric"]] = words.number(
            limit["value"], 1 if limit["metric"] == "pct_mito" else 0
        )
        metric = METRIC_WORDS.get(limit["metric"], limit["metric"])
        row["bases"].setdefault(BASIS_WORDS.get(limit["basis"], limit["basis"]), []).append(metric)
    for row in rows.values():
        named = [f"{words.join(metrics)}: {basis}" for basis, metrics in row["bases"].items()]
        row["basis"] = "; ".join(named)
    return sorted(rows.values(), key=lambda row: (-row["n"], row["lineage"]))


def _method(settings: Mapping) -> str:
    return (
        f"Within each coarse lineage a limit lies {settings['n_mads']:g} median absolute "
        "deviations from the median (counts and genes below it on the log scale, mitochondrial "
        f"share above it), but for counts between {settings['min_counts']['floor']} and "
        f"{settings['min_counts']['ceiling']}, for genes between {settings['min_genes']['floor']} "
        f"and {settings['min_genes']['ceiling']}, and for the mitochondrial share between "
        f"{settings['max_pct_mito']['floor']} % and {settings['max_pct_mito']['ceiling']} %. A "
        f"lineage with fewer than {settings['min_lineage_cells']} barcodes gets the mildest limit "
        "of that range. Barcodes that pass are searched for doublets where the library is large "
        "enough and cells were not sorted one to a well."
    )
