"""How long does the myeloid stage take, and how much memory, as cells grow?

Run from the command line; it writes what `docs/myeloid.md` quotes:

    uv run python tests/benchmark_myeloid_speed.py docs/myeloid_speed.tsv

Neutrophils of ``myeloid_cohort`` (6 against 6 donors), with 2,500 rarer genes so that a cell holds
some 440 genes; six signatures, 200 random sets each, the cluster route included. Each size runs in
a process of its own on one thread.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import read_h5ad, write_table
from emhniche.myeloid import call_myeloid
from myeloid_cohort import SIGNATURE, Cohort, covariate_table, simulate

SIZES = (12_000, 50_000, 100_000)
DONORS = 12
RARE_GENES = 2500
AT_ONCE = 5000


def cohort(cells: int) -> ad.AnnData:
    """Simulate `cells` neutrophils with what a run says of them."""
    half = DONORS // 2
    one = simulate(Cohort(half, half, cells=-(-cells // DONORS), fraction=0.2, fold=3.0, seed=1))
    rng = np.random.default_rng(5)
    rate = np.exp(rng.normal(-2.5, 1.0, RARE_GENES))
    parts = [one.X]
    rare = []
    for start in range(0, one.n_obs, AT_ONCE):
        depth = rng.lognormal(0, 0.35, min(AT_ONCE, one.n_obs - start))
        drawn = rng.poisson(np.outer(depth, rate)).astype(np.float32)
        rare.append(sparse.csr_matrix(drawn))
    parts.append(sparse.vstack(rare))
    genes = [*one.var_names, *(f"Rare{i}" for i in range(RARE_GENES))]
    origin = {"dataset": "study", "tissue": "spleen", "chemistry": "10x", "enrichment": "none"}
    obs = one.obs.assign(**origin, batch=one.obs["donor"].astype(str))
    adata = ad.AnnData(sparse.hstack(parts).tocsr(), obs=obs, var=pd.DataFrame(index=genes))
    adata.varm["measured"] = pd.DataFrame({"study": True}, index=adata.var_names)
    return adata[:cells].copy()


def signatures() -> pd.DataFrame:
    """Return the covariate sets, the planted signature and five of no meaning."""
    sets = [SIGNATURE, *([f"Bg{i}" for i in range(20 * k, 20 * k + 10 + k)] for k in range(5))]
    rows = [
        {"set": f"set{k}", "species": "mouse", "polarity": "positive", "genes": genes}
        for k, genes in enumerate(sets)
    ]
    return pd.concat([covariate_table(), pd.DataFrame(rows)], ignore_index=True)


def measure(path: Path) -> None:
    """Run the stage on a file and print cells, seconds and memory as a row."""
    started, cpu = time.perf_counter(), time.process_time()
    adata = read_h5ad(path)
    tables = call_myeloid(
        adata,
        adata.obs[["lineage"]].rename_axis("cell_id").reset_index(),
        signatures(),
        names=[f"set{k}" for k in range(6)],
        lineages=["neutrophil"],
        q=0.10,
        mode="fdr",
        n_random=200,
        min_cells=30,
        min_donors=3,
        seed=0,
    )
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    called = int(tables.gates["code"].eq("called").sum())
    claimed = int(tables.clusters["code"].eq("claimed").sum())
    print(adata.n_obs, f"{seconds:.1f}", f"{cpu:.1f}", f"{peak_memory():.0f}", called, claimed)


def peak_memory() -> float:
    """Return the largest memory of this process in MB; ``getrusage`` counts its parent's in."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return float(line.split()[1]) / 1024
    return float("nan")


def main() -> None:
    """Measure every size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="where to write (.tsv)")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.file:
        measure(given.file)
        return
    names = ["cells", "seconds", "cpu_seconds", "peak_mb", "gates_open", "clusters_claimed"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cells in SIZES:
            path = Path(folder) / "cells.h5ad"
            cohort(cells).write_h5ad(path)
            command = [sys.executable, __file__, str(given.table), "--file", str(path)]
            threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            answer = subprocess.run(
                command, env=os.environ | threads, capture_output=True, text=True, check=True
            )
            rows.append(dict(zip(names, map(float, answer.stdout.split()[-6:]), strict=True)))
            print(rows[-1], flush=True)
            write_table(pd.DataFrame(rows).astype({"cells": int, "peak_mb": int}), given.table)


if __name__ == "__main__":
    main()
