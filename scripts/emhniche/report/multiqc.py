"""How does a core facility's MultiQC show our samples beside its own tools?

MultiQC reads JSON files whose name ends in ``_mqc.json`` ("custom content") from whatever folders
it is given. Beside each sample's page lie three of them: columns of the general statistics, a table
with the verdict and its reason, and a bar graph of what became of the barcodes; beside the index
lies one, a bar graph of lineages. Files of several samples share an ``id``, by which MultiQC joins
them. What was not measured has no entry, which MultiQC shows as an empty field.

References
----------
Ewels P et al. MultiQC. Bioinformatics 2016, doi 10.1093/bioinformatics/btw354 (from memory).
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from markupsafe import escape

from emhniche.io import read_json, read_table, write_text
from emhniche.report import figures, words

PARENT = {
    "parent_id": "emhniche",
    "parent_name": "emh-niche",
    "parent_description": "quality control of single-cell libraries of blood-forming tissue, "
    "within lineages; each sample's own page is <code>qc.html</code> beside the file.",
}
"""Puts our sections under one heading."""

COLUMNS = {
    "verdict": {"title": "Verdict", "description": "Quality control of the library"},
    "n_in": {"title": "Barcodes", "description": "Barcodes that came in", "format": "{:,.0f}"},
    "n_kept": {"title": "Cells", "description": "Barcodes kept as cells", "format": "{:,.0f}"},
    "pct_kept": {"title": "Kept", "description": "Share of barcodes kept", "suffix": "%"},
    "n_counts": {"title": "UMIs", "description": "Median counts of a cell", "format": "{:,.0f}"},
    "n_genes": {"title": "Genes", "description": "Median genes of a cell", "format": "{:,.0f}"},
    "pct_mito": {"title": "Mito", "description": "Median mitochondrial share", "suffix": "%"},
    "pct_ribo": {"title": "Ribo", "description": "Median share of ribosomal genes", "suffix": "%"},
    "pct_hb": {"title": "Hb", "description": "Median share of haemoglobin genes", "suffix": "%"},
    "pct_doublets": {
        "title": "Doublets",
        "description": "Barcodes called doublets, of all that came in",
        "suffix": "%",
    },
    "pct_ambient": {
        "title": "Ambient",
        "description": "Estimated ambient share of the counts, median of the cells",
        "suffix": "%",
    },
    "reason": {"title": "Reason", "description": "Why the verdict is not pass"},
}
"""Column -> how MultiQC heads and writes it."""

GENERAL = ("verdict", "n_kept", "n_counts", "n_genes", "pct_mito", "pct_doublets", "pct_ambient")
"""Columns of the general statistics; the table has all."""

SCALES = {"pct_mito": "Reds", "pct_doublets": "Reds", "pct_ambient": "Reds"}
"""Colour scale of a column where more is worse."""


def write_multiqc(qc_json: Path, qc_table: Path, verdicts: Path, folder: Path) -> None:
    """Write what MultiQC reads of one sample.

    Parameters
    ----------
    qc_json, qc_table
        The sample's ``qc.json`` and ``qc.parquet``.
    verdicts
        ``samples.tsv`` of the run.
    folder
        Where ``qc_general_mqc.json``, ``qc_table_mqc.json`` and ``qc_losses_mqc.json`` go.
    """
    qc = read_json(qc_json)
    judged = read_table(verdicts).set_index("sample").loc[qc["sample"]]
    reason = "" if words.is_missing(judged["verdict_reason"]) else judged["verdict_reason"]
    qc |= {"verdict": judged["verdict"], "verdict_reason": reason}
    for name, content in sections(qc, read_table(qc_table)).items():
        _write(content, folder / f"qc_{name}_mqc.json")


def write_lineages(cells: pd.DataFrame, path: Path) -> None:
    """Write the lineages of every sample's cells for MultiQC.

    Parameters
    ----------
    cells
        One row a kept cell: ``sample`` and ``lineage``.
    path
        The file, ``*_mqc.json``.
    """
    counts = pd.crosstab(cells["sample"].astype(str), cells["lineage"].astype(str))
    lineages = words.order(counts.columns, list(figures.LINEAGE_COLOURS))
    palette = figures.colours(lineages)
    section = PARENT | {
        "id": "emhniche_lineages",
        "section_name": "Lineages",
        "description": "Lineages of each sample's kept cells. A sorted library shows its gate.",
        "plot_type": "bargraph",
        "pconfig": {
            "id": "emhniche_lineages_plot",
            "title": "emh-niche: lineages",
            "ylab": "Cells",
            "cpswitch_c_active": False,
        },
        "categories": {
            name: {"name": str(escape(words.name(name))), "color": palette[name]}
            for name in lineages
        },
        "data": {
            sample: {name: int(n) for name, n in row.items() if n}
            for sample, row in counts[lineages].iterrows()
        },
    }
    _write(section, path)


def sections(qc: Mapping, table: pd.DataFrame) -> dict[str, dict]:
    """Return the content of each file.

    Parameters
    ----------
    qc
        A sample's ``qc.json``.
    table
        Its ``qc.parquet``: one row a barcode.

    Returns
    -------
    dict
        ``general``, ``table`` and ``losses`` -> a MultiQC custom-content section.
    """
    sample = qc["sample"]
    row = measures(qc, table)
    fates = {"kept": qc["n_kept"]} | {
        str(escape(words.reason(reason))): n for reason, n in qc["removed"].items()
    }
    return {
        "general": {
            "id": "emhniche_general",
            "plot_type": "generalstats",
            "pconfig": [{name: _header(name)} for name in GENERAL],
            "data": {sample: {name: row[name] for name in GENERAL if name in row}},
        },
        "table": PARENT
        | {
            "id": "emhniche_qc",
            "section_name": "Samples",
            "description": "Verdict of each library with its reason, and medians of its cells.",
            "plot_type": "table",
            "pconfig": {"id": "emhniche_qc_table", "title": "emh-niche: samples"},
            "headers": {name: _header(name) for name in COLUMNS},
            "data": {sample: row},
        },
        "losses": PARENT
        | {
            "id": "emhniche_losses",
            "section_name": "What became of the barcodes",
            "description": "Kept as cells, or removed and by which rule.",
            "plot_type": "bargraph",
            "pconfig": {
                "id": "emhniche_losses_plot",
                "title": "emh-niche: what became of the barcodes",
                "ylab": "Barcodes",
            },
            "data": {sample: fates},
        },
    }


def measures(qc: Mapping, table: pd.DataFrame) -> dict[str, object]:
    """Return a sample's numbers by column; what was not measured is left out.

    Parameters
    ----------
    qc
        A sample's ``qc.json``.
    table
        Its ``qc.parquet``.

    Returns
    -------
    dict
        Keys of :data:`COLUMNS`; shares in per cent.
    """
    medians = qc["medians"]
    row = {
        "verdict": qc["verdict"],
        "n_in": qc["n_in"],
        "n_kept": qc["n_kept"],
        "pct_kept": _percent(qc["n_kept"], qc["n_in"]),
        **{name: medians.get(name) for name in COLUMNS if name in medians},
        "pct_ambient": 100 * table.loc[table["keep"], "ambient"].median(),
        "reason": str(escape(qc["verdict_reason"])),
    }
    if qc["doublets"]["status"] == "scored":
        row["pct_doublets"] = _percent(qc["doublets"]["n_called"], qc["n_in"])
    return {name: row[name] for name in COLUMNS if not words.is_missing(row.get(name))}


def _write(section: Mapping, path: Path) -> None:
    """Write a section as it stands: the order of columns and categories is that of the file."""
    write_text(f"{json.dumps(section, indent=1, allow_nan=False)}\n", path)


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _header(name: str) -> dict:
    header = {"format": "{:,.1f}", "scale": SCALES.get(name, "Blues"), **COLUMNS[name]}
    if header.get("suffix") == "%":
        header |= {"min": 0, "max": 100}
    if name in ("verdict", "reason"):
        header = {**COLUMNS[name], "scale": False}
    return header
