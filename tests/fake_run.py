"""A small made-up run with every table of the file contract, for the tests of the report.

Its names are hostile on purpose: markup, quotes, unicode, path separators and great length.
"""

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import as_counts, write_h5ad, write_json, write_table, write_text
from emhniche.schema import complete, read_schema

SCRIPT = "<script>alert('x')</script>"
LONG = "very_long_type_" + "x" * 300
EVIL_SAMPLE = "s2\"'&<b>é"
SAMPLES = ["s1", EVIL_SAMPLE, "s3", "s4"]
CELL_TYPES = {
    "LepR_CAR_MSC": "stroma",
    SCRIPT: "neutrophil",
    "B": "B",
    "../../β": "erythroid",
    LONG: "HSPC",
}
GENES = ["Kitl", "Cxcl12", "Csf3", "Lif", "Tnf", "</script><b>G", "Gène$x$"]
CELLS_PER_SAMPLE = 75
CONTRAST = "extramedullary_vs_marrow"

CONFIG = complete(
    {
        "run": "fake",
        "samples": "config/fake.tsv",
        "seed": 7,
        "niche": {
            "contrasts": [
                {
                    "name": CONTRAST,
                    "factor": "niche",
                    "test": "extramedullary",
                    "reference": "marrow",
                }
            ]
        },
        "report": {"title": f"A run & its {SCRIPT}"},
    },
    read_schema(Path(__file__).parents[1] / "workflow/schemas/config.schema.yaml"),
)


def sample_sheet() -> pd.DataFrame:
    """Return the sheet as ``load_run`` would: two spleen and two marrow libraries."""
    tissue = ["spleen", "spleen", "bone marrow", "bone marrow"]
    return pd.DataFrame(
        {
            "dataset": ["d_spleen", "d_spleen", "d_marrow", "d_marrow"],
            "file": ["a.txt", "a.txt", "b.txt", "b.txt"],
            "species": "mouse",
            "tissue": tissue,
            "niche": ["extramedullary", "extramedullary", "marrow", "marrow"],
            "donor": ["m1", "m2", "unknown:s3", "unknown:s4"],
            "donor_known": [True, True, False, False],
            "condition": ["control", f"{SCRIPT}", "", ""],
            "arm": "",
            "enrichment": ["none", "CD11c", "none", "none"],
            "chemistry": ["MARS-seq", "MARS-seq", "10x 3' v3", "10x 3' v3"],
            "batch": SAMPLES,
            "study": ["A 2014", "A 2014", "B 2023", "B 2023"],
            "sex": ["female", "", "", ""],
            "age": "",
        },
        index=pd.Index(SAMPLES, name="sample"),
    )


def registry() -> pd.DataFrame:
    """Return two rows of a dataset registry."""
    return pd.DataFrame(
        {
            "dataset": ["d_spleen", "d_marrow"],
            "url": ["https://example.org/a.txt", "https://example.org/b.txt"],
            "bytes": [10, 20],
            "sha256": ["a" * 64, "b" * 64],
            "licence": ["", "MIT"],
            "citation": ["A et al., Science 2014", "B et al., Nat Commun 2023"],
            "doi": ["10.1126/science.1247651", ""],
            "accession": ["GSE54006", ""],
            "note": ["", ""],
        },
        index=pd.Index(["a.txt", "b.txt"], name="file"),
    )


def make_run(root: Path, *, testable: bool = True) -> Path:
    """Write every table of a run below `root`.

    Parameters
    ----------
    root
        Results folder to fill.
    testable
        Without it nothing could be tested, and every table that may be empty is.

    Returns
    -------
    pathlib.Path
        `root`.
    """
    rng = np.random.default_rng(0)
    cells = _cells(rng)
    write_h5ad(_matrix(cells, rng), root / "cells.h5ad")
    for sample in SAMPLES:
        _write_qc(root, sample, rng)
    _write_latent(root, cells, rng)
    _write_labels(root, cells, rng, testable=testable)
    _write_scores(root, cells, rng)
    _write_niche(root, testable=testable)
    _write_myeloid(root, cells, rng, testable=testable)
    return root


def qc_summary(sample: str, table: pd.DataFrame) -> dict:
    """Return what ``qc.json`` of a sample holds."""
    removed = {reason: int(n) for reason, n in table["reason"].value_counts().items() if reason}
    lineages = [
        {
            "lineage": lineage,
            "n_in": len(part),
            "n_kept": int(part["keep"].sum()),
            "removed": {k: int(n) for k, n in part["reason"].value_counts().items() if k},
        }
        for lineage, part in table.groupby("lineage")
    ]
    metrics = [("n_counts", "lower", 120.0), ("n_genes", "lower", 70.0)]
    if table["pct_mito"].notna().any():
        metrics.append(("pct_mito", "upper", 12.5))
    return {
        "sample": sample,
        "verdict": "warn" if sample == EVIL_SAMPLE else "pass",
        "verdict_reason": f"erythroid lost & {SCRIPT}" if sample == EVIL_SAMPLE else "",
        "n_in": len(table),
        "n_kept": int(table["keep"].sum()),
        "removed": removed,
        "thresholds": [
            {"lineage": x, "metric": m, "side": side, "value": value, "n": 40, "basis": "mad"}
            for x in sorted(table["lineage"].unique())
            for m, side, value in metrics
        ],
        "lineages": lineages,
        "medians": {"n_counts": float(table["n_counts"].median()), "n_genes": 123.0},
        "doublets": {
            "status": "not_run",
            "reason": "84 cells, fewer than 500",
            "n_called": 0,
            "threshold": None,
        },
        "ambient_genes": [
            {
                "gene": "</script><b>G",
                "lineage": "B",
                "counts": 42,
                "cells_detected": 21,
                "n_cells": 25,
                "top_source": "neutrophil",
            }
        ],
        "warnings": [f"erythroid: 60 % removed {SCRIPT}"] if sample == EVIL_SAMPLE else [],
    }


def _cells(rng: np.random.Generator) -> pd.DataFrame:
    sheet = sample_sheet()
    rows = sheet.loc[np.repeat(SAMPLES, CELLS_PER_SAMPLE)].reset_index()
    barcodes = [f"C{i % CELLS_PER_SAMPLE}" for i in range(len(rows))]
    rows.insert(1, "barcode", barcodes)
    types = np.array(list(CELL_TYPES))[rng.integers(0, len(CELL_TYPES), len(rows))]
    rows["cell_type"] = types
    rows["label"] = np.where(rows["sample"] == "s1", "T", None)
    rows["n_counts"] = rng.integers(200, 2000, len(rows)).astype(float)
    rows["n_genes"] = rng.integers(80, 600, len(rows))
    rows["pct_mito"] = np.where(rows["dataset"] == "d_spleen", np.nan, 3.0)
    rows["doublet_score"] = np.nan
    rows["ambient"] = np.nan
    rows["qc_lineage"] = "unresolved"
    rows.index = pd.Index(rows["sample"] + ":" + rows["barcode"], name="cell_id")
    return rows


def _matrix(cells: pd.DataFrame, rng: np.random.Generator) -> ad.AnnData:
    genes = pd.Index([*GENES, *(f"Gene{i}" for i in range(53))])
    counts = rng.poisson(0.4, (len(cells), len(genes)))
    counts[:, 2] = 0
    spleen = (cells["dataset"] == "d_spleen").to_numpy()
    counts[spleen, 1] = 0
    obs = cells.drop(columns="cell_type")
    text = obs.select_dtypes(include=["object", "string"]).columns
    obs = obs.astype(dict.fromkeys(text, "category"))
    var = pd.DataFrame(
        {"panel": [g in GENES for g in genes], "highly_variable": True}, index=genes.rename("gene")
    )
    adata = ad.AnnData(as_counts(sparse.csr_matrix(counts)), obs=obs, var=var)
    measured = pd.DataFrame({"d_spleen": True, "d_marrow": True}, index=var.index)
    measured.loc["Cxcl12", "d_spleen"] = False
    adata.varm["measured"] = measured
    return adata


def _write_qc(root: Path, sample: str, rng: np.random.Generator) -> None:
    n = CELLS_PER_SAMPLE + 25
    table = pd.DataFrame(
        {
            "barcode": [f"C{i}" for i in range(n)],
            "n_counts": rng.integers(20, 3000, n).astype(float),
            "n_genes": rng.integers(10, 700, n),
            "pct_mito": np.nan if sample in SAMPLES[:2] else rng.uniform(0, 30, n),
            "pct_ribo": rng.uniform(0, 30, n),
            "pct_hb": 0.0,
            "complexity": 0.8,
            "doublet_score": np.nan if sample != "s3" else rng.uniform(0, 1, n),
            "ambient": np.nan,
            "lineage": rng.choice(["B", "erythroid", "neutrophil", "unresolved"], n),
            "keep": np.arange(n) < CELLS_PER_SAMPLE,
        }
    )
    reasons = rng.choice(["low_counts", "low_genes", "high_mito", "odd_<b>_rule"], n)
    table["reason"] = np.where(table["keep"], "", reasons)
    folder = root / "samples" / sample
    write_table(table, folder / "qc.parquet")
    summary = qc_summary(sample, table)
    if sample == "s3":
        summary["doublets"] |= {"status": "scored", "reason": "", "n_called": 4, "threshold": 0.31}
    write_json(summary, folder / "qc.json")


def _write_latent(root: Path, cells: pd.DataFrame, rng: np.random.Generator) -> None:
    for method in ("scvi", "pca"):
        latent = pd.DataFrame(rng.normal(size=(len(cells), 3)).astype(np.float32))
        latent.columns = [f"dim_{i}" for i in range(3)]
        latent.insert(0, "cell_id", cells.index)
        write_table(latent, root / "integration" / method / "latent.parquet")
    epochs = np.arange(1, 6)
    history = pd.DataFrame(
        {
            "epoch": epochs,
            "elbo_train": 900 - 50.0 * epochs,
            "elbo_validation": 910 - 45.0 * epochs,
            "reconstruction_loss_train": 890 - 50.0 * epochs,
            "reconstruction_loss_validation": 899 - 45.0 * epochs,
            "kl_weight": 0.02 * epochs,
        }
    )
    write_table(history, root / "integration/scvi/history.tsv")
    metrics = pd.DataFrame(
        [
            ("pca", "batch_mixing", 0.21, 0.1, 0.9, 300),
            ("scvi", "batch_mixing", 0.64, 0.1, 0.9, 300),
            ("pca", "label_silhouette", np.nan, np.nan, np.nan, 0),
        ],
        columns=["method", "metric", "value", "floor", "ceiling", "n"],
    )
    write_table(metrics, root / "integration/metrics.tsv")


def _write_labels(
    root: Path, cells: pd.DataFrame, rng: np.random.Generator, *, testable: bool
) -> None:
    ids = cells.index.to_numpy()
    types = list(CELL_TYPES)
    cluster = cells["cell_type"].map({t: str(i) for i, t in enumerate(types)}).to_numpy()
    write_table(
        pd.DataFrame({"cell_id": ids, "cluster": cluster}), root / "cluster/clusters.parquet"
    )
    place = rng.normal(size=(len(ids), 2)) + cluster.astype(int)[:, None] * 4
    umap = pd.DataFrame({"cell_id": ids, "umap_1": place[:, 0], "umap_2": place[:, 1]})
    write_table(
        umap.astype({"umap_1": "float32", "umap_2": "float32"}), root / "cluster/umap.parquet"
    )
    stability = pd.DataFrame({"resolution": [1.0], "seed": [1], "n_clusters": [5]})
    write_table(stability.assign(ari_to_final=0.93), root / "cluster/stability.tsv")
    annotation = pd.DataFrame(
        {
            "cell_id": ids,
            "lineage": cells["cell_type"].map(CELL_TYPES).to_numpy(),
            "cell_type": cells["cell_type"].to_numpy(),
            "confidence": 0.8,
        }
    )
    write_table(annotation, root / "annotate/annotation.parquet")
    clusters = pd.DataFrame(
        {
            "cluster": [str(i) for i in range(len(types))],
            "dataset": "",
            "n_cells": [int((cluster == str(i)).sum()) for i in range(len(types))],
            "lineage": list(CELL_TYPES.values()),
            "cell_type": types,
            "confidence": [1.0, 0.91, 0.8, 0.52, 0.3],
            "runner_up": ["B", "T", "", "HSPC", "erythroid"],
            "margin": [0.5, 0.4, 0.3, 0.2, 0.05],
            "agreement": [1.0, 0.9, 1.0, 1.0, 1.0],
        }
    )
    write_table(clusters, root / "annotate/clusters.tsv")
    markers = pd.DataFrame(
        {
            "cluster": ["0", "0", "1"],
            "lineage": ["stroma", "stroma", "neutrophil"],
            "cell_type": [types[0], types[0], types[1]],
            "gene": ["Cxcl12", "</script><b>G", "Gène$x$"],
            "log2_fold_change": [4.2, 3.1, 2.0],
            "pct_in": [0.9, 0.8, 0.7],
            "pct_out": [0.1, 0.1, 0.1],
            "score": [9.0, 8.0, 7.0],
        }
    )
    write_table(markers if testable else markers.iloc[:0], root / "annotate/markers.tsv")


def _write_scores(root: Path, cells: pd.DataFrame, rng: np.random.Generator) -> None:
    spleen = (cells["dataset"] == "d_spleen").to_numpy()
    score = rng.uniform(size=len(cells))
    scores = pd.DataFrame(
        {
            "cell_id": cells.index,
            "KIT.agonist": np.where(spleen, np.nan, score),
            "KIT.agonist__z": np.where(spleen, np.nan, score * 3),
            SCRIPT: score,
            f"{SCRIPT}__z": score,
        }
    )
    write_table(scores, root / "score/scores.parquet")
    null = pd.DataFrame(
        {
            "set": ["KIT.agonist", "KIT.agonist", SCRIPT, SCRIPT],
            "kind": ["axis", "axis", "signature", "signature"],
            "role": ["agonist", "agonist", "", ""],
            "dataset": ["d_marrow", "d_spleen", "d_marrow", "d_spleen"],
            "n_genes": [1, 1, 9, 9],
            "n_measured": [1, 0, 9, 8],
            "genes_missing": ["", "Kitl", "", "Lif"],
            "status": ["single_gene", "not_measured", "scored", "scored"],
            "null_mean": [np.nan, np.nan, 0.1, 0.1],
            "null_sd": [np.nan, np.nan, 0.02, 0.02],
            "share_above_null95": [np.nan, np.nan, 0.4, 0.05],
            "n_random": 100,
        }
    )
    write_table(null, root / "score/null.tsv")


def _write_niche(root: Path, *, testable: bool) -> None:
    design = pd.DataFrame(
        {
            "contrast": [CONTRAST],
            "factor": ["niche"],
            "test": ["extramedullary"],
            "reference": ["marrow"],
            "units_test": [2],
            "units_reference": [2],
            "known_donors_test": [2],
            "known_donors_reference": [0],
            "paired_donors": [0],
            "aliased_with": ["study;chemistry"],
            "nested_in": [""],
            "design_formula": [""],
            "min_attainable_p": [np.nan],
            "verdict": ["not_identifiable"],
            "reason": ["niche cannot be told from study and chemistry"],
            "composition_verdict": ["not_testable"],
            "composition_reason": [f"sorted libraries: {EVIL_SAMPLE}"],
        }
    )
    write_table(design, root / "niche/design.tsv")
    contrasts = _contrasts(testable=testable)
    write_table(contrasts, root / "niche/contrasts.tsv")
    write_table(_production(), root / "niche/production.tsv")
    composition = pd.DataFrame(
        {
            "contrast": [CONTRAST, CONTRAST],
            "lineage": ["neutrophil", "B"],
            "cell_type": [SCRIPT, "B"],
            "fraction_test": [0.2, 0.3],
            "fraction_reference": [0.1, np.nan],
            "effect": [1.0, np.nan],
            "ci_low": [np.nan, np.nan],
            "ci_high": [np.nan, np.nan],
            "p": [np.nan, np.nan],
            "q": [np.nan, np.nan],
            "status": ["effect_only", "not_testable"],
            "reason": ["one unit an arm", "no marrow library is unsorted"],
            "units_test": [1, 1],
            "units_reference": [1, 0],
            "level": "lineage",
        }
    )
    write_table(composition if testable else composition.iloc[:0], root / "niche/composition.tsv")
    pairs = pd.DataFrame(
        {
            "niche": ["marrow", "marrow", "extramedullary"],
            "dataset": ["d_marrow", "d_marrow", "d_spleen"],
            "condition": ["", "", "control"],
            "unit": ["unknown:s3", "unknown:s3", "m1"],
            "ambient": [False, False, False],
            "ligand": ["Kitl", "Lif", "Cxcl12"],
            "receptor": ["Kit", "Lifr", "Cxcr4"],
            "axis": ["KIT", "LIF", "CXCL12"],
            "sign": ["agonist", "agonist", "agonist"],
            "sender": ["LepR_CAR_MSC", SCRIPT, "B"],
            "receiver": [LONG, "B", SCRIPT],
            "ligand_detection": [0.4, 0.01, np.nan],
            "receptor_detection": [0.3, 0.02, 0.1],
            "score": [0.35, 0.014, np.nan],
            "status": ["described", "not_testable", "not_testable"],
            "reason": ["", "3 counts", "Cxcl12 not measured"],
        }
    )
    write_table(pairs if testable else pairs.iloc[:0], root / "niche/ligand_receptor.tsv")


def _contrasts(*, testable: bool) -> pd.DataFrame:
    rows = [
        ("KIT", "ligand", "Kitl", "LepR_CAR_MSC", 1.5, 0.5, 2.5, 0.001, 0.01, "tested", False),
        ("TNF", "ligand", "Tnf", SCRIPT, -2.25, None, None, None, None, "effect_only", True),
        ("X", "ligand", GENES[5], "B", 0.75, None, None, None, None, "not_identifiable", False),
        ("LIF", "ligand", "Lif", "B", None, None, None, None, None, "not_testable", False),
        ("CSF3", "ligand", "Csf3", "B", None, None, None, None, None, "not_testable", False),
    ]
    names = [
        "axis",
        "role",
        "gene",
        "cell_type",
        "effect",
        "ci_low",
        "ci_high",
        "p",
        "q",
        "status",
        "ambient",
    ]
    table = pd.DataFrame(rows, columns=names)
    if not testable:
        table[["effect", "ci_low", "ci_high", "p", "q"]] = np.nan
        table["status"] = "not_testable"
    table = table.assign(
        contrast=CONTRAST,
        units_test=2,
        units_reference=2,
        cells_test=30,
        cells_reference=40,
        counts_test=55,
        counts_reference=21,
        detection_test=0.5,
        detection_reference=0.25,
        logcpm_test=5.0,
        logcpm_reference=3.5,
        reason=np.where(table["status"] == "not_testable", "3 counts, fewer than 10", ""),
        level="cell_type",
        tier="core",
    )
    return pd.concat([table, table.assign(level="lineage")], ignore_index=True)


def _production() -> pd.DataFrame:
    rows = []
    for niche, tissue in (("marrow", "bone marrow"), ("extramedullary", "spleen")):
        for axis, gene in (("KIT", "Kitl"), ("CXCL12", "Cxcl12"), ("LIF", "Lif"), ("X", GENES[5])):
            for place, cell_type in enumerate(CELL_TYPES):
                gone = gene == "Lif" or (gene == "Cxcl12" and niche == "extramedullary")
                rows.append(
                    {
                        "axis": axis,
                        "role": "ligand",
                        "gene": gene,
                        "niche": niche,
                        "tissue": tissue,
                        "dataset": "d_marrow" if niche == "marrow" else "d_spleen",
                        "condition": "" if niche == "marrow" else SCRIPT,
                        "lineage": CELL_TYPES[cell_type],
                        "tier": "core",
                        "ambient": False,
                        "reason": "3 counts in all cells, 10 are needed" if gone else "",
                        "cell_type": cell_type,
                        "n_cells": 30 + place,
                        "detection": np.nan if gone else [0.62, 0.0, 0.1, 0.05, 0.2][place],
                        "logcpm": np.nan if gone else [8.1, 0.0, 3.0, 2.0, 4.0][place],
                        "share_of_tissue": np.nan if gone else [0.78, 0.0, 0.1, 0.02, 0.1][place],
                        "status": "not_testable" if gone else "described",
                    }
                )
    return pd.DataFrame(rows)


def _write_myeloid(
    root: Path, cells: pd.DataFrame, rng: np.random.Generator, *, testable: bool
) -> None:
    myeloid = cells[cells["cell_type"] == SCRIPT].index
    calls = pd.DataFrame(
        {
            "cell_id": myeloid,
            "lineage": "neutrophil",
            "signature": "PMN_MDSC_splenic_strict",
            "maturation": rng.normal(size=len(myeloid)),
            "score": rng.uniform(size=len(myeloid)),
            "residual": rng.normal(size=len(myeloid)),
            "p": np.nan,
            "q": np.nan,
            "pathological": pd.array([pd.NA] * len(myeloid), dtype="boolean"),
            "status": "not_testable",
        }
    )
    write_table(calls if testable else calls.iloc[:0], root / "myeloid/calls.parquet")
    gates = pd.DataFrame(
        {
            "lineage": ["neutrophil"],
            "tissue": ["spleen"],
            "signature": ["PMN_MDSC_splenic_strict"],
            "status": ["not_testable"],
            "code": ["no_reference"],
            "reason": [f"no reference donors, 3 are needed {SCRIPT}"],
            "p": [np.nan],
            "effect": [np.nan],
        }
    )
    write_table(gates, root / "myeloid/gates.tsv")
    donors = pd.DataFrame(
        columns=["lineage", "tissue", "signature", "donor", "arm", "cells", "exceedance"]
    )
    write_table(donors, root / "myeloid/donors.tsv")
    subsets = pd.DataFrame(
        columns=[
            "subset",
            "lineage",
            "tissue",
            "cells",
            "units",
            "fraction",
            "markers",
            "evidence",
            "status",
        ]
    )
    write_table(subsets, root / "myeloid/subsets.tsv")


def write_provenance(root: Path) -> Path:
    """Write a small ``provenance.json`` and return its path."""
    record = {
        "pipeline": {"name": "emhniche", "version": "0.1.0", "git_commit": None},
        "python": "3.12.0",
        "packages": {"scanpy": "1.12.4", "scvi-tools": "1.5.1"},
        "seed": 7,
    }
    write_text(json.dumps(record), root / "provenance.json")
    return root / "provenance.json"
