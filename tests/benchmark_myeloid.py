"""How often does the myeloid stage call cells where there is nothing, and find those there are?

Run from the command line; it writes what `docs/myeloid.md` quotes:

    uv run python tests/benchmark_myeloid.py cohorts docs/myeloid_benchmark.tsv --cores 2
    uv run python tests/benchmark_myeloid.py figure docs/myeloid_benchmark.tsv \\
        docs/images/myeloid_power.png
    uv run python tests/benchmark_myeloid.py spleen results/public docs/myeloid_spleen.tsv

The last one looks at real spleen of a finished run: one mouse given LPS, one not.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from emhniche.gate import CELL_Q
from emhniche.io import read_h5ad, read_table, write_table
from emhniche.lineage_cells import positive_genes
from emhniche.myeloid import PathologicalCalls, call_pathological
from emhniche.resources import load_signatures
from emhniche.signature_genes import INFLAMED, inflammation_change
from myeloid_benchmark_figure import draw
from myeloid_cohort import SIGNATURE, Cohort, covariate_table, simulate

ROOT = Path(__file__).resolve().parents[1]

FIRST_SEED = 10_000
"""The method was shaped on lower seeds, so its figures come from these."""

PLANTED = {"reference": 6, "case": 6, "fraction": 0.2}

NULLS = {
    "null": {},
    "null, donor sd 0.5": {"donor_sd": 0.5},
    "case 0.15 less mature": {"maturation_shift": 0.15},
    "case 0.15 more mature": {"maturation_shift": -0.15},
    "case 0.3 less mature": {"maturation_shift": 0.3},
    "case 0.3 more mature": {"maturation_shift": -0.3},
    "case sequenced 2-fold deeper": {"case_depth": 2.0},
    "case sequenced 2-fold shallower": {"case_depth": 0.5},
    "rare signature": {"level": 0.02},
    "rare signature, case 2-fold deeper": {"level": 0.02, "case_depth": 2.0},
    "case stressed 2.7-fold": {"case_stress": 1.0},
    "case stressed 7.4-fold": {"case_stress": 2.0},
    "planted, arms shuffled over donors": PLANTED | {"shuffled": True},
    "4 genes inflamed, no control": {"inflamed_fold": 3.0},
    "4 genes inflamed, 4 control donors": {"inflamed_fold": 3.0, "control": 4},
    "all genes inflamed 1.5-fold, no control": {"inflamed_fold": 1.5, "inflamed_genes": SIGNATURE},
    "all genes inflamed 1.5-fold, 4 control donors": {
        "inflamed_fold": 1.5,
        "inflamed_genes": SIGNATURE,
        "control": 4,
    },
}

PLANTS = {
    "planted": {},
    "planted, case 0.15 less mature": {"maturation_shift": 0.15},
    "planted, 4 control donors": {"control": 4},
}

CURVES = {
    "donors": (3, 4, 6, 10),
    "cells": (15, 30, 60, 120, 240),
    "fraction": (0.02, 0.05, 0.1, 0.2, 0.5),
    "fold": (1.5, 2.0, 3.0),
    "depth": (500, 1000, 1500, 3000),
    "donor_sd": (0.0, 0.25, 0.5),
}
"""Settings of the planted cohorts that are varied one by one."""

Q = 0.10

OPEN = ("called", "no_threshold")
"""What a gate says when cells may be called."""


def trial(cohort: Cohort) -> dict[tuple[str, str], float]:
    """Run one cohort and compare the calls of each method with the truth.

    Methods are the two modes, the two without the gate (on residuals alone), and a cut of the raw
    score at the reference cells' 95th percentile.
    """
    adata = simulate(cohort)
    answer = _call(adata, cohort, "fdr")
    table = answer.cells.set_index("cell_id").join(adata.obs[["donor", "arm", "planted"]])
    case, naive = table[table["arm"] == "case"], table[table["arm"] == "reference"]
    masks = {"fdr": case["pathological"].fillna(False).to_numpy(bool)}
    masks["power"] = masks["fdr"]
    if answer.gate["code"] in OPEN:  # the gate is the same in both modes
        cells = _call(adata, cohort, "power").cells.set_index("cell_id")
        masks["power"] = cells["pathological"].reindex(case.index).fillna(False).to_numpy(bool)
    tested = (case["status"] == "tested").to_numpy()
    decoys = [part.to_numpy() for _, part in naive.groupby("donor", observed=True)["residual"]]
    for mode, estimate in CELL_Q.items():
        masks[f"{mode}_ungated"] = np.zeros(len(case), bool)
        if tested.any():
            q = estimate(case.loc[tested, "residual"].to_numpy(), decoys)
            masks[f"{mode}_ungated"][tested] = q <= Q
    masks["raw_95"] = (case["score"] > naive["score"].quantile(0.95)).to_numpy()
    planted = case["planted"].to_numpy()
    found = {("all", "gate"): float(answer.gate["p"] <= 0.05)}
    for method, mask in masks.items():
        found[method, "any_call"] = float(mask.any())
        found[method, "fdp"] = (mask & ~planted).sum() / max(mask.sum(), 1)
        found[method, "sensitivity"] = mask[planted].mean() if planted.any() else np.nan
    return found


def _call(adata: ad.AnnData, cohort: Cohort, mode: str) -> PathologicalCalls:
    return call_pathological(
        adata,
        lineage="neutrophil",
        donor="donor",
        arm="arm",
        signature=SIGNATURE,
        signatures=covariate_table(),
        q=Q,
        mode=mode,
        min_cells=min(30, cohort.cells),
        seed=cohort.seed,
    )


def scenarios(nulls: int, planted: int, curves: int) -> Iterator[tuple[dict, dict, int]]:
    """Yield what a scenario is called, its settings and its number of cohorts."""
    for name, settings in NULLS.items():
        yield {"scenario": name, "varied": "", "value": np.nan}, settings, nulls
    for name, settings in PLANTS.items():
        yield {"scenario": name, "varied": "", "value": np.nan}, PLANTED | settings, planted
    for varied, values in CURVES.items():
        for value in values:
            changed = {"reference": value, "case": value} if varied == "donors" else {varied: value}
            name = f"planted, {varied} {value:g}"
            yield (
                {"scenario": name, "varied": varied, "value": value},
                PLANTED | changed,
                curves,
            )


def summarise(named: dict, trials: list[dict]) -> list[dict]:
    """Return a row a method: means over cohorts with their standard errors."""
    table = pd.DataFrame(trials)
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    mean, error = table.mean(), table.std(ddof=1) / np.sqrt(len(table))
    rows = []
    for method in dict.fromkeys(table.columns.get_level_values(0).drop("all")):
        row = named | {"method": method, "cohorts": len(table)}
        keys = [("all", "gate")] + [key for key in table.columns if key[0] == method]
        for key in keys:
            row |= {key[1]: round(mean[key], 4), f"{key[1]}_se": round(error[key], 4)}
        rows.append(row)
    return rows


def run_cohorts(path: Path, *, nulls: int, planted: int, curves: int, cores: int) -> None:
    """Run all scenarios; the table is written after each, so that a stopped run leaves its rows."""
    os.environ["OMP_NUM_THREADS"] = "1"
    done: dict[str, dict] = {}
    rows: list[dict] = []
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        for named, settings, count in scenarios(nulls, planted, curves):
            seeds = range(FIRST_SEED, FIRST_SEED + count)
            cohorts = {repr(c): c for c in (Cohort(seed=seed, **settings) for seed in seeds)}
            new = {key: cohort for key, cohort in cohorts.items() if key not in done}
            done |= zip(new, pool.map(trial, new.values(), chunksize=5), strict=True)
            rows += summarise(named, [done[key] for key in cohorts])
            write_table(pd.DataFrame(rows), path)
            print(named["scenario"], flush=True)


def lps_shares(run: Path, signatures: pd.DataFrame) -> pd.DataFrame:
    """Return the share of LPS cells above the naive range, with and without inflamed genes.

    The genes that rise under LPS are learned in dendritic cells, and taken out in monocytes and
    macrophages. LPS stands in for the case arm here, so that the run's own rule does not take out
    genes first; with one mouse an arm no cell is called.
    """
    cells = read_h5ad(run / "cells.h5ad")
    cells = cells[cells.obs["dataset"] == "jaitin_spleen", cells.varm["measured"]["jaitin_spleen"]]
    annotation = read_table(run / "annotate" / "annotation.parquet").set_index("cell_id")
    cells = cells.copy()
    cells.obs["lineage"] = annotation["lineage"].reindex(cells.obs_names)
    cells.obs["arm"] = cells.obs["arm"].astype(str).replace({"inflammation_control": "case"})
    mice = cells.obs.loc[cells.obs["arm"] == "case", "donor"].astype(str).unique()
    taught = cells[
        (cells.obs["lineage"] == "DC") & ~cells.obs["donor"].astype(str).str.startswith("unknown:")
    ]
    rows = []
    for name in ("TAN_T_enriched", "PMN_MDSC_activated", "M_MDSC", "PMN_MDSC_splenic"):
        genes = [gene for gene in positive_genes(signatures, name) if gene in cells.var_names]
        change = inflammation_change(
            taught[:, genes].X.toarray(),
            np.asarray(taught.X.sum(axis=1), dtype=float).ravel(),
            taught.obs["donor"].to_numpy(dtype=str),
            taught.obs["donor"].isin(mice).to_numpy(),
        )
        rising = [gene for gene, value in zip(genes, change, strict=True) if value > INFLAMED]
        for taken_out, inflamed in (("nothing", []), ("genes that rise in DC", rising)):
            answer = call_pathological(
                cells,
                lineage="monocyte_macrophage",
                donor="donor",
                arm="arm",
                signature=name,
                signatures=signatures,
                inflamed=inflamed,
            )
            donors = answer.donors[answer.donors["role"] != ""].set_index("arm")
            rows.append(
                {
                    "signature": name,
                    "taken_out": taken_out,
                    "genes": answer.gate["genes"],
                    "naive_cells": donors.at["reference", "supported"],
                    "lps_cells": donors.at["case", "supported"],
                    "naive_share": donors.at["reference", "exceedance"],
                    "lps_share": donors.at["case", "exceedance"],
                    "code": answer.gate["code"],
                }
            )
    return pd.DataFrame(rows)


def main(arguments: list[str]) -> None:
    """Run all scenarios, or look at a finished run, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    cohorts = commands.add_parser("cohorts", help="simulated cohorts")
    cohorts.add_argument("table", type=Path, help="where to write (.tsv)")
    cohorts.add_argument("--nulls", type=int, default=200, help="cohorts of each null scenario")
    cohorts.add_argument("--planted", type=int, default=100, help="cohorts of each planted one")
    cohorts.add_argument("--curves", type=int, default=40, help="cohorts of each point of a curve")
    cohorts.add_argument("--cores", type=int, default=1, help="processes, of one thread each")
    figure = commands.add_parser("figure", help="curves of the table")
    figure.add_argument("table", type=Path, help="table of `cohorts`")
    figure.add_argument("image", type=Path, help="where to draw (.png)")
    spleen = commands.add_parser("spleen", help="real spleen, LPS against control")
    spleen.add_argument("run", type=Path, help="folder of a finished run of the public data")
    spleen.add_argument("table", type=Path, help="where to write (.tsv)")
    given = parser.parse_args(arguments)
    if given.command == "spleen":
        signatures = load_signatures(ROOT / "resources" / "signatures.tsv", "mouse")
        write_table(lps_shares(given.run, signatures), given.table)
        return
    if given.command == "figure":
        draw(read_table(given.table), given.image)
        return
    wanted = {name: getattr(given, name) for name in ("nulls", "planted", "curves", "cores")}
    run_cohorts(given.table, **wanted)


if __name__ == "__main__":
    main(sys.argv[1:])
