"""Which numbers does the index draw that no stage wrote down, and in which files are they?

A figure that counts or averages cells is drawn from a small table that lies beside the page, so
that each of its numbers can be looked up. Figures of single cells are drawn from the cells.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emhniche.io import write_table
from emhniche.report import index_tables, myeloid_figures, quality_figures
from emhniche.report.tables import RunTables
from emhniche.report.transferred_section import lineages_by_label


def figure_tables(run: RunTables, cells: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make the tables that figures of the index are drawn from.

    Parameters
    ----------
    run
        Tables of the run.
    cells
        One row a cell, as :func:`emhniche.report.interactive.cell_frame` returns it.

    Returns
    -------
    dict of pandas.DataFrame
        Name -> table; ``report/<name>.tsv`` is its file. ``transferred_by_lineage`` and
        ``celltypist_by_lineage`` are there where the settings ask for these labels.
    """
    tables = {
        "losses": quality_figures.loss_counts(run.qc),
        "losses_by_lineage": index_tables.losses_by_lineage(run.qc),
        "quality_by_sample": quality_figures.quality_by_sample(run.cells, run.samples),
        "composition_by_sample": composition_by_sample(cells, run.samples),
        "myeloid_cells": myeloid_figures.cell_counts(run),
        "myeloid_overlap": myeloid_figures.overlaps(run),
    }
    for name, labels in (("transferred", run.transferred), ("celltypist", run.celltypist)):
        if labels is not None:
            counts = lineages_by_label(labels["cells"], run["annotation"])
            counts = counts.rename_axis(index="label", columns="lineage").stack()
            tables[f"{name}_by_lineage"] = counts.rename("n_cells").reset_index()
    return tables


def write_figure_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write :func:`figure_tables` into the report's folder."""
    for name, table in tables.items():
        write_table(table, folder / f"{name}.tsv")


def composition_by_sample(cells: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Count the kept cells of each sample by lineage.

    Parameters
    ----------
    cells
        ``sample`` and ``lineage`` of each kept cell.
    samples
        The sample sheet, indexed by sample.

    Returns
    -------
    pandas.DataFrame
        ``sample`` (in the order of the sheet, those with a kept cell), ``enrichment``,
        ``lineage``, ``n_cells`` and ``share`` (of the sample's kept cells, 0 to 1).
    """
    counts = pd.crosstab(cells["sample"].astype(str), cells["lineage"].astype(str))
    counts = counts.reindex([one for one in samples.index if one in counts.index])
    table = counts.rename_axis(index="sample", columns="lineage").stack().rename("n_cells")
    table = table.reset_index()
    table.insert(1, "enrichment", samples["enrichment"].reindex(table["sample"]).to_numpy())
    return table.assign(
        share=table["n_cells"] / table.groupby("sample")["n_cells"].transform("sum")
    )
