"""What does a CellTypist model say of the cells, beside the names of the run?

A heat map of labels by lineage, a table of clusters and sentences, where ``annotate.celltypist``
names a model. Its labels change no name: a disagreement is shown, and who is right is left open.
"""

import numpy as np

from emhniche.celltypist import MIN_PROBABILITY
from emhniche.lineage import UNKNOWN
from emhniche.report import words
from emhniche.report.page_tables import Column, PageTable, page_table
from emhniche.report.render import Picture, picture
from emhniche.report.tables import CELLTYPIST, TABLES, RunTables
from emhniche.report.transferred_section import heat_map, lineages_by_label

MIN_SHARE = 0.5
"""A cluster is told of when fewer of its labelled cells agree."""


def pictures(run: RunTables) -> list[Picture]:
    """Draw labels by lineage; nothing where no model is asked."""
    if run.celltypist is None:
        return []
    cells = run.celltypist["cells"]
    usual = cells[cells["label"] != UNKNOWN].drop_duplicates("label").set_index("label")
    return [
        picture(
            "celltypist",
            heat_map(
                lineages_by_label(cells, run["annotation"]),
                usual["usual_lineage"],
                name="label of CellTypist",
            ),
            caption="Cells that the CellTypist model gives each label, by the lineage that the run "
            "names: share of the label's cells, in brackets the cells. Framed: the lineage of most "
            "of them. White is no cell. "
            f"{words.capital(UNKNOWN)}: no class has a probability of {MIN_PROBABILITY:g}.",
            tables=[
                "celltypist_by_lineage.tsv",
                f"../{CELLTYPIST['cells'][0]}",
                f"../{TABLES['annotation'][0]}",
            ],
            nothing="The model gave no label.",
        )
    ]


def section(run: RunTables) -> dict | None:
    """Return the sentences and the table; None where no model is asked."""
    if run.celltypist is None:
        return None
    return {"sentences": sentences(run), "table": cluster_table(run)}


def sentences(run: RunTables) -> list[str]:
    """Say which model was asked, how many cells it labels, and which clusters fall apart."""
    cells, clusters = run.celltypist["cells"], run.celltypist["clusters"]
    known = cells[cells["label"] != UNKNOWN]
    model = str(run.config["annotate"]["celltypist"]["model"]).split("/")[-1]
    told = [
        f"{model} gives {words.number(len(known))} of {words.plural(len(cells), 'cell')} "
        f"({words.percent(len(known), len(cells))}) a label. No name was changed. A label "
        "stands for the lineage that most cells with it have here, so the two agree more often "
        "than independent names would."
    ]
    apart = clusters[clusters["agree"] < MIN_SHARE].sort_values("agree", kind="stable")
    parts = [
        f"{row.cluster} ({words.name(row.cell_type)}; the model says {row.label} most often)"
        for row in apart.itertuples()
    ]
    if parts:
        told.append(f"Fewer than half of the labelled cells agree in cluster {words.join(parts)}.")
    return told


def cluster_table(run: RunTables) -> PageTable:
    """Return one row a cluster: its name, the model's labels, and how often the two agree."""
    columns = [
        Column("cluster", "Cluster", "text"),
        Column("n_cells", "Cells", "count"),
        Column("lineage", "Lineage"),
        Column("cell_type", "Cell type"),
        Column("label", "Most frequent label", "text"),
        Column("share", "Share", "percent"),
        Column("second_label", "Second label", "text"),
        Column("second_share", "Its share", "percent"),
        Column("probability", "Probability", "hundredths"),
        Column("agree", "Agree", "percent"),
    ]
    table = run.celltypist["clusters"]
    return page_table(
        "celltypist-table",
        table.assign(second_label=table["second_label"].replace("", np.nan)),
        columns,
        source=f"../{CELLTYPIST['clusters'][0]}",
        caption="Clusters and what the CellTypist model says of their cells. Probability: median "
        "of the cells' best classes. Agree: share of the labelled cells whose lineage is the one "
        "that most cells with their label have.",
        searchable=True,
    )
