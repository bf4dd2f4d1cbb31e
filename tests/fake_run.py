"""A small made-up run with every table of the file contract, for the tests of the report.

Its names (``fake_names``) are hostile on purpose; ``fake_tables`` writes what later stages would.
"""

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import as_counts, read_json, write_h5ad, write_json, write_table, write_text
from emhniche.overcorrection import MIXING_COLUMNS
from emhniche.report.index_page import build_index
from emhniche.report.sample_page import build_sample_page
from emhniche.schema import complete, read_schema
from fake_myeloid import give_donors, write_myeloid
from fake_names import CELL_TYPES, CELLS_PER_SAMPLE, CONTRAST, EVIL_SAMPLE, GENES, SAMPLES, SCRIPT
from fake_tables import (
    write_celltypist,
    write_known_answers,
    write_labels,
    write_niche,
    write_scores,
    write_transferred,
    write_zoom,
)

CONFIG = complete(
    {
        "run": "fake",
        "samples": "config/fake.tsv",
        "seed": 7,
        "cluster": {"zoom": ["neutrophil"]},
        "annotate": {
            "label_samples": ["s1"],
            "celltypist": {"model": f"models/{SCRIPT}.pkl", "sha256": "c" * 64},
        },
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

UNASKED = {
    **CONFIG,
    "cluster": CONFIG["cluster"] | {"zoom": []},
    "annotate": {k: v for k, v in CONFIG["annotate"].items() if k != "celltypist"}
    | {"label_samples": []},
}
"""The same without what a run has only where it is asked for."""


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
            "own <b>column": ["1", "2", "2", "10"],
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


def make_run(root: Path, *, testable: bool = True, myeloid: str = "refused") -> Path:
    """Write every table of a run below `root`.

    Parameters
    ----------
    root
        Results folder to fill.
    testable
        Without it nothing could be tested, and every table that may be empty is.
    myeloid
        What the myeloid stage came to: ``called``, ``refused`` or ``none`` (no such cell); without
        `testable` it is ``none``.

    Returns
    -------
    pathlib.Path
        `root`.
    """
    rng = np.random.default_rng(0)
    cells = _cells(rng)
    cells = give_donors(cells) if myeloid == "called" else cells
    write_h5ad(_matrix(cells, rng), root / "cells.h5ad")
    for sample in SAMPLES:
        _write_qc(root, sample, rng)
    write_table(libraries(root), root / "samples.tsv")
    _write_latent(root, cells, rng)
    write_labels(root, cells, rng, testable=testable)
    write_zoom(root, cells, "neutrophil")
    write_transferred(root, cells)
    write_celltypist(root, cells)
    write_scores(root, cells, rng)
    write_niche(root, testable=testable)
    write_known_answers(root, testable=testable)
    write_myeloid(root, cells, rng, state=myeloid if testable else "none")
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
        "n_empty": 0,
        "soup": "library",
        "n_kept": int(table["keep"].sum()),
        "removed": removed,
        "thresholds": [
            {"lineage": x, "metric": m, "side": side, "value": value, "n": 40, "basis": "mad"}
            for x in sorted(table["lineage"].unique())
            for m, side, value in metrics
        ],
        "lineages": lineages,
        "medians": {
            "n_counts": float(table["n_counts"].median()),
            "n_genes": 123.0,
            "pct_ribo": 14.2,
            "complexity": 0.78,
        },
        "doublets": {
            "status": "not_run",
            "reason": "84 cells, fewer than 500",
            "n_called": 0,
            "threshold": None,
            "method": "boosted",
            "expected_rate": None,
            "expected_from": "",
            "n_expected": 0,
        },
        "states": {
            "stress_score": 0.1,
            "phases": {"G1": 40, "S": 6, "G2M": 4},
            "lineages": [
                {"lineage": "B", "n": 50, "cycling": 10, "stress_score": 0.1},
                {"lineage": "unresolved", "n": 0, "cycling": 0, "stress_score": None},
            ],
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


def libraries(root: Path, **failed: str) -> pd.DataFrame:
    """Return ``samples.tsv``: the verdicts of ``qc.json``; those named failed, and why."""
    rows = []
    for sample in SAMPLES:
        qc = read_json(root / "samples" / sample / "qc.json")
        rows.append(
            {
                "sample": sample,
                "verdict": "fail" if sample in failed else qc["verdict"],
                "verdict_reason": failed.get(sample, qc["verdict_reason"]),
                "kept": sample not in failed,
                "n_in": qc["n_in"],
                "n_kept": qc["n_kept"],
                "share_kept": qc["n_kept"] / qc["n_in"],
                "median_counts": qc["medians"]["n_counts"],
                "median_genes": qc["medians"]["n_genes"],
                "kept_pct_mito": np.nan if sample in SAMPLES[:2] else 4.25,
                "share_doublets": 0.04 if sample == "s3" else np.nan,
                "ambient": 0.028 if sample == "s1" else np.nan,
                "sex": "female" if sample == "s1" else "",
                "sex_observed": "female" if sample == "s1" else "",
                "sex_status": "agrees" if sample == "s1" else "not_testable",
                "female_counts": 120 if sample == "s1" else np.nan,
                "male_counts": 0.0 if sample == "s1" else np.nan,
                "duplicate_of": "",
                "same_cells": 0,
            }
        )
    return pd.DataFrame(rows)


def _cells(rng: np.random.Generator) -> pd.DataFrame:
    sheet = sample_sheet()
    rows = sheet.loc[np.repeat(SAMPLES, CELLS_PER_SAMPLE)].drop(columns="file").reset_index()
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
    rows["pct_ribo"] = rows["n_genes"] / 40
    rows["pct_hb"] = 0.0
    for number, score in enumerate(("stress_score", "s_score", "g2m_score")):
        rows[score] = np.sin(np.arange(len(rows)) + number)
    rows["phase"] = np.where(rows["s_score"] > 0.9, "S", "G1")
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
            "complexity": rng.uniform(0.6, 0.95, n),
            "stress_score": np.sin(np.arange(n)),
            "s_score": np.sin(np.arange(n) + 1),
            "g2m_score": np.sin(np.arange(n) + 2),
            "phase": rng.choice(["G1", "S", "G2M"], n).astype(object),
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
        summary["doublets"] |= {"expected_rate": 0.06, "expected_from": "config", "n_expected": 4}
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
    given = ("demo", "replicates", f"spleen; {SCRIPT}; none")
    mixing = [
        ("scvi", *given, "B", "tested", 300, 2, 0.93, 1.01, 300, 0.04),
        ("scvi", *given, "plasma", "not_testable", 12, 2, *(np.nan, np.nan, 0, np.nan)),
        ("pca", *given, "B", "tested", 300, 2, 0.21, 1.01, 300, 0.97),
    ]
    write_table(pd.DataFrame(mixing, columns=MIXING_COLUMNS), root / "integration/mixing.tsv")
    verdict = [
        ("scvi", "replicates", "mixed", "Replicate libraries mix to 92 % of chance."),
        ("scvi", "aliasing", "aliased", "Tissues of monocyte_macrophage <b>lie</b> together."),
        ("pca", "replicates", "apart", "Replicate libraries mix to 21 % of chance."),
    ]
    columns = ["method", "check", "code", "sentence"]
    write_table(pd.DataFrame(verdict, columns=columns), root / "integration/verdict.tsv")


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


def write_page(root: Path, sample: str, config: dict = CONFIG) -> None:
    """Write the page of one sample of a made-up run."""
    folder = root / "samples" / sample
    build_sample_page(
        folder / "qc.json",
        folder / "qc.parquet",
        folder / "qc.html",
        verdicts=root / "samples.tsv",
        sheet=sample_sheet().loc[sample].to_dict(),
        settings=config["qc"],
    )


def build_pages(root: Path, samples: list[str], config: dict = CONFIG) -> Path:
    """Write the index and the pages of some samples of a made-up run."""
    for sample in samples:
        write_page(root, sample, config)
    build_index(root, config=config, samples=sample_sheet(), registry=registry())
    return root
