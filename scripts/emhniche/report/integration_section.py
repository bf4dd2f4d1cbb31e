"""What does the index say of the latent space: what integration did, what it can have undone?"""

import re

from emhniche.report import words
from emhniche.report.index_tables import run_table
from emhniche.report.page_tables import Column, PageTable
from emhniche.report.tables import RunTables


def verdict(run: RunTables) -> list[str]:
    """Return what is said of the latent space that the clusters were found in.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    list of str
        A sentence or more a check, with lineages as a reader would write them.
    """
    said = run["verdict"]
    own = said.loc[said["method"] == run.config["integrate"]["primary"], "sentence"]
    return [re.sub(r"\w+_\w+", lambda found: words.name(found[0]), text) for text in own]


def mixing_table(run: RunTables) -> PageTable:
    """Return how replicates and tissues mix within each cell type, of the primary method."""
    columns = [
        Column("compared", "Compared"),
        Column("dataset", "Dataset", "text"),
        Column("within", "Within", "text"),
        Column("cell_type", "Cell type"),
        Column("status", "Status", "status"),
        Column("n_cells", "Cells", "count"),
        Column("mixing", "Mixing", "number"),
        Column("ceiling", "By chance", "number"),
        Column("uneven", "Uneven", "percent"),
    ]
    mixing = run["mixing"]
    table = mixing[mixing["method"] == run.config["integrate"]["primary"]]
    return run_table(
        run,
        "mixing",
        table,
        columns,
        caption="How libraries that repeat each other, and tissues, lie among each other within a "
        "cell type: 1 is by chance, 0 is apart. Uneven: share of the neighbourhoods that hold more "
        "cells of one library than chance allows.",
        searchable=True,
    )
