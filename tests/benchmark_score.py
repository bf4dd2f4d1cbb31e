"""How long does it take to score 100,000 cells, and how much memory?

Every shipped signature and axis with its random sets, beside three tools that have none. Run from
the command line; it writes what `docs/score.md` quotes:

    uv run python tests/benchmark_score.py cells results/public cells.h5ad
    uv run python tests/benchmark_score.py all cells.h5ad docs/score_benchmark.tsv

The cells are drawn with replacement from those of a finished run, so that counts, genes and
datasets are real. decoupler is no part of the project's environment: `--decoupler` names the Python
of one that has it (made with `uv venv` and `uv pip install decoupler`).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from emhniche.ambient_genes import ambient_genes  # noqa: E402
from emhniche.io import write_h5ad, write_table  # noqa: E402
from emhniche.resources import load_ambient, load_panel, load_signatures  # noqa: E402
from emhniche.score import gene_sets, score_cells  # noqa: E402

N_CELLS = 100_000
N_RANDOM = 200
SPECIES = "mouse"
SETTINGS = {"max_rank": 1500, "n_bins": 25, "seed": 0}


def draw_cells(run: Path, path: Path) -> None:
    """Write 100,000 cells drawn with replacement from those of a run, dataset by dataset."""
    cells = ad.read_h5ad(run / "cells.h5ad")
    rows = np.random.default_rng(0).choice(cells.n_obs, N_CELLS)
    rows = rows[np.argsort(cells.obs["dataset"].to_numpy(str)[rows], kind="stable")]
    drawn = ad.AnnData(
        cells.X[rows],
        cells.obs.iloc[rows].set_axis([f"cell:{i}" for i in range(N_CELLS)]),
        cells.var[[]],
        varm={name: cells.varm[name] for name in ("measured", "ambient")},
    )
    write_h5ad(drawn, path)


def own_tables() -> dict[str, pd.DataFrame]:
    """Return the shipped panel and signatures."""
    return {
        "panel": load_panel(ROOT / "resources" / "panel.tsv", SPECIES),
        "signatures": load_signatures(ROOT / "resources" / "signatures.tsv", SPECIES),
    }


def measured_sets(cells: ad.AnnData) -> dict[str, list[str]]:
    """Return the shipped sets with two measured genes or more; others score a set's mean only."""
    sets = {one.name: cells.var_names.intersection(one.genes) for one in gene_sets(**own_tables())}
    return {name: list(genes) for name, genes in sets.items() if len(genes) > 1}


def normalised(path: Path) -> ad.AnnData:
    """Read the cells and bring them to log counts per 10,000."""
    import scanpy as sc

    cells = ad.read_h5ad(path)
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    return cells


def run_from_file(path: Path) -> dict[str, float]:
    """Score as rule `score` does, from the file."""
    return _run_own(path, backed="r")


def run_in_memory(path: Path) -> dict[str, float]:
    """Score cells that were read before, as the other tools do."""
    return _run_own(path, backed=None)


def _run_own(path: Path, *, backed: str | None) -> dict[str, float]:
    start = time.process_time()
    cells = ad.read_h5ad(path, backed=backed)
    prepared = time.process_time()
    listed = load_ambient(ROOT / "resources" / "ambient.tsv", SPECIES)
    ambient = ambient_genes(cells, cells.obs["qc_lineage"], listed)
    _, null = score_cells(cells, ambient=ambient, n_random=N_RANDOM, **own_tables(), **SETTINGS)
    done = {"prepare_s": prepared - start, "score_s": time.process_time() - prepared}
    scored = null["status"] == "scored"
    return done | {"sets": null.loc[scored, "set"].nunique(), "random_sets": N_RANDOM}


def run_score_genes(path: Path) -> dict[str, float]:
    """Score set by set; each takes 50 control genes from its expression bins, and has no null."""
    import scanpy as sc

    start = time.process_time()
    cells = normalised(path)
    sets = measured_sets(cells)
    prepared = time.process_time()
    for name, genes in sets.items():
        sc.tl.score_genes(cells, genes, score_name=name)
    return _done(start, prepared, sets)


def run_pyucell(path: Path) -> dict[str, float]:
    """Score by ranks, without a null."""
    import pyucell

    start = time.process_time()
    cells = ad.read_h5ad(path)
    sets = measured_sets(cells)
    prepared = time.process_time()
    pyucell.compute_ucell_scores(cells, signatures=sets, max_rank=SETTINGS["max_rank"], n_jobs=1)
    return _done(start, prepared, sets)


def run_aucell(path: Path) -> dict[str, float]:
    """Score by the recovery curve of ranks, without a null."""
    import decoupler

    start = time.process_time()
    cells = normalised(path)
    sets = measured_sets(cells)
    net = pd.DataFrame(
        [(name, gene) for name, genes in sets.items() for gene in genes],
        columns=["source", "target"],
    )
    # compile first: what is timed is scoring
    decoupler.mt.aucell(cells[:50].copy(), net, tmin=2)
    prepared = time.process_time()
    decoupler.mt.aucell(cells, net, tmin=2)
    return _done(start, prepared, sets)


def _done(start: float, prepared: float, sets: dict) -> dict[str, float]:
    spent = {"prepare_s": prepared - start, "score_s": time.process_time() - prepared}
    return spent | {"sets": len(sets), "random_sets": 0}


METHODS = {
    "emhniche, from the file": (run_from_file, "emhniche"),
    "emhniche, in memory": (run_in_memory, "emhniche"),
    "scanpy score_genes": (run_score_genes, "scanpy"),
    "pyucell": (run_pyucell, "pyucell"),
    "decoupler aucell": (run_aucell, "decoupler"),
}


def run_one(method: str, path: Path) -> None:
    """Run one method in this process and print what it took."""
    run, package = METHODS[method]
    found = run(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    name = {} if package == "emhniche" else {"version": version(package)}
    print(json.dumps({"method": method, **name, **found, "peak_gb": peak}))


def run_all(path: Path, table: Path, methods: list[str], decoupler: str | None) -> None:
    """Run each method in a process of its own, on one core, and write the table."""
    one_core = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    rows = []
    for method in methods:
        python = decoupler if method.startswith("decoupler") else sys.executable
        if python is None:
            continue
        command = [python, __file__, "one", method, str(path)]
        done = subprocess.run(
            command, env=os.environ | one_core, stdout=subprocess.PIPE, text=True, check=True
        )
        rows.append({"cells": N_CELLS} | json.loads(done.stdout.strip().splitlines()[-1]))
        print(rows[-1], flush=True)
        write_table(pd.DataFrame(rows).round(2), table)


def main(arguments: list[str]) -> None:
    """Draw the cells, or score them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    cells = commands.add_parser("cells", help="draw the cells from a finished run")
    cells.add_argument("run", type=Path, help="folder of the run")
    cells.add_argument("path", type=Path, help="where to write (.h5ad)")
    one = commands.add_parser("one", help="one method, in this process")
    one.add_argument("method", choices=METHODS)
    one.add_argument("path", type=Path, help="the cells")
    every = commands.add_parser("all", help="all methods, each in a process of its own")
    every.add_argument("path", type=Path, help="the cells")
    every.add_argument("table", type=Path, help="where to write (.tsv)")
    every.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    every.add_argument("--decoupler", help="Python that has decoupler; without it, left out")
    given = parser.parse_args(arguments)
    if given.command == "cells":
        draw_cells(given.run, given.path)
    elif given.command == "one":
        run_one(given.method, given.path)
    else:
        run_all(given.path, given.table, given.methods, given.decoupler)


if __name__ == "__main__":
    main(sys.argv[1:])
