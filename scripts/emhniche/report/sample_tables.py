"""Which tables lie beside a sample's page, so that every figure on it can be traced?

``qc.parquet`` and ``qc.json`` hold the same for programs; these open in a spreadsheet.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emhniche.io import write_table
from emhniche.qc_states import PHASES
from emhniche.report import words
from emhniche.report.page_tables import Column, PageTable, page_table

BARCODES, THRESHOLDS = "qc_barcodes.tsv", "qc_thresholds.tsv"
LINEAGES, METRICS = "qc_lineages.tsv", "qc_metrics.tsv"
AMBIENT = "qc_ambient.tsv"

SUMMARISED = ("complexity", "pct_ribo", "pct_hb", "stress_score")
"""Measures whose distribution is told by lineage."""

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
AMBIENT_COLUMNS = ("gene", "lineage", "cells_detected", "n_cells", "counts", "top_source")

FATES = ("kept", "removed")


def sample_tables(qc: Mapping, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make the tables that the figures of a sample's page are drawn from.

    Parameters
    ----------
    qc
        The sample's ``qc.json``.
    table
        Its ``qc.parquet``.

    Returns
    -------
    dict
        File name -> table. ``qc_barcodes.tsv``: a row a barcode; ``qc_thresholds.tsv``: a row a
        lineage and metric; ``qc_lineages.tsv``: barcodes of each lineage, in, kept, removed by
        reason, and kept cells by phase; ``qc_metrics.tsv``: quantiles of measures by lineage;
        ``qc_ambient.tsv``: genes of ambient RNA in a lineage that does not make them.
    """
    thresholds = ["lineage", "metric", "side", "value", "n", "basis"]
    return {
        BARCODES: table.drop(columns="fingerprint", errors="ignore"),
        THRESHOLDS: pd.DataFrame(qc["thresholds"], columns=thresholds),
        LINEAGES: lineage_counts(qc, table),
        METRICS: metric_quantiles(table),
        AMBIENT: pd.DataFrame(qc["ambient_genes"], columns=[*AMBIENT_COLUMNS]),
    }


def write_sample_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write :func:`sample_tables` into the sample's folder."""
    for name, table in tables.items():
        write_table(table, folder / name)


def lineage_counts(qc: Mapping, table: pd.DataFrame) -> pd.DataFrame:
    """Count the barcodes of each lineage by fate, and its kept cells by phase.

    Returns
    -------
    pandas.DataFrame
        ``lineage``, ``n_in``, ``n_kept``, ``removed_<reason>`` and ``phase_<phase>``; cells without
        a phase are in none of the latter.
    """
    reasons = words.order(qc["removed"], list(words.REASON_WORDS))
    kept = table[table["keep"]]
    phases = pd.crosstab(kept["lineage"].astype(str), kept["phase"].astype(object))
    phases = phases.reindex(columns=list(PHASES), fill_value=0)
    rows = [
        {
            "lineage": row["lineage"],
            "n_in": row["n_in"],
            "n_kept": row["n_kept"],
            **{f"removed_{reason}": row["removed"].get(reason, 0) for reason in reasons},
        }
        for row in qc["lineages"]
    ]
    columns = ["lineage", "n_in", "n_kept", *(f"removed_{reason}" for reason in reasons)]
    counts = pd.DataFrame(rows, columns=columns)
    own = phases.reindex(counts["lineage"], fill_value=0).add_prefix("phase_")
    return pd.concat([counts, own.reset_index(drop=True)], axis=1)


def metric_quantiles(table: pd.DataFrame) -> pd.DataFrame:
    """Return the quantiles of each measure, by lineage and by whether the barcode was kept.

    Parameters
    ----------
    table
        A sample's ``qc.parquet``.

    Returns
    -------
    pandas.DataFrame
        ``metric``, ``lineage``, ``fate`` (``kept`` or ``removed``), ``n`` (barcodes with a value)
        and the columns of :data:`QUANTILES`; only what was measured has a row.
    """
    fate = table["keep"].map({True: FATES[0], False: FATES[1]})
    rows = []
    for metric in SUMMARISED:
        groups = table[metric].dropna().groupby([table["lineage"].astype(str), fate], sort=True)
        for (lineage, one), values in groups:
            limits = {name: float(values.quantile(at)) for name, at in QUANTILES.items()}
            row = {"metric": metric, "lineage": lineage, "fate": one, "n": len(values)}
            rows.append(row | limits)
    return pd.DataFrame(rows, columns=["metric", "lineage", "fate", "n", *QUANTILES])


def ambient_table(genes: pd.DataFrame) -> PageTable:
    """Return the ambient genes of a sample for its page.

    Parameters
    ----------
    genes
        ``qc_ambient.tsv``.

    Returns
    -------
    PageTable
    """
    columns = [
        Column("gene", "Gene", "text"),
        Column("lineage", "Seen in"),
        Column("cells_detected", "Barcodes with it", "count"),
        Column("n_cells", "of", "count"),
        Column("share", "Share", "percent"),
        Column("counts", "Counts there", "count"),
        Column("top_source", "Most made by"),
    ]
    return page_table(
        "ambient-table",
        genes.assign(share=genes["cells_detected"] / genes["n_cells"]),
        columns,
        source=AMBIENT,
        caption="Genes that a lineage holds and does not make: barcodes of the lineage with a "
        "count of the gene, its counts in them, and the lineage that makes most of it.",
    )
