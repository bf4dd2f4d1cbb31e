"""Which tables does the index page show, and which of their rows and columns?

One function a table. A table here is a selection for reading: the file it was made from is linked
beside it and holds everything.
"""

from collections.abc import Mapping

import pandas as pd

from emhniche.report import words
from emhniche.report.findings import top_producers
from emhniche.report.niche_figures import known, places
from emhniche.report.page_tables import Column, PageTable, page_table
from emhniche.report.tables import TABLES, RunTables

MAX_ROWS = 300
"""Rows of a long table on the page; the linked file holds all."""

N_MARKERS = 6
"""Marker genes named for a cluster."""


def sample_table(run: RunTables) -> PageTable:
    """Return one row a sample: its verdict, its sheet and what was kept."""
    rows = []
    for sample, sheet in run.samples.iterrows():
        qc = run.qc[sample]
        rows.append(
            {
                "sample": sample,
                "verdict": qc["verdict"],
                **{key: sheet.get(key) for key in ("dataset", "tissue", "condition", "chemistry")},
                "donor": sheet["donor"] if sheet["donor_known"] else "unknown",
                "enrichment": sheet.get("enrichment"),
                "n_in": qc["n_in"],
                "n_kept": qc["n_kept"],
                "share": qc["n_kept"] / qc["n_in"],
                "n_counts": qc["medians"].get("n_counts"),
                "n_genes": qc["medians"].get("n_genes"),
                "pct_mito": qc["medians"].get("pct_mito"),
            }
        )
    columns = [
        Column("sample", "Sample", "sample"),
        Column("verdict", "Verdict", "verdict"),
        Column("dataset", "Dataset", "text"),
        Column("tissue", "Tissue"),
        Column("donor", "Donor", "text"),
        Column("condition", "Condition", "text"),
        Column("enrichment", "Sorted by", "text"),
        Column("chemistry", "Chemistry", "text"),
        Column("n_in", "Barcodes", "count"),
        Column("n_kept", "Kept", "count"),
        Column("share", "Kept %", "percent"),
        Column("n_counts", "Counts", "count"),
        Column("n_genes", "Genes", "count"),
        Column("pct_mito", "Mito %", "number"),
    ]
    return page_table(
        "samples-table",
        pd.DataFrame(rows),
        columns,
        caption="Samples. Counts, genes and mitochondrial share are medians of the kept cells; a "
        "dash is not known or not measured.",
    )


def loss_table(run: RunTables) -> PageTable:
    """Return one row a sample and lineage of at least ten barcodes, greatest loss first."""
    rows = [
        {
            "sample": sample,
            "lineage": row["lineage"],
            "n_in": row["n_in"],
            "n_kept": row["n_kept"],
            "lost": 1 - row["n_kept"] / row["n_in"],
            "reason": words.reason(max(row["removed"], key=row["removed"].get))
            if row["removed"]
            else "",
        }
        for sample, qc in run.qc.items()
        for row in qc["lineages"]
        if row["n_in"] >= 10
    ]
    names = ["sample", "lineage", "n_in", "n_kept", "lost", "reason"]
    table = pd.DataFrame(rows, columns=names)
    table = table.sort_values(["lost", "n_in"], ascending=False, kind="stable")
    columns = [
        Column("sample", "Sample", "sample"),
        Column("lineage", "Lineage"),
        Column("n_in", "Barcodes", "count"),
        Column("n_kept", "Kept", "count"),
        Column("lost", "Lost", "percent"),
        Column("reason", "Main reason", "text"),
    ]
    return page_table(
        "loss-table",
        table,
        columns,
        caption="Losses by lineage, of ten barcodes or more.",
        searchable=True,
    )


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
    return _of(run, "metrics", table, columns, caption="Integration metrics with their controls.")


def cluster_table(run: RunTables) -> PageTable:
    """Return one row a cluster, and one a part of it in a dataset that is of another lineage."""
    markers = {
        str(cluster): ", ".join(part["gene"].head(N_MARKERS))
        for cluster, part in run["markers"].groupby("cluster", sort=False)
    }
    table = run["cluster_types"].assign(cluster=lambda named: named["cluster"].astype(str))
    whole = table["dataset"].isna()
    lineage = table["cluster"].map(table[whole].set_index("cluster")["lineage"])
    table = table.assign(
        part=table["dataset"].astype("string").fillna("all cells"),
        markers=table["cluster"].map(markers).where(whole, ""),
    )
    shown = table[whole | (table["lineage"] != lineage)]
    columns = [
        Column("cluster", "Cluster", "text"),
        Column("part", "Part", "text"),
        Column("n_cells", "Cells", "count"),
        Column("lineage", "Lineage"),
        Column("cell_type", "Cell type"),
        Column("confidence", "Confidence", "number"),
        Column("runner_up", "Runner-up"),
        Column("margin", "Margin", "number"),
        Column("agreement", "Agreement", "number"),
        Column("markers", "First markers", "prose"),
    ]
    return _of(
        run,
        "cluster_types",
        shown,
        columns,
        caption="Clusters. Confidence: share of resamples of the marker genes in which this "
        "lineage wins. The part of a cluster in one dataset is named on its own; it has a row "
        "where it is of another lineage. Agreement: share of the cluster's cells whose part has "
        "the cluster's lineage.",
    )


def producer_table(run: RunTables) -> PageTable:
    """Return one row a ligand of the panel: which cells hold it most, or that nobody knows."""
    production = run["production"]
    ligands = production[production["role"].isin(["ligand", "adhesion_ligand"])]
    ligands = ligands.assign(place=places(ligands).str.replace("\n", ", "))
    rows = ligands.drop_duplicates("gene")[["axis", "gene"]].set_index("gene", drop=False)
    columns = [Column("axis", "Axis", "text"), Column("gene", "Ligand", "text")]
    for niche in words.order(ligands["niche"], ["marrow", "extramedullary"]):
        part = ligands[ligands["niche"] == niche]
        best = top_producers(part).reindex(rows.index)
        judged = set(part.loc[known(part), "gene"])
        rows[f"{niche}_type"] = [_producer(gene, best, judged) for gene in rows["gene"]]
        rows[f"{niche}_place"] = best["place"]
        rows[f"{niche}_detection"] = best["detection"]
        rows[f"{niche}_share"] = best["share_of_tissue"]
        columns += [
            Column(f"{niche}_type", f"Most often in {words.name(niche)}"),
            Column(f"{niche}_place", "of", "text"),
            Column(f"{niche}_detection", "Cells with it", "percent"),
            Column(f"{niche}_share", "Share of its transcripts", "percent"),
        ]
    return _of(
        run,
        "production",
        rows,
        columns,
        caption="Ligands of the panel: the cell type of each niche that holds the transcript most "
        "often, and which share of all its transcripts in that tissue it makes (only where cells "
        "were not sorted).",
        searchable=True,
    )


def design_table(run: RunTables) -> PageTable:
    """Return the verdict on each contrast."""
    columns = [
        Column("contrast", "Contrast"),
        Column("verdict", "Verdict", "status"),
        Column("units_test", "Units, test", "count"),
        Column("units_reference", "Units, reference", "count"),
        Column("known_donors_test", "Known donors, test", "count"),
        Column("known_donors_reference", "Known donors, reference", "count"),
        Column("aliased_with", "Cannot be told from", "text"),
        Column("reason", "Why", "prose"),
    ]
    return _of(run, "design", run["design"], columns, caption="What each contrast allows.")


def contrast_table(run: RunTables) -> PageTable:
    """Return the differences that have a size, tested ones first, then by size."""
    judged = run["contrasts"][run["contrasts"]["level"] == "cell_type"]
    table = judged[judged["effect"].notna()]
    rank = table["status"].map({key: i for i, key in enumerate(words.STATUSES)})
    order = pd.DataFrame({"rank": rank, "size": -table["effect"].abs()}).sort_values(
        ["rank", "size"], kind="stable"
    )
    shown = table.loc[order.index[:MAX_ROWS]]
    ambient = _ambient_words(shown)
    columns = [
        Column("contrast", "Contrast"),
        Column("axis", "Axis", "text"),
        Column("gene", "Gene", "text"),
        Column("role", "Role"),
        Column("cell_type", "Cell type"),
        Column("effect", "log2 fold change", "signed"),
        Column("ci_low", "95 % from", "signed"),
        Column("ci_high", "to", "signed"),
        Column("q", "q", "p"),
        Column("counts_test", "Counts, test", "count"),
        Column("counts_reference", "Counts, reference", "count"),
        Column("status", "Status", "status"),
        Column("ambient", "Note", "text"),
    ]
    return _of(
        run,
        "contrasts",
        shown.assign(ambient=ambient),
        columns,
        caption=f"Differences that have a size: {words.number(len(shown))} of "
        f"{words.number(len(table))}; {words.number(len(judged) - len(table))} further "
        "pairs of gene and cell type have none, because they are not testable.",
        searchable=True,
    )


def composition_table(run: RunTables) -> PageTable:
    """Return the frequencies of cell types in each contrast."""
    columns = [
        Column("contrast", "Contrast"),
        Column("level", "Level"),
        Column("lineage", "Lineage"),
        Column("cell_type", "Cell type"),
        Column("fraction_test", "Test", "percent"),
        Column("fraction_reference", "Reference", "percent"),
        Column("effect", "log2 odds ratio", "signed"),
        Column("ci_low", "95 % from", "signed"),
        Column("ci_high", "to", "signed"),
        Column("q", "q", "p"),
        Column("status", "Status", "status"),
        Column("reason", "Why", "prose"),
    ]
    return _of(
        run, "composition", run["composition"], columns, caption="Frequency of cell types.",
        searchable=True,
    )  # fmt: skip


def ligand_receptor_table(run: RunTables) -> PageTable:
    """Return the ligand-receptor combinations that have a score, highest first."""
    table = run["ligand_receptor"]
    scored = table[table["score"].notna() & (table["status"] != "not_testable")]
    shown = scored.sort_values("score", ascending=False, kind="stable").head(MAX_ROWS)
    shown = shown.assign(ambient=_ambient_words(shown))
    columns = [
        Column("niche", "Niche"),
        Column("unit", "Donor or library", "text"),
        Column("condition", "Condition", "text"),
        Column("axis", "Axis", "text"),
        Column("ligand", "Ligand", "text"),
        Column("sender", "made by"),
        Column("ligand_detection", "Cells", "percent"),
        Column("receptor", "Receptor", "text"),
        Column("receiver", "held by"),
        Column("receptor_detection", "Cells", "percent"),
        Column("sign", "Sign"),
        Column("score", "Score", "number"),
        Column("ambient", "Note", "text"),
    ]
    return _of(
        run,
        "ligand_receptor",
        shown,
        columns,
        caption=f"Ligand-receptor combinations with a score: {words.number(len(shown))} of "
        f"{words.number(len(scored))}; {words.number(len(table) - len(scored))} have none.",
        searchable=True,
    )


def gate_table(run: RunTables) -> PageTable:
    """Return why each myeloid lineage has calls, or none."""
    columns = [
        Column("lineage", "Lineage"),
        Column("tissue", "Tissue"),
        Column("dataset", "Dataset", "text"),
        Column("signature", "Signature"),
        Column("status", "Status", "status"),
        Column("reason", "Why", "prose"),
        Column("effect", "Effect", "signed"),
        Column("p", "p", "p"),
    ]
    return _of(run, "gates", run["gates"], columns, caption="Gates of the myeloid calls.")


def subset_table(run: RunTables) -> PageTable:
    """Return the pathological subsets."""
    columns = [
        Column("subset", "Subset", "text"),
        Column("lineage", "Lineage"),
        Column("tissue", "Tissue"),
        Column("cells", "Cells", "count"),
        Column("units", "Units", "count"),
        Column("markers", "Markers", "prose"),
        Column("evidence", "Evidence", "prose"),
        Column("status", "Status", "status"),
    ]
    return _of(run, "subsets", run["subsets"], columns, caption="Pathological subsets.")


def coverage_table(run: RunTables) -> PageTable:
    """Return which sets could be scored in which dataset."""
    columns = [
        Column("set", "Set", "text"),
        Column("kind", "Kind"),
        Column("dataset", "Dataset", "text"),
        Column("n_genes", "Genes", "count"),
        Column("n_measured", "measured", "count"),
        Column("n_detected", "detected", "count"),
        Column("status", "Status"),
        Column("share_above_null95", "Cells above their null", "percent"),
    ]
    return _of(
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
    return page_table("inputs-table", table, columns, caption="Public files of this run.")


def _ambient_words(table: pd.DataFrame) -> pd.Series:
    flagged = table["ambient"].fillna(False).astype(bool)
    return flagged.map({True: "may be ambient", False: ""})


def _producer(gene: str, best: pd.DataFrame, judged: set[str]) -> str:
    if pd.notna(best.loc[gene, "cell_type"]):
        return str(best.loc[gene, "cell_type"])
    return "in no cell beyond ambient" if gene in judged else "not testable"


def _of(
    run: RunTables, name: str, table: pd.DataFrame, columns: list[Column], **settings: object
) -> PageTable:
    source = f"../{TABLES[name][0]}"
    return page_table(f"{name.replace('_', '-')}-table", table, columns, source=source, **settings)
