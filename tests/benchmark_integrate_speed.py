"""How long does scVI train on 10,000, 50,000 and 100,000 cells, and in how much memory?

Run from the command line; it writes what `docs/integrate.md` quotes:

    uv run python tests/benchmark_integrate_speed.py cells.h5ad docs/integrate_speed.tsv

Cells are drawn with replacement from those of a finished run, so that counts are real. Each size is
a process of its own with one thread, which reads its file as the pipeline does, trains so many
passes and once more one pass: the difference is what passes cost.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from emhniche import io  # noqa: E402

SIZES = (10_000, 50_000, 100_000)
NETWORK = {"n_hidden": 128, "n_layers": 2, "kl_ramp": 2.0, "peak_rate": 0.008, "batch_size": 128}
CPU = {
    "accelerator": "cpu",
    "devices": 1,
    "precision": "full",
    "max_batch_size": 128,
    "cpu_after_failure": False,
}


def measure(path: Path, passes: int) -> dict:
    """Train on a file for so many passes and for one; return processor time and memory."""
    from emhniche.integrate import integrate

    given = {"method": "scvi", "n_latent": 30, "batch_key": "batch", "seed": 0, "threads": 1}
    settings = NETWORK | CPU | {"min_cell_visits": 1}
    # what is loaded with the first training counts for none of the sizes
    integrate(_made_up(), epochs=1, **given, **settings)
    started, peak, seconds = _peak(), 0.0, []
    for number in (passes, 1):
        genes = io.read_genes(path, "highly_variable")
        begin = time.process_time()
        integrate(genes, epochs=number, **given, **settings)
        seconds.append(time.process_time() - begin)
        # of one training, as in a job: the second would find the first one's counts still held
        peak = peak or _peak()
    each = (seconds[0] - seconds[1]) / (passes - 1)
    matrix = (genes.X.data.nbytes + genes.X.indices.nbytes + genes.X.indptr.nbytes) / 1e6
    return {
        "cells": genes.n_obs,
        "passes": passes,
        "cpu_seconds_a_pass": round(each, 2),
        "cells_a_second": round(genes.n_obs / each),
        "matrix_mb": round(matrix, 1),
        "started_mb": round(started),
        "peak_mb": round(peak),
        "times_matrix": round((peak - started) / matrix, 1),
    }


def _made_up() -> ad.AnnData:
    counts = np.random.default_rng(0).poisson(0.3, (500, 2000)).astype(np.float32)
    cells = ad.AnnData(sparse.csr_matrix(counts))
    cells.obs["batch"] = np.resize(["a", "b"], 500)
    cells.var["highly_variable"] = True
    return cells


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def draw(run: Path, n_cells: int, path: Path) -> None:
    """Write cells drawn with replacement, the highly variable genes only."""
    genes = io.read_genes(run, "highly_variable")
    rows = np.random.default_rng(0).choice(genes.n_obs, n_cells)
    obs = genes.obs.iloc[rows][["batch"]].set_axis([f"cell:{i}" for i in range(n_cells)])
    io.write_h5ad(ad.AnnData(genes.X[rows], obs, genes.var[["highly_variable"]]), path)


def main() -> None:
    """Measure every size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path, help="cells.h5ad of a finished run")
    parser.add_argument("table", type=Path, help="where to write (.tsv)")
    parser.add_argument("--passes", type=int, default=3, help="passes to train")
    parser.add_argument("--one", action="store_true", help="measure this very file, write JSON")
    given = parser.parse_args()
    if given.one:
        given.table.write_text(json.dumps(measure(given.cells, given.passes)), encoding="utf-8")
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path, found = Path(folder) / "cells.h5ad", Path(folder) / "found.json"
        for size in SIZES:
            draw(given.cells, size, path)
            command = [sys.executable, __file__, str(path), str(found), "--one"]
            subprocess.run([*command, "--passes", str(given.passes)], check=True)
            rows.append(json.loads(found.read_text(encoding="utf-8")))
            io.write_table(pd.DataFrame(rows), given.table)
            print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
