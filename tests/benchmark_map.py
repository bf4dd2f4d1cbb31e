"""How large is the index of a run with a million cells, and how soon does it open?

    python tests/benchmark_map.py results/demo results/million 1000000

draws the cells of a finished run again, with replacement, until there are as many as asked, gives
each a place near its first one, and writes the index of that run. Every table that has no cells
stays as it is. It prints the size of the index, processor seconds of writing it and what a browser
needs to open it: processor seconds of the page until it is loaded and until the map is drawn, and
by the clock. On a busy machine the clock tells of the other jobs. `docs/report.md` holds what came
of it.
"""

import shutil
import sys
import time
from argparse import ArgumentParser
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import yaml

import browser
from emhniche.io import CELL_ID, read_table, write_h5ad, write_table
from emhniche.report.index_page import build_index
from emhniche.settings import load_run

ROOT = Path(__file__).resolve().parents[1]
TABLES = (
    "cluster/clusters.parquet",
    "cluster/umap.parquet",
    "annotate/annotation.parquet",
    "score/scores.parquet",
)
SPREAD = 0.15
"""Standard deviation of a cell's place around the one it was drawn from, in units of the map."""


def enlarge(source: Path, target: Path, n_cells: int, *, seed: int) -> None:
    """Write a run of `n_cells` cells drawn from those of another."""
    rng = np.random.default_rng(seed)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.h5ad", "report"))
    cells = ad.read_h5ad(source / "cells.h5ad")
    drawn = rng.integers(0, cells.n_obs, n_cells)
    names = pd.Index([f"c{number}" for number in range(n_cells)])
    panel = cells[:, cells.var["panel"].to_numpy()]
    obs = panel.obs.iloc[drawn].drop(columns="barcode").set_axis(names.rename(CELL_ID))
    many = ad.AnnData(panel.X[drawn], obs=obs, var=panel.var[["panel"]])
    many.varm["measured"] = panel.varm["measured"]
    write_h5ad(many, target / "cells.h5ad")
    for name in TABLES:
        table = read_table(source / name).set_index(CELL_ID).loc[cells.obs_names].iloc[drawn]
        if name.endswith("umap.parquet"):
            table = table + rng.normal(0, SPREAD, table.shape).astype(np.float32)
        write_table(table.set_axis(names.rename(CELL_ID)).reset_index(), target / name)

    calls = read_table(source / "myeloid/calls.parquet")
    where = pd.DataFrame({CELL_ID: cells.obs_names[drawn], "new": names})
    calls = where.merge(calls, on=CELL_ID).drop(columns=CELL_ID).rename(columns={"new": CELL_ID})
    write_table(calls, target / "myeloid/calls.parquet")


def opening(chromium, page: Path) -> dict[str, float]:
    """Open a page in Chromium; return seconds until it is loaded and until its map is drawn."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, offline=True)
    one = context.new_page()
    tools = context.new_cdp_session(one)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        listed = tools.send("Performance.getMetrics")["metrics"]
        return {row["name"]: row["value"] for row in listed}["TaskDuration"]

    start, before = time.monotonic(), spent()
    one.goto(page.resolve().as_uri())
    loaded = {"load, processor": spent() - before, "load": time.monotonic() - start}
    one.wait_for_selector("#figure-umap.interactive")
    one.wait_for_function(
        "() => document.getElementById('map-canvas').ariaLabel.includes('coloured')"
    )
    drawn = {"map, processor": spent() - before, "map": time.monotonic() - start}
    context.close()
    return loaded | drawn


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("n_cells", type=int)
    given = parser.parse_args()
    enlarge(given.source, given.target, given.n_cells, seed=0)
    config = ROOT / "config/config.yaml"
    run = load_run(yaml.safe_load(config.read_text()), root=ROOT, source=str(config))
    start = time.process_time()
    build_index(given.target, config=run.config, samples=run.samples, registry=run.registry)
    written = time.process_time() - start
    index = given.target / "report/index.html"
    told = [
        f"{given.n_cells} cells",
        f"{index.stat().st_size / 1e6:.2f} MB",
        f"written {written:.0f} s",
    ]
    with browser.started() as chromium:
        told += [f"{what} {spent:.2f} s" for what, spent in opening(chromium, index).items()]
    sys.stdout.write("\t".join(told) + "\n")
