"""What was asked, what came in, what was found, and how far can it be trusted?

:func:`build_index` writes ``report/index.html``, the page people open, and the figures beside it.
The page follows the order in which the run was made.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emhniche.io import read_json, write_text
from emhniche.report import (
    axes_table,
    celltypist_section,
    index_tables,
    integration_section,
    niche_tables,
    signals_figures,
    supply_figures,
    transferred_section,
    words,
    zoom_section,
)
from emhniche.report.cell_names import meanings
from emhniche.report.cellxgene import lacking
from emhniche.report.figure_tables import figure_tables, write_figure_tables
from emhniche.report.findings import all_findings
from emhniche.report.glance import glance
from emhniche.report.index_pictures import draw
from emhniche.report.interactive import cell_frame, map_data
from emhniche.report.known_answers_table import known_answers_table
from emhniche.report.limits import limits
from emhniche.report.methods import cited, methods_text
from emhniche.report.multiqc import write_lineages
from emhniche.report.myeloid_findings import not_called
from emhniche.report.page_tables import PageTable
from emhniche.report.render import render, save_picture
from emhniche.report.standfirst import standfirst
from emhniche.report.tables import RunTables, contrast_titles, read_run

CONTENTS = [
    ("asked", "What was asked"),
    ("came-in", "What came in"),
    ("findings", "Findings"),
    ("quality", "Quality control"),
    ("integration", "Integration"),
    ("cells", "Cells and clusters"),
    ("axes", "The axes at a glance"),
    ("panel", "Who makes the panel"),
    ("contrasts", "Contrasts"),
    ("composition", "Composition"),
    ("supply", "Supply of ligands"),
    ("signalling", "Ligands and receptors"),
    ("responses", "Signals that arrive"),
    ("emh", "Blood made outside the marrow"),
    ("myeloid", "Myeloid cells"),
    ("known-answers", "Known answers"),
    ("limits", "Limits of the data"),
    ("methods", "Methods"),
    ("provenance", "Provenance"),
]

MAP_SCRIPTS = ("map_data.js", "map_names.js", "map_picture.js", "map_search.js", "umap.js")
"""Scripts of the map of cells; the last one uses the others."""


def build_index(
    root: Path,
    *,
    config: Mapping,
    samples: pd.DataFrame,
    registry: pd.DataFrame,
) -> None:
    """Write the report of a run: ``index.html`` and the files it links, in ``report/``.

    Parameters
    ----------
    root
        Results folder of the run, with every table of :data:`emhniche.report.tables.TABLES`,
        ``cells.h5ad``, the samples' ``qc.json`` and ``provenance.json``.
    config
        The run's settings.
    samples
        The sample sheet, indexed by sample.
    registry
        The dataset registry, indexed by file.
    """
    root = Path(root)
    run = read_run(root, config=config, samples=samples, registry=registry)
    provenance = read_json(root / "provenance.json")
    cells = cell_frame(run)
    report = root / "report"
    own = figure_tables(run, cells)
    write_figure_tables(own, report)
    pictures = {
        name: save_picture(one, report / "figures", page=report)
        for name, one in draw(run, cells, own).items()
    }
    used = registry[registry["dataset"].isin(samples["dataset"])]
    paragraphs = methods_text(config, provenance, epochs=len(run.history), tables=run.tables)
    numbers, references = cited(paragraphs, used)
    genes = list(dict.fromkeys(run["production"]["gene"].dropna().astype(str)))
    page = render(
        "index.html.j2",
        scripts=["report.js", *MAP_SCRIPTS],
        context={
            "title": config["report"]["title"],
            "run_name": config["run"],
            "simulated": bool(config.get("simulate")),
            "planted_link": "planted.html",
            "contents": CONTENTS,
            "standfirst": [_led(line, contrast_titles(run)) for line in standfirst(run)],
            "glance": glance(run),
            "asked": asked(run),
            "datasets": datasets(run, used, numbers),
            "findings": all_findings(run),
            "integration": integration_section.verdict(run),
            "no_supply": supply_figures.untested(run),
            "not_called": list(not_called(run)),
            "pictures": pictures,
            "map": map_data(run, genes, seed=config["seed"]),
            "zooms": zoom_section.sections(run),
            "meanings": meanings(Path(config["resources"]["lineages"]), run["annotation"]),
            "transferred": transferred_section.section(run),
            "celltypist": celltypist_section.section(run),
            "tables": tables(run, provenance),
            "limits": limits(run),
            "methods": paragraphs,
            "numbers": numbers,
            "references": references,
            "provenance": provenance,
            "shown_packages": shown_packages(provenance),
            "lacking": lacking(run.cells, run["annotation"]),
        },
    )
    write_lineages(cells, report / "lineages_mqc.json")
    write_text(page, report / "index.html")


def _led(line: str, titles: Mapping[str, str]) -> tuple[str, str]:
    """Part a line into the title of the contrast that it is about, and the rest."""
    fitting = [one for one in titles.values() if re.match(rf"{re.escape(one)}[:,] ", line)]
    lead = max(fitting, key=len, default="")
    return lead, line.removeprefix(lead)


def tables(run: RunTables, provenance: Mapping) -> dict[str, PageTable]:
    """Return every table of the index page by its place in the template."""
    return {
        "samples": index_tables.sample_table(run),
        "quality": index_tables.quality_table(run),
        "losses": index_tables.loss_table(run),
        "metrics": index_tables.metric_table(run),
        "mixing": integration_section.mixing_table(run),
        "clusters": index_tables.cluster_table(run),
        "markers": index_tables.marker_table(run),
        "coverage": index_tables.coverage_table(run),
        "axes": axes_table.axes_table(run),
        "producers": niche_tables.producer_table(run),
        "design": niche_tables.design_table(run),
        "contrasts": niche_tables.contrast_table(run),
        "composition": niche_tables.composition_table(run),
        "supply": supply_figures.supply_table(run),
        "ligand_receptor": niche_tables.ligand_receptor_table(run),
        "score_contrasts": signals_figures.score_table(run),
        "emh_axes": signals_figures.axis_table(run),
        "pair_contrasts": supply_figures.pair_contrast_table(run),
        "gates": niche_tables.gate_table(run),
        "subsets": niche_tables.subset_table(run),
        "myeloid_clusters": niche_tables.myeloid_cluster_table(run),
        "known_answers": known_answers_table(run),
        "inputs": index_tables.input_table(provenance),
    }


def asked(run: RunTables) -> list[tuple[str, str]]:
    """Say what the configuration asked for, as terms and values."""
    config = run.config
    titles = contrast_titles(run)
    panel = run["production"].drop_duplicates("gene")
    axes = list(dict.fromkeys(panel["axis"]))
    facts = [
        (
            titles[one["name"]],
            f"contrast {one['name']} over {one['factor']}"
            + "".join(f", only samples with {k} {v}" for k, v in (one.get("subset") or {}).items())
            + (f", and {one['interaction']['factor']}" if one.get("interaction") else ""),
        )
        for one in config["niche"]["contrasts"]
    ]
    facts += [
        (
            "Panel",
            f"{words.plural(len(panel), 'gene')} of {words.plural(len(axes), 'axis', 'axes')}: "
            f"{words.join(axes)}",
        ),
        (
            "Integration",
            f"{words.join(config['integrate']['methods'])}; clusters on "
            f"{config['integrate']['primary']}; batch: {config['integrate']['batch_key']}",
        ),
        ("Myeloid signatures", words.join(words.name(s) for s in config["myeloid"]["signatures"])),
        ("Seed", str(config["seed"])),
    ]
    return facts


def datasets(run: RunTables, registry: pd.DataFrame, numbers: Mapping[str, int]) -> list[dict]:
    """Return one entry a dataset: what it is, how many samples and cells, and its reference."""
    entries = []
    cells = run.cells["dataset"].astype(str).value_counts()
    for dataset, sheet in run.samples.groupby("dataset", sort=False):
        row = registry[registry["dataset"] == dataset].head(1)
        entries.append(
            {
                "name": dataset,
                "tissue": words.join(dict.fromkeys(sheet["tissue"])),
                "species": words.join(dict.fromkeys(sheet["species"])),
                "chemistry": words.join(c for c in dict.fromkeys(sheet["chemistry"]) if c),
                "samples": len(sheet),
                "cells": int(cells.get(dataset, 0)),
                "citation": row["citation"].iloc[0] if len(row) else "",
                "number": numbers.get(dataset),
            }
        )
    return entries


def shown_packages(provenance: Mapping) -> list[tuple[str, str]]:
    """Return the versions of the packages that do the work; provenance.json holds all."""
    wanted = "snakemake scanpy anndata scvi-tools torch harmonypy igraph umap-learn faiss-cpu"
    wanted += " illico pydeseq2 scikit-learn scipy numpy pandas matplotlib"
    packages = provenance["packages"]
    return [(name, packages[name]) for name in wanted.split() if name in packages]
