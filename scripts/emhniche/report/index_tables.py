"""Which tables does the index page show, and which of their rows and columns?

One function a table. A table here is a selection for reading: the file it was made from is linked
beside it and holds everything. :mod:`.niche_tables` has those of the niche and of myeloid cells.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from emhniche.report import words
from emhniche.report.page_tables import Column, PageTable, page_table
from emhniche.report.tables import TABLES, RunTables

SHEET = (
    Column("tissue", "Tissue"),
    Column("donor", "Donor", "text"),
    Column("condition", "Condition", "text"),
    Column("enrichment", "Sorted by", "text"),
    Column("chemistry", "Chemistry", "text"),
    Column("dataset", "Dataset", "text"),
    Column("sex", "Sex", "text"),
)
"""What the index says of a sample from its sheet."""

SEX_WORDS = {
    "agrees": "agrees",
    "not_stated": "{seen}",
    "contradicts": "contradicts: {seen}",
    "donor_disagrees": "{seen}, unlike donor",
    "mixed": "both sexes",
    "one_sex": "{seen} alone",
    "not_testable": "",
}
"""Status of the sex check in ``samples.tsv`` -> what the table says; "" where genes cannot tell."""

MIN_BARCODES = 10
"""Fewest barcodes of a lineage whose loss is shown."""

ALL_CELLS = "all cells"
"""What a cluster's row is of that is not one of a part of it."""

N_MARKERS = 6
MARKER_ROWS = 10
"""Marker genes named for a cluster."""


def sample_table(run: RunTables) -> PageTable:
    """Return one row a sample: what it is by the sheet, and what came of it."""
    judged = run["libraries"].set_index("sample").loc[run.samples.index]
    sheet = run.samples.reindex(columns=[column.key for column in SHEET])
    table = sheet.assign(
        sample=run.samples.index,
        verdict=judged["verdict"],
        used=judged["kept"].map({True: "yes", False: "kept out"}),
        n_kept=judged["n_kept"],
        donor=run.samples["donor"].where(run.samples["donor_known"].astype(bool), "unknown"),
        sex_check=[
            SEX_WORDS[status].format(seen=seen)
            for status, seen in zip(judged["sex_status"], judged["sex_observed"], strict=True)
        ],
    )
    differing, shared = _split_shared(table, SHEET)
    failed = (judged["verdict"] == "fail").any()
    columns = [
        Column("sample", "Sample", "sample"),
        Column("verdict", "Verdict", "verdict"),
        *([Column("used", "In the run", "text")] if failed else []),
        Column("n_kept", "Cells kept", "count"),
        *differing,
        Column("sex_check", "Sex check", "text"),
    ]
    return page_table(
        "samples-table",
        table,
        columns,
        source=f"../{TABLES['libraries'][0]}",
        caption="Samples. Sex check: whether the sex genes of the kept cells agree with the sheet; "
        f"where it states no sex, just what they show. A dash is not known.{shared}",
    )


def quality_table(run: RunTables) -> PageTable:
    """Return one row a sample: what came in and was kept, how good it is, and why its verdict."""
    table = run["libraries"].set_index("sample").loc[run.samples.index].reset_index()
    reasons = not table["verdict_reason"].map(words.is_missing).all()
    columns = [
        Column("sample", "Sample", "sample"),
        Column("verdict", "Verdict", "verdict"),
        Column("n_in", "Barcodes", "count"),
        Column("n_kept", "Kept", "count"),
        Column("share_kept", "Kept %", "percent"),
        Column("median_counts", "Counts", "count"),
        Column("median_genes", "Genes", "count"),
        Column("kept_pct_mito", "Mito %", "number"),
        Column("share_doublets", "Doublets %", "percent"),
        Column("ambient", "Ambient %", "percent"),
        *([Column("verdict_reason", "Reason of the verdict", "prose")] if reasons else []),
    ]
    return page_table(
        "quality-table",
        table,
        columns,
        source=f"../{TABLES['libraries'][0]}",
        caption="Quality of the samples. Counts, genes and mitochondrial share are medians of the "
        "kept cells. Doublets: barcodes called doublets, of all that came in. Ambient: estimated "
        "share of the counts of the median kept cell that is ambient RNA. A dash is not measured"
        f"{', or no reason to give' if reasons else ''}.",
    )


def _split_shared(table: pd.DataFrame, columns: Sequence[Column]) -> tuple[list[Column], str]:
    """Return the columns in which samples differ, and sentences of what all of them share."""
    if len(table) < 2:
        return list(columns), ""
    silent = [one for one in columns if table[one.key].map(words.is_missing).all()]
    same = [
        column
        for column in columns
        if not table[column.key].map(words.is_missing).any() and table[column.key].nunique() == 1
    ]
    values = [_shared(one, table[one.key].iloc[0]) for one in same]
    said = f" The same for all: {'; '.join(values)}." if values else ""
    if silent:
        said += f" The sheet states no {' or '.join(one.key for one in silent)} for any of them."
    return [column for column in columns if column not in [*silent, *same]], said


def _shared(column: Column, value: object) -> str:
    """Say what all samples have in common, such as ``dataset demo``."""
    if column.key == "enrichment" and value == "none":
        return "not sorted or enriched"
    return f"{column.heading.lower()} {words.name(value)}"


def loss_table(run: RunTables) -> PageTable:
    """Return one row a sample and lineage of at least ten barcodes, greatest loss first."""
    table = losses_by_lineage(run.qc)
    table = table[table["n_in"] >= MIN_BARCODES]
    table = table.assign(
        reason=table["main_reason"].map(lambda one: words.reason(one) if one else "")
    )
    table = table.sort_values(["share_lost", "n_in"], ascending=False, kind="stable")
    columns = [
        Column("sample", "Sample", "sample"),
        Column("lineage", "Lineage"),
        Column("n_in", "Barcodes", "count"),
        Column("n_kept", "Kept", "count"),
        Column("share_lost", "Lost", "percent"),
        Column("reason", "Main reason", "text"),
    ]
    return page_table(
        "loss-table",
        table,
        columns,
        source="losses_by_lineage.tsv",
        caption="Losses by lineage, of ten barcodes or more.",
        searchable=True,
    )


def losses_by_lineage(qc: Mapping[str, Mapping]) -> pd.DataFrame:
    """Return what each lineage of each sample lost.

    Parameters
    ----------
    qc
        Sample -> its ``qc.json``.

    Returns
    -------
    pandas.DataFrame
        ``sample``, ``lineage``, ``n_in``, ``n_kept``, ``share_lost`` (0 to 1), ``main_reason``
        (empty where nothing was lost) and ``n_main_reason`` (barcodes removed for it).
    """
    rows = []
    for sample, one in qc.items():
        for row in one["lineages"]:
            removed = row["removed"]
            main = max(removed, key=removed.get) if removed else ""
            share = 1 - row["n_kept"] / row["n_in"]
            counts = (row["n_in"], row["n_kept"], share, main, removed.get(main, 0))
            rows.append((sample, row["lineage"], *counts))
    columns = ["sample", "lineage", "n_in", "n_kept", "share_lost", "main_reason", "n_main_reason"]
    return pd.DataFrame(rows, columns=columns)


def metric_table(run: RunTables) -> PageTable:
    """Return the integration metrics."""
    columns = [
        Column("metric", "Metric"),
        Column("method", "Method"),
        Column("value", "Value", "number"),
        Column("floor", "Floor", "number"),
        Column("ceiling", "Ceiling", "number"),
        Column("n", "Cells", "count"),
    ]
    table = run["metrics"].sort_values(["metric", "method"], kind="stable")
    return run_table(
        run, "metrics", table, columns, caption="Integration metrics with their controls."
    )


def cluster_table(run: RunTables) -> PageTable:
    """Return one row a cluster, and one a part of it that is of another lineage."""
    own = run["markers"][~run["markers"]["ambient"].astype(bool)]
    markers = {
        str(cluster): ", ".join(part["gene"].head(N_MARKERS))
        for cluster, part in own.groupby("cluster", sort=False)
    }
    table = run["cluster_types"].assign(cluster=lambda named: named["cluster"].astype(str))
    whole = table["dataset"].isna()
    lineage = table["cluster"].map(table[whole].set_index("cluster")["lineage"])
    table = table.assign(
        part=_parts(table),
        markers=table["cluster"].map(markers).where(whole, ""),
    )
    shown = table[whole | (table["lineage"] != lineage)]
    # a part of a cluster and its agreement are told where any part has another lineage
    apart = (shown["part"] != ALL_CELLS).any() or (shown["agreement"].round(2) < 1).any()
    part = [Column("part", "Part", "text")] if apart else []
    agreement = [Column("agreement", "Agreement", "hundredths")] if apart else []
    columns = [
        Column("cluster", "Cluster", "text"),
        *part,
        Column("n_cells", "Cells", "count"),
        Column("lineage", "Lineage"),
        Column("confidence", "Confidence", "hundredths"),
        Column("cell_type", "Cell type"),
        Column("cell_type_confidence", "Confidence of it", "hundredths"),
        Column("found_again", "Found again", "percent"),
        Column("markers", "First markers", "prose"),
        Column("runner_up", "Runner-up"),
        Column("margin", "Margin", "hundredths"),
        *agreement,
    ]
    told = " The part of a cluster in each dataset and tissue is named on its own"
    told += (
        ", and so are cells there that quality control took for others in their libraries; they "
        "have a row where they are of another lineage. Agreement: share of the cluster's cells "
        "whose part has the cluster's lineage."
        if apart
        else ", and every part has the lineage of its cluster."
    )
    return run_table(
        run,
        "cluster_types",
        shown,
        columns,
        beside=["markers"],
        caption="Clusters. Confidence: share of resamples of the marker genes in which this "
        "lineage wins, and then this cell type among those of the lineage. Where no cell type's "
        "set fits, the lineage stands in its place with its own confidence. Found again: share of "
        "subsamples of the cells that give the cluster again. Runner-up: the lineage that comes "
        f"second, and by how much.{told}",
    )


def _parts(table: pd.DataFrame) -> pd.Series:
    """Say which part of its cluster each row is of: dataset, and lineage by quality control."""
    apart = table["qc_lineage"].map(lambda name: f", {words.name(name)} by QC", na_action="ignore")
    return table["dataset"].astype("string").fillna(ALL_CELLS) + apart.astype("string").fillna("")


def marker_table(run: RunTables) -> PageTable:
    """Return the first markers of each cluster, with how many donors bear each out."""
    table = run["markers"].groupby("cluster", sort=False).head(MARKER_ROWS)
    donors = zip(table["donors_higher"], table["donors"], strict=True)
    table = table.assign(
        cluster=table["cluster"].astype(str),
        found_in=table["pct_in"] / 100,
        found_outside=table["pct_out"] / 100,
        ambient=table["ambient"].astype(bool).map({True: "ambient", False: ""}),
        higher=[f"{higher:.0f} of {of:.0f}" if of else "" for higher, of in donors],
    )
    columns = [
        Column("cluster", "Cluster", "text"),
        Column("cell_type", "Cell type"),
        Column("gene", "Gene", "text"),
        Column("log2_fold_change", "log2 fold change", "signed"),
        Column("found_in", "Cells in", "percent"),
        Column("found_outside", "Cells outside", "percent"),
        Column("auroc", "AUROC", "hundredths"),
        Column("higher", "Donors higher", "text"),
        Column("donor_log2_fold_change", "log2 over donors", "signed"),
        Column("q", "q", "p"),
        Column("status", "Status", "status"),
        Column("ambient", "Flag", "text"),
    ]
    return run_table(
        run,
        "markers",
        table,
        columns,
        caption=f"The first {MARKER_ROWS} markers of each cluster. Cells in, outside: share of the "
        "cells with the gene. AUROC orders genes over cells and is no evidence. Donors are the "
        "units of the test; the clusters were cut from the same counts, so q is too small and "
        "ranks genes only. Ambient: the gene leaks from other cells, and names no cluster.",
        searchable=True,
    )


def coverage_table(run: RunTables) -> PageTable:
    """Return which sets could be scored in which dataset."""
    columns = [
        Column("set", "Set"),
        Column("kind", "Kind"),
        Column("dataset", "Dataset", "text"),
        Column("n_genes", "Genes", "count"),
        Column("n_measured", "measured", "count"),
        Column("n_detected", "detected", "count"),
        Column("status", "Status"),
        Column("share_above_null95", "Cells above their null", "percent"),
    ]
    return run_table(
        run,
        "null",
        run["null"],
        columns,
        caption="Sets scored, by dataset. Of random genes 5 % of cells would lie above their null.",
        searchable=True,
    )


def input_table(provenance: Mapping) -> PageTable:
    """Return the public files of the run with their sums."""
    table = pd.DataFrame(
        provenance.get("inputs", {}).get("registry", []),
        columns=["dataset", "file", "accession", "licence", "sha256"],
    )
    columns = [Column(key, key.capitalize(), "text") for key in table.columns]
    return page_table(
        "inputs-table",
        table,
        columns,
        source="../provenance.json",
        caption="Public files of this run.",
    )


def run_table(
    run: RunTables,
    name: str,
    table: pd.DataFrame,
    columns: list[Column],
    *,
    beside: Sequence[str] = (),
    **settings: object,
) -> PageTable:
    """Put rows of a table of the run in words, with a link to the file it came from.

    Parameters
    ----------
    run
        Tables of the run.
    name
        The table's name in :data:`emhniche.report.tables.TABLES`.
    table
        The rows to show.
    columns
        The columns to show.
    beside
        Names of further tables that columns come from.
    **settings
        ``caption`` and ``searchable`` of :func:`emhniche.report.page_tables.page_table`.

    Returns
    -------
    PageTable
    """
    sources = [f"../{TABLES[one][0]}" for one in (name, *beside)]
    return page_table(f"{name.replace('_', '-')}-table", table, columns, source=sources, **settings)
