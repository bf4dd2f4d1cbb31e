"""A small made-up simulated run in which everything was recovered, for the tests of the judge.

One donor an arm is enough here: the judge reads tables and never looks behind them.
"""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import write_h5ad, write_table
from emhniche.schema import complete, read_schema
from emhniche.study import Study
from emhniche.truths import Truth

SCHEMAS = Path(__file__).parents[1] / "workflow" / "schemas"
SPLEEN, MARROW, NICHE = "tumour_vs_naive_spleen", "tumour_vs_naive_marrow", "niches"
STRICT = "PMN_MDSC_splenic_strict"
TYPES = {"EC_spleen": "endothelium", "matNeu": "neutrophil", "T": "T"}
PER_TYPE = 60


def fake_study(**changes: object) -> Study:
    settings = complete(changes, read_schema(SCHEMAS / "study.schema.yaml"))
    return Study("study.yaml", settings)


def truth(expected: dict, *, plant: tuple = (), name: str = "state") -> Truth:
    return Truth(name, "A claim.", "A source.", plant, ({"when": {}, **expected},))


def fake_cells(conditions: tuple[str, ...] = ("naive", "tumour")) -> pd.DataFrame:
    """Return the truth: 60 cells of three types, 10 doublets and 10 dying cells in each library."""
    rows = []
    for condition in conditions:
        for tissue in ("spleen", "bone marrow"):
            sample = f"{condition}1_{tissue.split()[-1]}"
            kinds = [(name, "cell") for name in TYPES for _ in range(PER_TYPE)]
            kinds += [("T", "doublet")] * 10 + [("T", "dying")] * 10
            for number, (name, state) in enumerate(kinds):
                rows.append(
                    {
                        "cell_id": f"{sample}:{number}",
                        "sample": sample,
                        "donor": f"{condition}1",
                        "condition": condition,
                        "tissue": tissue,
                        "cell_type": name,
                        "lineage": TYPES[name],
                        "state": state,
                        "doublet_of": "T+EC_spleen" if state == "doublet" else "",
                        "maturation": (number % PER_TYPE) / PER_TYPE
                        if name == "matNeu"
                        else np.nan,
                        "planted": "",
                        "counts": 1000,
                    }
                )
    cells = pd.DataFrame(rows)
    cells["ambient"] = 0.02 * (1 + pd.factorize(cells["sample"])[0])
    here = (cells["condition"] == "tumour") & (cells["tissue"] == "spleen")
    neutrophils = cells.index[here & (cells["cell_type"] == "matNeu")]
    cells.loc[neutrophils[:20], "planted"] = "state"
    return cells


def expression_row(contrast: str, gene: str, cell_type: str, **changes: object) -> dict:
    row = {"contrast": contrast, "gene": gene, "cell_type": cell_type, "level": "lineage"}
    row |= {"tier": "core", "axis": "KIT", "role": "ligand", "units_test": 4, "units_reference": 4}
    row |= {"cells_test": 120, "cells_reference": 60, "counts_test": 90, "counts_reference": 20}
    row |= {"effect": 1.4, "ci_low": 0.8, "ci_high": 2.0, "p": 0.001, "q": 0.01}
    return row | {"status": "tested", "ambient": False, "reason": ""} | changes


NULL = {"effect": 0.1, "ci_low": -0.4, "ci_high": 0.6, "p": 0.7, "q": 0.9}
EMPTY = dict.fromkeys(("effect", "ci_low", "ci_high", "p", "q"))


def expression() -> pd.DataFrame:
    silent = {**EMPTY, "counts_test": 0, "counts_reference": 0, "status": "not_testable"}
    refused = {**EMPTY, "effect": 2.0, "status": "not_identifiable", "reason": "chemistry"}
    rows = [
        expression_row(SPLEEN, "Kitl", "endothelium"),
        expression_row(SPLEEN, "Kitl", "T", **NULL),
        expression_row(SPLEEN, "Vcam1", "endothelium", **NULL),
        expression_row(SPLEEN, "Vcam1", "T", **NULL | {"q": 0.4}),
        expression_row(SPLEEN, "Csf3", "T", **silent),
        expression_row(MARROW, "Kitl", "endothelium", **NULL),
        expression_row(MARROW, "Csf3", "T", **silent),
        expression_row(NICHE, "Kitl", "endothelium", **refused),
        expression_row(NICHE, "Csf3", "T", **silent),
    ]
    return pd.DataFrame(rows)


def rates() -> pd.DataFrame:
    """Return what the cell types make of each gene: T cells no Kitl, nobody Csf3."""
    own = {"Kitl": (0.01, 0.001, 0.0), "Vcam1": (0.01, 0.0, 0.002), "Csf3": (0.0, 0.0, 0.0)}
    return pd.DataFrame(own, index=[*TYPES]).T.rename_axis("gene").reset_index()


def composition() -> pd.DataFrame:
    row = {"level": "lineage", "units_test": 4, "units_reference": 4, "fraction_test": 0.1}
    row |= {"fraction_reference": 0.05, "status": "tested", "reason": ""}
    up = {"effect": 1.1, "ci_low": 0.6, "ci_high": 1.6, "p": 0.002, "q": 0.01}
    refused = {**EMPTY, "status": "not_identifiable"}
    rows = [
        {**row, "contrast": SPLEEN, "lineage": "endothelium", "cell_type": "endothelium", **up},
        {**row, "contrast": SPLEEN, "lineage": "T", "cell_type": "T", **NULL},
        {**row, "contrast": NICHE, "lineage": "T", "cell_type": "T", **row, **refused},
    ]
    return pd.DataFrame(rows)


def design() -> pd.DataFrame:
    why = "niche cannot be told from chemistry: every marrow library is v3"
    rows = [
        (SPLEEN, "tested", "", "tested", ""),
        (MARROW, "tested", "", "tested", ""),
        (NICHE, "not_identifiable", why, "not_identifiable", why),
    ]
    columns = ["contrast", "verdict", "reason", "composition_verdict", "composition_reason"]
    return pd.DataFrame(rows, columns=columns)


def counts(cells: pd.DataFrame) -> pd.DataFrame:
    """Return Cxcr2 counts of the kept cells: 1, 2 and 8 in the thirds by maturation."""
    kept = cells[cells["state"] == "cell"]
    level = np.select([kept["maturation"] < 1 / 3, kept["maturation"] < 2 / 3], [1, 2], 8)
    return pd.DataFrame({"Cxcr2": level, "n_counts": 1000.0}, index=kept["cell_id"].to_numpy())


def gates() -> pd.DataFrame:
    row = {"lineage": "neutrophil", "dataset": "demo", "signature": STRICT, "status": "tested"}
    row |= {"effect": 0.3, "p": 0.0001, "q": 0.002, "threshold": 1.5, "label": "MDSC-like"}
    opened = {**row, "tissue": "spleen", "code": "called", "reason": "16 cells are called."}
    closed = {"tissue": "bone marrow", "code": "no_donor_level_excess", "reason": "No excess."}
    return pd.DataFrame([opened, {**row, **closed}])


def calls(cells: pd.DataFrame) -> pd.DataFrame:
    """Return calls of the neutrophils: 18 of 20 planted cells and 1 other one."""
    table = cells[cells["cell_type"] == "matNeu"].reset_index(drop=True)
    case = table["condition"] == "tumour"
    status = np.where(case, "tested", "reference")
    planted = table.index[table["planted"] != ""]
    other = table.index[case & (table["tissue"] == "spleen") & (table["planted"] == "")]
    pathological = pd.array(np.where(case, False, None), dtype="boolean")
    pathological[[*planted[:18], other[0]]] = True
    residual = np.where(table["planted"] != "", 3.0, np.linspace(-1, 1, len(table)))
    return pd.DataFrame(
        {
            "cell_id": table["cell_id"],
            "lineage": "neutrophil",
            "signature": STRICT,
            "maturation": table["maturation"],
            "score": residual,
            "residual": residual,
            "p": 0.5,
            "q": np.nan,
            "pathological": pathological,
            "status": status,
        }
    )


def annotation(cells: pd.DataFrame) -> pd.DataFrame:
    kept = cells[cells["state"] == "cell"]
    table = kept[["cell_id", "lineage", "cell_type"]].reset_index(drop=True)
    return table.assign(confidence=0.9)


def barcodes(cells: pd.DataFrame) -> pd.DataFrame:
    """Return qc: doublets score highest, and they and dying cells go."""
    return pd.DataFrame(
        {
            "sample": cells["sample"],
            "barcode": cells["cell_id"].str.split(":").str[1],
            "doublet_score": np.where(cells["state"] == "doublet", 0.9, 0.1),
            "ambient": cells["ambient"] + 0.005,
            "keep": cells["state"] == "cell",
        }
    )


def fake_results(root: Path, conditions: tuple[str, ...] = ("naive", "tumour"), **changes) -> Path:
    """Write a run; `changes` names a table and gives a function that alters it."""
    cells = fake_cells(conditions)
    tables = {
        "simulate/cells.parquet": cells,
        "simulate/rates.tsv": rates(),
        "niche/contrasts.tsv": expression(),
        "niche/composition.tsv": composition(),
        "niche/design.tsv": design(),
        "myeloid/gates.tsv": gates(),
        "myeloid/calls.parquet": calls(cells),
        "annotate/annotation.parquet": annotation(cells),
        "barcodes": barcodes(cells),
        "counts": counts(cells),
    }
    for path in list(tables):
        name = Path(path).stem
        if name in changes:
            tables[path] = changes[name](tables[path].copy())
    for sample, table in tables.pop("barcodes").groupby("sample"):
        write_table(table.drop(columns="sample"), root / "samples" / sample / "qc.parquet")
    held = tables.pop("counts")
    genes = held.drop(columns="n_counts")
    matrix = sparse.csr_matrix(genes.to_numpy(dtype="float32"))
    var = pd.DataFrame(index=genes.columns)
    write_h5ad(ad.AnnData(matrix, obs=held[["n_counts"]], var=var), root / "cells.h5ad")
    for path, table in tables.items():
        write_table(table, root / path)
    return root
