"""How often does the myeloid stage call cells where there is nothing, and find those there are?

Run from the command line; it writes the tables that `docs/myeloid.md` quotes:

    uv run python tests/benchmark_myeloid.py cohorts docs/myeloid_benchmark.tsv
    uv run python tests/benchmark_myeloid.py spleen results/public docs/myeloid_spleen.tsv

The second one looks at real spleen of a finished run: one mouse given LPS, one not.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from emhniche.gate import decoy_q
from emhniche.io import read_h5ad, read_table, write_table
from emhniche.lineage_cells import positive_genes
from emhniche.myeloid import call_pathological
from emhniche.resources import load_signatures
from emhniche.signature_genes import INFLAMED, inflammation_change
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

CURVES = {
    "donors an arm": [{"reference": n, "case": n} for n in (3, 4, 6, 10)],
    "cells a donor": [{"cells": n} for n in (15, 30, 60, 120, 240)],
    "fraction planted": [{"fraction": f} for f in (0.02, 0.05, 0.1, 0.2, 0.5)],
    "fold": [{"fold": f} for f in (1.5, 2.0, 3.0)],
    "depth": [{"depth": d} for d in (500, 1000, 1500, 3000)],
    "case less mature": [{"maturation_shift": s} for s in (0.0, 0.15)],
    "with 4 control donors": [{"control": 4}],
}


def trial(cohort: Cohort) -> dict[str, float]:
    """Run one cohort and compare calls with the truth."""
    adata = simulate(cohort)
    answer = call_pathological(
        adata,
        lineage="neutrophil",
        donor="donor",
        arm="arm",
        signature=SIGNATURE,
        signatures=covariate_table(),
        min_cells=min(30, cohort.cells),
        seed=cohort.seed,
    )
    cells = answer.cells.set_index("cell_id").join(adata.obs[["donor", "arm", "planted"]])
    case = cells[cells["arm"] == "case"]
    naive = cells[cells["arm"] == "reference"]
    called = case["pathological"].fillna(False).to_numpy(bool)
    tested = (case["status"] == "tested").to_numpy()
    ungated = np.zeros(len(case), bool)
    if tested.any():
        decoys = [
            group.to_numpy() for _, group in naive.groupby("donor", observed=True)["residual"]
        ]
        ungated[tested] = decoy_q(case.loc[tested, "residual"].to_numpy(), decoys) <= 0.10
    raw = (case["score"] > naive["score"].quantile(0.95)).to_numpy()
    planted = case["planted"].to_numpy()
    found = {"gate": float(answer.gate["p"] <= 0.05), "any_call": float(called.any())}
    found["ungated_any_call"] = float(ungated.any())
    for name, mask in (("", called), ("raw_", raw)):
        found[f"{name}fdp"] = (mask & ~planted).sum() / max(mask.sum(), 1)
        found[f"{name}sensitivity"] = (
            (mask & planted).sum() / planted.sum() if planted.any() else np.nan
        )
    return found


def repeat(scenario: str, settings: dict, seeds: int) -> dict[str, object]:
    """Run a scenario with many seeds; means with their standard errors."""
    chosen = range(FIRST_SEED, FIRST_SEED + seeds)
    trials = pd.DataFrame([trial(Cohort(seed=seed, **settings)) for seed in chosen])
    row: dict[str, object] = {"scenario": scenario, "cohorts": seeds}
    for name in trials:
        row[name] = trials[name].mean()
        row[f"{name}_se"] = trials[name].std(ddof=1) / np.sqrt(seeds)
    print(scenario, {k: round(v, 3) for k, v in row.items() if isinstance(v, float)}, flush=True)
    return row


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
    cohorts.add_argument("--planted", type=int, default=100, help="cohorts of the planted scenario")
    cohorts.add_argument("--curves", type=int, default=40, help="cohorts of each point of a curve")
    spleen = commands.add_parser("spleen", help="real spleen, LPS against control")
    spleen.add_argument("run", type=Path, help="folder of a finished run of the public data")
    spleen.add_argument("table", type=Path, help="where to write (.tsv)")
    given = parser.parse_args(arguments)
    if given.command == "spleen":
        signatures = load_signatures(ROOT / "resources" / "signatures.tsv", "mouse")
        write_table(lps_shares(given.run, signatures), given.table)
        return
    rows = [repeat(name, settings, given.nulls) for name, settings in NULLS.items()]
    rows.append(repeat("planted: 6 against 6, 20 %, 3-fold", PLANTED, given.planted))
    for name, points in CURVES.items():
        for point in points:
            value = ", ".join(str(v) for v in dict.fromkeys(point.values()))
            rows.append(repeat(f"planted, {name}: {value}", PLANTED | point, given.curves))
    write_table(pd.DataFrame(rows), given.table)


if __name__ == "__main__":
    main(sys.argv[1:])
