"""Which figures does the index page show, and what does each caption say?

In the order in which the run was made. A figure whose tables hold nothing to draw says so.
"""

from collections.abc import Mapping

import pandas as pd

from emhniche.axes import Q_LEVEL
from emhniche.cluster_limits import FOUND, OFTEN
from emhniche.io import CELL_ID
from emhniche.marker_levels import N_SHOWN
from emhniche.report import (
    celltypist_section,
    cluster_figures,
    marker_figure,
    myeloid_figures,
    niche_figures,
    quality_figures,
    run_figures,
    signals_figures,
    supply_figures,
    talk_figure,
    transferred_section,
    words,
    zoom_section,
)
from emhniche.report.myeloid_gates import MAX_PLACES, shown_gates
from emhniche.report.render import Picture, picture
from emhniche.report.tables import TABLES, RunTables, contrast_titles

MAX_LEGEND = 16
"""Categories that a static picture of the map can name; beyond it the interactive one must do."""


def draw(
    run: RunTables, cells: pd.DataFrame, own: Mapping[str, pd.DataFrame]
) -> dict[str, Picture]:
    """Draw every figure of the index page.

    Parameters
    ----------
    run
        Tables of the run.
    cells
        One row a cell, as :func:`emhniche.report.interactive.cell_frame` returns it.
    own
        As :func:`emhniche.report.figure_tables.figure_tables` makes them of both.

    Returns
    -------
    dict
        Name -> figure; one whose tables hold nothing to draw says so.
    """
    production, contrasts = run["production"], run["contrasts"]
    drawn = [
        picture(
            "losses",
            quality_figures.losses(own["losses"]),
            caption="What became of every sample's barcodes. Left: how many were kept; right: "
            "which share was removed, by the first rule that a barcode failed.",
            tables=["losses.tsv"],
        ),
        picture(
            "quality",
            quality_figures.quality(own["quality_by_sample"]),
            caption="The kept cells of each sample: median (dot), quartiles (bar) and the middle "
            "nine tenths (line). Lineages differ too: a neutrophil has little RNA.",
            tables=["quality_by_sample.tsv"],
            nothing="No cell was kept.",
        ),
        *_integration(run),
        _umap(run, cells),
        _resolutions(run),
        _markers(run),
        *zoom_section.pictures(run),
        *transferred_section.pictures(run),
        *celltypist_section.pictures(run),
        picture(
            "composition",
            run_figures.composition(own["composition_by_sample"]),
            caption=f"Lineages of each sample's kept cells.{_gated(run)}",
            tables=["composition_by_sample.tsv"],
        ),
        *_talk(run),
        *_signals(run),
        *_myeloid(run, own["myeloid_overlap"]),
    ]
    for niche in words.order(run.samples["niche"], ["marrow", "extramedullary"]):
        drawn.append(_panel(production, niche))
    for contrast in run.config["niche"]["contrasts"]:
        title = contrast_titles(run)[contrast["name"]]
        drawn.append(_forest(contrasts, contrast, title))
        drawn.append(_supply(run["supply"], contrast, title))
    return {one.name: one for one in drawn}


def _integration(run: RunTables) -> list[Picture]:
    primary = run.config["integrate"]["primary"]
    return [
        picture(
            "training",
            run_figures.training(run.history),
            caption="Loss of the scVI model by epoch. Lower is better; a growing gap between the "
            "curves would mean that the model learns its training cells by heart.",
            tables=[f"../integration/{primary}/history.tsv"],
            nothing="The primary method was not trained, so it has no history.",
        ),
        picture(
            "metrics",
            run_figures.metrics(run["metrics"]),
            caption="Integration metrics between what control spaces without the information score "
            "(floor) and those that hold nothing else (ceiling), with the value at the right. Of "
            "a metric with several parts (pairs of batches, lineages, types) each is a pale dot "
            "and the median a full one. Only batches that hold the same cells should mix, so the "
            "ceiling is not the goal of every pair.",
            tables=_sources("metrics"),
            nothing="No metric could be computed.",
        ),
    ]


def _panel(production: pd.DataFrame, niche: str) -> Picture:
    return picture(
        f"panel-{niche}",
        niche_figures.panel_map(production, niche),
        caption=f"The panel in the {words.name(niche)} niche: share of the cells of each type in "
        "which the transcript was seen, in brackets the cells. White is none of enough cells; "
        "hatched is not testable or not measured, which is not zero. A cross: ambient RNA, or "
        "cells that hold two lineages, explain half of the counts or more; these cells may not "
        "make it.",
        tables=_sources("production"),
        nothing=f"No gene of the panel was looked for in the {words.name(niche)} niche.",
    )


def _gated(run: RunTables) -> str:
    """Say what a star beside a sample means, where one has it."""
    gates = run.samples["enrichment"].fillna("none")
    if gates.isin(["none", ""]).all():
        return ""
    return " A star marks samples that were sorted or enriched: there the gate set the frequencies."


def _forest(contrasts: pd.DataFrame, contrast: Mapping, title: str) -> Picture:
    own = contrasts[contrasts["contrast"] == contrast["name"]]
    said = (
        f"{title}: the clearest differences that have a size, at most {niche_figures.MAX_EFFECTS}, "
        "with 95 % intervals; higher above, lower below, the smallest q of each first. Dark: "
        f"differs, as the findings say it. Pale: tested, and either q is above {Q_LEVEL:g} or the "
        "interval holds 0. Open: a size without a p-value."
    )
    if not (own["status"] == "tested").any():
        said = (
            f"{title}: the largest differences, at most {niche_figures.MAX_EFFECTS}, with a 95 % "
            "interval where there is one; higher above, lower below. Open: a size with no p-value."
        )
    return picture(
        f"forest-{contrast['name']}",
        niche_figures.forest(own, contrast),
        caption=said,
        tables=_sources("contrasts", "design"),
        nothing=f"{title}: no difference has a size, nothing could be tested.",
    )


def _talk(run: RunTables) -> list[Picture]:
    core = run["production"].query("tier == 'core'")[["axis", "gene"]].drop_duplicates()
    compared = run["ligand_receptor_contrasts"]
    fields = (
        "Rows: a ligand, its receptor and the lineage that makes the ligand; columns: the lineage "
        "that holds the receptor. Crossed: ambient RNA explains the counts of a side. Hatched: not "
        "testable, which is not zero."
    )
    return [
        picture(
            "talk",
            talk_figure.talk(run["ligand_receptor"], core),
            caption="Producers and receivers of the core axes in each niche: the mean score of the "
            "donors (libraries, where donors are unknown) that have one; a field is small where "
            f"that is fewer than half of the niche's. {fields}",
            tables=_sources("ligand_receptor"),
            nothing="No pair of a core axis could be scored.",
        ),
        picture(
            "talk-changes",
            talk_figure.changes(compared, core, contrast_titles(run)),
            caption="Where producers and receivers of the core axes differ: green is a higher "
            "score in the first arm, purple a lower one (where two changes are compared: a greater "
            f"and a smaller change). Triangles: tested, q ≤ {Q_LEVEL:g} and "
            f"an interval on one side of 0. {fields}",
            tables=_sources("ligand_receptor_contrasts"),
            nothing="No score of a core axis could be compared between the arms of a contrast.",
        ),
    ]


def _signals(run: RunTables) -> list[Picture]:
    return [
        picture(
            "responses",
            signals_figures.responses(run["responses"], contrast_titles(run)),
            caption="Genes that answer to a signal, by lineage: green is more of the answer in the "
            "test arm, purple less. Where a control (interferon, "
            "immediate-early genes) moves in the same cells, it is the simpler reading.",
            tables=_sources("responses"),
            nothing="No response could be measured in both arms of a contrast.",
        ),
        picture(
            "emh-index",
            signals_figures.emh_index(run["emh_index"]),
            caption="Blood made in each extramedullary tissue: a dot is a donor. 0 is the mean of "
            "the reference donors of the same tissue and dataset, +1 twice their odds. The index "
            "is the mean of the branches that can be read.",
            tables=_sources("emh_index", "emh_contrasts"),
            nothing="No tissue has unsorted libraries and reference donors to compare them with.",
        ),
    ]


def _supply(supply: pd.DataFrame, contrast: Mapping, title: str) -> Picture:
    supply = supply[supply["contrast"] == contrast["name"]]
    none = supply_figures.verdict(supply)
    return picture(
        f"supply-{contrast['name']}",
        supply_figures.supplies(supply, contrast),
        caption=f"{title}: what lineages supply to the tissue, the {supply_figures.MAX_SUPPLIES} "
        "smallest p-values. The change (dot) is the sum of its parts, in log2: how much more "
        f"frequent the cells are and how much more of the transcript each holds. {none}".strip(),
        tables=_sources("supply"),
        nothing=f"{title}: no supply could be tested.",
    )


def _myeloid(run: RunTables, overlap: pd.DataFrame) -> list[Picture]:
    gates = shown_gates(run["gates"], run.config["myeloid"]["signatures"])
    left = len(gates) - MAX_PLACES
    more = f" {words.plural(left, 'further place')} in gates.tsv." if left > 0 else ""
    which = "The signature that was called, else the first of the settings that has an answer."
    marked = (
        " Diamonds are called; a cell without a transcript of the signature never is."
        if (gates["code"] == "called").any()
        else " No cell was called."
    )
    tested = (
        " The p-value is the one-sided t test between donors, adjusted over all gates of the run."
        if gates["p"].notna().any()
        else " Too few donors or genes for a test, so there is no p-value."
    )
    return [
        picture(
            "myeloid",
            myeloid_figures.residuals(run),
            caption="How far each cell's signature score lies above what maturation, stress and "
            f"depth explain, by arm. {which}{marked}{more}",
            tables=["myeloid_cells.tsv", *_sources("calls", "gates")],
            nothing="No myeloid cell could be scored against its maturation.",
        ),
        picture(
            "myeloid-donors",
            myeloid_figures.exceedance(run),
            caption="Donors decide: share of each donor's cells above the naive 95th percentile, "
            f"by arm, and what came of the gate.{tested}",
            tables=_sources("donors", "gates"),
            nothing="No donor has enough reference cells to be measured against.",
        ),
        picture(
            "myeloid-overlap",
            myeloid_figures.shared(run, overlap),
            caption="Stress and inflammation in called and other case cells of each donor: share "
            "above the reference cells' 95th percentile of the immediate-early and the interferon "
            "score. Where called cells lie to the right, part of what was called may be either.",
            tables=["myeloid_overlap.tsv", *_sources("calls", "scores")],
            nothing="No cell was called, so none is compared in stress and interferon genes.",
        ),
    ]


def _umap(run: RunTables, cells: pd.DataFrame) -> Picture:
    """Draw the static map: for print, for browsers without scripts, and for a quick look."""
    place = run["umap"].set_index(CELL_ID).reindex(cells.index)
    wanted = ("tissue", "dataset", "condition", "sample")
    kinds = {column: cells[column].nunique() for column in wanted}
    columns = ["lineage", *(column for column in wanted if 2 <= kinds[column] <= MAX_LEGEND)][:4]
    return picture(
        "umap",
        run_figures.umap(place, cells, columns),
        caption="Map of cells (UMAP of the latent space). Neighbours are alike; distances between "
        "groups and the size of a group mean little.",
        tables=_sources("umap", "clusters", "annotation"),
    )


def _resolutions(run: RunTables) -> Picture:
    """Draw how the resolution of the clusters was chosen."""
    curve = run["resolutions"]
    taken = curve[curve["chosen"]].iloc[0]
    unstable = {
        "stable": "",
        "unstable": " It is not stable: other cells would give other clusters.",
        "degenerate": " It is degenerate: one cluster, or crumbs.",
    }[taken["verdict"]]
    chosen = run["found_again"][run["found_again"]["chosen"]]
    parts, joined = chosen["n_joined"].sum(), ""
    if parts > taken["n_clusters"]:
        joined = f" Those that were taken are joined from {parts} of Leiden's."
    return picture(
        "resolutions",
        cluster_figures.resolutions(curve, run["found_again"], run["cluster_tree"]),
        caption=f"Clusters at each resolution that was tried. Resolution {taken['resolution']:g} "
        f"(orange) has the highest score and was taken: {taken['n_stable']} of its "
        f"{taken['n_clusters']} clusters are found again in {100 * OFTEN:g} % of subsamples of "
        "four fifths of the cells, which is what "
        f"the numbers at the left count (Jaccard index of {FOUND:g} or more). At every resolution, "
        "clusters that subsamples trade cells between are one where a coarser resolution has them "
        f"as one.{joined}{unstable} "
        "The area of a dot rises with the cells of the cluster.",
        tables=_sources("resolutions", "found_again", "cluster_tree"),
        nothing="One resolution was tried only.",
    )


def _markers(run: RunTables) -> Picture:
    """Draw the first markers of each cluster in every cluster."""
    return picture(
        "markers",
        marker_figure.markers(run["marker_levels"], run["cluster_types"]),
        caption=f"The first {N_SHOWN} markers of each cluster, in every cluster. Rows are clusters "
        "by lineage (colour at the left), with their cells in brackets. The area of a dot is the "
        f"share of the cells with the gene (none below {marker_figure.MIN_SHOWN:g} %), its colour "
        "the mean level over the cluster's cells. Ambient genes are left out; a gene that marks "
        "several clusters stands with the first.",
        tables=_sources("marker_levels"),
        nothing="No cluster has a marker of its own.",
    )


def _sources(*names: str) -> list[str]:
    return [f"../{TABLES[name][0]}" for name in names]
