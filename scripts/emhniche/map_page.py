"""Which files does a query have once it is mapped, and what do they say?"""

import re
from pathlib import Path

from emhniche import io
from emhniche.command import read_config
from emhniche.errors import InputError
from emhniche.genes import read_aliases
from emhniche.ingest import parse_files
from emhniche.mapping import ANNOTATION, OUTSIDE, compositions, map_cells
from emhniche.report import words
from emhniche.report.render import render
from emhniche.settings import load_run
from emhniche.transfer import FARTHEST, NEAREST


def map_file(config: str, query: str, *, name: str, root: Path) -> Path:
    """Map the counts of a file onto a finished run and write ``map/<name>`` in its results.

    Parameters
    ----------
    config
        Configuration of the run, whose results are in ``results/<run>``.
    query
        File with raw counts of cells.
    name
        Of the query.
    root
        Folder of the pipeline.

    Returns
    -------
    pathlib.Path
        The page. Beside it lie ``cells.parquet`` and ``cell_types.tsv``.

    Raises
    ------
    InputError
        When the configuration, the run or the query cannot be used.
    """
    run = load_run(read_config(config), root=root, source=config)
    folder = Path("results") / run.name
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise InputError(f"--name: '{name}' cannot be used; use letters, digits, _ and -")
    if not (folder / ANNOTATION).is_file():
        raise InputError(f"{folder}: no finished run; run `emhniche run {config}` first")
    if "scvi" not in run.config["integrate"]["methods"]:
        raise InputError(
            f"{config}: integrate.methods: scvi is not among them, and mapping needs its model; "
            f"add it and run `emhniche run {config}`"
        )
    if not Path(query).is_file():
        raise InputError(f"{query}: no such file; give a file with raw counts of cells")
    aliases = read_aliases(run.config["resources"]["aliases"], run.species)
    cells = parse_files([query], file_format="auto", aliases=aliases, species=run.species)
    table, figures = map_cells(folder, cells, name=query)
    annotation = io.read_table(folder / ANNOTATION)
    types = compositions(table, annotation)
    target = folder / "map" / name
    io.write_table(table, target / "cells.parquet")
    io.write_table(types, target / "cell_types.tsv")
    page = render(
        "map.html.j2",
        scripts=[],
        context={
            "title": run.config["report"]["title"],
            "simulated": bool(run.study),
            "planted_link": "../../report/planted.html",
            "run_name": run.name,
            "query": name,
            "file": Path(query).name,
            "figures": {key: words.number(value) for key, value in figures.items()},
            "outside_share": words.percent(figures["outside"], figures["placed"]),
            "beyond": f"{100 * FARTHEST:g} %",
            "nearest": NEAREST,
            "rows": [
                {
                    "lineage": words.name(row.lineage),
                    "cell_type": words.name(row.cell_type),
                    "outside": row.cell_type == OUTSIDE,
                    "n_cells": words.number(row.n_cells),
                    "share": f"{100 * row.share:.1f}",
                    "confidence": f"{row.confidence:.2f}",
                    "share_run": f"{100 * row.share_run:.1f}" if row.share_run > 0 else "–",
                }
                for row in types.itertuples()
            ],
        },
    )
    io.write_text(page, target / "index.html")
    return target / "index.html"
