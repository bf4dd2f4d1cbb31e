"""Cells and tables whose known answers are known, and one made-up check asked of them."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import read_table, write_table
from emhniche.known_answers import GeneTables, check_known_answers

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = ROOT / "resources" / "known_answers.tsv"
GENES = GeneTables(str(ROOT / "resources" / "signatures.tsv"), "mouse")
HUMAN = GeneTables(GENES.signatures, "human")
MARKERS = ["Cxcl12", "Kitl", "Spic", "Vcam1", "Cxcr2", "Mki67", "Cxcr4", "Il1b", "Wfdc17"]
NEUTROPHIL = ["Camp", "Ngp", "Ltf", "Retnlg", "Sell", "Csf3r", "Clec4e", "Junb", "Ctsd", "Arg2"]
RIPENESS = ["Chil3", "Cebpe", "Prr13", "S100a6"]
HUMAN_GENES = ["CD8A", "CD34", "CD3D", "MKI67", "TOP2A", "PCNA", "MCM5", "TYMS", "CDK1"]
SILENT = ["Csf3", "Lif"]
GENE_NAMES = [*MARKERS, *NEUTROPHIL, *RIPENESS, *HUMAN_GENES, *SILENT, "Filler"]
LEPR = "genes=Cxcl12; by=cell_type; top=LepR; share=0.83; libraries=2"
"""Settings of a check that LepR+ cells hold most Cxcl12."""

NOTHING = {
    "production": pd.DataFrame(columns=["dataset", "gene", "tissue", "status", "logcpm", "reason"]),
    "contrasts": pd.DataFrame(
        columns=["contrast", "gene", "cell_type", "level", "status", "effect", "p", "q", "reason"]
    ),
    "gates": pd.DataFrame(
        columns=["dataset", "signature", "lineage", "tissue", "p", "q", "effect", "reason"]
    ),
    "calls": pd.DataFrame(columns=["cell_id", "signature", "lineage", "score", "residual"]),
}


def group(name, means, n=60, lineage="stroma", **sheet):
    """Return cells of one group: what their genes are drawn around, and their sheet's columns."""
    row = {
        **{"dataset": "d", "study": "S", "sample": "s1", "tissue": "bone marrow", "donor": "m1"},
        **{"donor_known": True, "arm": "", "label": name, "cell_type": name, "lineage": lineage},
    }
    return {"n": n, "means": means, "row": {**row, **sheet}}


def cells_of(*groups, seed=0):
    """Draw counts of groups; a filler gene makes every cell 1,000 counts deep."""
    rng = np.random.default_rng(seed)
    blocks, rows = [], []
    for one in groups:
        mean = np.array([one["means"].get(gene, 0.02) for gene in GENE_NAMES])
        counts = rng.poisson(mean, (one["n"], len(mean)))
        counts[:, -1] = 1000 - counts[:, :-1].sum(axis=1)
        blocks.append(counts)
        rows += [one["row"]] * one["n"]
    table = pd.DataFrame(rows)
    table.index = [f"cell{i}" for i in range(len(table))]
    matrix = sparse.csr_matrix(np.vstack(blocks).astype(np.float32))
    cells = ad.AnnData(
        matrix, table.drop(columns=["lineage", "cell_type"]), pd.DataFrame(index=GENE_NAMES)
    )
    cells.obs["n_counts"] = matrix.sum(axis=1).A1
    names = sorted(table["dataset"].unique())
    cells.varm["measured"] = pd.DataFrame(True, index=GENE_NAMES, columns=names)
    annotation = table[["lineage", "cell_type"]].rename_axis("cell_id").reset_index()
    return cells, annotation


def ask(tmp_path, kind, settings, *groups, runs_on="d", tables=None, genes=GENES, **changes):
    """Answer one made-up check."""
    row = dict.fromkeys(read_table(ANSWERS).columns, "text")
    row |= {"check": "K.1", "kind": kind, "runs_on": runs_on, "scope": "published"}
    write_table(pd.DataFrame([{**row, "settings": settings}]), tmp_path / "answers.tsv")
    cells, annotation = cells_of(*groups)
    measured = cells.varm["measured"].copy()
    measured.loc[changes.get("unmeasured", [])] = False
    cells.varm["measured"] = measured
    answers = check_known_answers(
        cells,
        annotation,
        NOTHING | (tables or {}),
        answers=tmp_path / "answers.tsv",
        genes=genes,
        simulated=changes.get("simulated", False),
    )
    return answers.iloc[0]
