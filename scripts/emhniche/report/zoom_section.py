"""Which parts has a lineage that was clustered by itself, and how sure are they?

One figure, one table and one sentence for each lineage that ``cluster.zoom`` names.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emhniche.io import CELL_ID
from emhniche.report import figures, words
from emhniche.report.figures import QUIET, styled
from emhniche.report.page_tables import Column, PageTable, page_table
from emhniche.report.render import Picture, picture
from emhniche.report.tables import RunTables

N_MARKERS = 6
"""Marker genes named for a cluster."""

MAX_DRAWN = 100_000
"""Cells drawn on the static map; of a larger lineage a fixed random part."""

VERDICTS = {
    "stable": "",
    "unstable": " They are not stable: other cells would give other clusters.",
    "degenerate": " They are degenerate: one cluster, or crumbs.",
}
"""What is said of the clusters beyond their number, by their verdict."""


def pictures(run: RunTables) -> list[Picture]:
    """Draw each lineage that was clustered by itself: its clusters on the map, and their sizes."""
    return [
        picture(
            f"zoom-{lineage}",
            zoomed(run["umap"], tables["clusters"], tables["found_again"]),
            caption=f"{_capital(lineage)} by itself. Left: its clusters on the map of all cells, "
            "which is the run's own (grey: all other cells). Right: cells of each cluster, and in "
            "brackets the share of subsamples of the lineage that give it again.",
            tables=[
                *(_path(lineage, name) for name in ("clusters.parquet", "found_again.tsv")),
                "../cluster/umap.parquet",
            ],
            nothing=f"{_capital(lineage)}: too few cells to be clustered by itself.",
        )
        for lineage, tables in run.zooms.items()
    ]


def sections(run: RunTables) -> list[dict]:
    """Return for each lineage its heading, its sentence, its figure's name and its table."""
    return [
        {
            "heading": f"{_capital(lineage)} by itself",
            "text": sentence(tables),
            "picture": f"zoom-{lineage}",
            "table": cluster_table(lineage, tables),
        }
        for lineage, tables in run.zooms.items()
    ]


def sentence(tables: Mapping[str, pd.DataFrame]) -> str:
    """Say into how many clusters a lineage falls; empty where it was not clustered."""
    if tables["clusters"].empty:
        return ""
    curve = tables["resolutions"]
    taken = curve[curve["chosen"]].iloc[0]
    return (
        f"{words.plural(len(tables['clusters']), 'cell')} in "
        f"{words.plural(taken['n_clusters'], 'cluster')} at resolution {taken['resolution']:g}, "
        f"of which an average cell's is found again in {words.percent(taken['found_again'])} of "
        f"the subsamples.{VERDICTS[taken['verdict']]}"
    )


def cluster_table(lineage: str, tables: Mapping[str, pd.DataFrame]) -> PageTable:
    """Return one row a cluster of the lineage: its size, how sure it is and its first markers."""
    markers, found = tables["markers"].astype({"cluster": str, "gene": str}), tables["found_again"]
    rows = _chosen(found)
    types = markers.groupby("cluster", sort=False)["cell_type"].first()
    own = markers[~markers["ambient"].astype(bool)].groupby("cluster", sort=False)["gene"]
    genes = {name: ", ".join(part.head(N_MARKERS)) for name, part in own}
    cells = rows["n_cells"]
    rows = rows.assign(
        share=cells / max(cells.sum(), 1),
        cell_type=rows["cluster"].map(types),
        markers=rows["cluster"].map(genes),
    )
    columns = [
        Column("cluster", "Cluster", "text"),
        Column("n_cells", "Cells", "count"),
        Column("share", "Of the lineage", "percent"),
        Column("found_again", "Found again", "percent"),
        Column("cell_type", "Most frequent cell type"),
        Column("markers", "First markers", "prose"),
    ]
    return page_table(
        f"zoom-{lineage}-table",
        rows,
        columns,
        source=_path(lineage, "markers.tsv"),
        caption=f"Clusters of {words.name(lineage)} cells. Markers set a cluster apart from the "
        "other cells of the lineage; ambient genes are left out. Sizes and how often each is found "
        "again are in found_again.tsv beside it.",
    )


@styled
def zoomed(umap: pd.DataFrame, clusters: pd.DataFrame, found: pd.DataFrame) -> Figure | None:
    """Draw a lineage's clusters on the map of all cells, and their sizes.

    Parameters
    ----------
    umap
        ``cluster/umap.parquet``: all cells.
    clusters
        ``clusters.parquet`` of the lineage.
    found
        ``found_again.tsv`` of the lineage.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when the lineage was not clustered.
    """
    if clusters.empty:
        return None
    rows = _chosen(found)
    names = list(rows["cluster"])
    palette = dict(zip(names, (figures.CYCLE * len(names))[: len(names)], strict=True))
    height = max(4.0, 0.9 + 0.26 * len(names))
    figure, axes = figures.new_figure(9.2, height, columns=2, width_ratios=[1.25, 1])
    _on_the_map(axes[0, 0], umap, clusters, palette)
    axis, place = axes[0, 1], np.arange(len(rows))[::-1]
    axis.barh(place, rows["n_cells"], height=0.7, color=[palette[name] for name in names])
    for at, row in zip(place, rows.itertuples(), strict=True):
        text = f"{words.number(row.n_cells)} ({words.percent(row.found_again)})"
        shift = {"xytext": (4, 0), "textcoords": "offset points"}
        axis.annotate(text, (row.n_cells, at), va="center", fontsize=8.5, **shift)
    axis.set_yticks(place, names)
    axis.set(xlabel="cells (found again)", ylabel="cluster", xlim=(0, rows["n_cells"].max() * 1.35))
    figures.thousands(axis.xaxis)
    axis.tick_params(axis="y", length=0)
    return figure


def _on_the_map(
    axis: Axes, umap: pd.DataFrame, clusters: pd.DataFrame, palette: Mapping[str, str]
) -> None:
    place = umap.set_index(CELL_ID)
    own = clusters.set_index(CELL_ID)["cluster"].astype(str)
    others = place.drop(index=own.index, errors="ignore")
    others = others.iloc[figures.shuffled(len(others))[:MAX_DRAWN]]
    dots = {"linewidths": 0, "rasterized": True}
    axis.scatter(others["umap_1"], others["umap_2"], s=1.2, color="#E3E6E9", **dots)
    drawn = own.iloc[figures.shuffled(len(own))[:MAX_DRAWN]]
    at = place.loc[drawn.index]
    size = float(np.clip(12_000 / len(drawn), 0.6, 8))
    axis.scatter(at["umap_1"], at["umap_2"], s=size, c=drawn.map(palette), **dots)
    for name in palette:
        middle = place.loc[own.index[own == name]].median()
        figures.label_point(axis, middle["umap_1"], middle["umap_2"], name)
    axis.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    axis.xaxis.label.set_color(QUIET)
    axis.yaxis.label.set_color(QUIET)
    axis.set_aspect("equal", adjustable="box")


def _chosen(found: pd.DataFrame) -> pd.DataFrame:
    """Return the clusters that were taken, by number."""
    rows = found[found["chosen"].astype(bool)]
    rows = rows.sort_values("cluster", key=lambda names: names.astype(int), kind="stable")
    return rows.assign(cluster=rows["cluster"].astype(str))


def _path(lineage: str, name: str) -> str:
    return f"../cluster/zoom/{lineage}/{name}"


def _capital(lineage: str) -> str:
    return words.capital(words.name(lineage))
