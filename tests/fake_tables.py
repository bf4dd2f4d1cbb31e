"""The tables that later stages of the made-up run write: labels, scores, niche and myeloid."""

from pathlib import Path

import numpy as np
import pandas as pd

from emhniche.io import write_table
from fake_names import CELL_TYPES, CONTRAST, EVIL_SAMPLE, GENES, LONG, SCRIPT


def _write_stability(root: Path, types: list[str], cluster: np.ndarray) -> None:
    """Write two resolutions: all cells in one cluster, and one cluster a cell type."""
    curve = pd.DataFrame({"resolution": [0.5, 1.0], "n_clusters": [1, len(types)]})
    curve = curve.assign(n_stable=[1, 4], found_again=[1.0, 0.94], score=[0.3, 1.2])
    curve = curve.assign(verdict=["degenerate", "stable"], chosen=[False, True])
    write_table(curve, root / "cluster/resolutions.tsv")
    sizes = [int((cluster == str(number)).sum()) for number in range(len(types))]
    found = pd.DataFrame({"cluster": range(len(types)), "n_cells": sizes})
    found = found.assign(resolution=1.0, chosen=True, found_again=0.9, jaccard=0.8, n_joined=2)
    whole = {"cluster": 0, "n_cells": len(cluster), "resolution": 0.5, "chosen": False}
    whole = pd.DataFrame([whole | {"n_joined": 1, "found_again": 1.0, "jaccard": 1.0}])
    write_table(pd.concat([whole, found]), root / "cluster/found_again.tsv")
    tree = found[["cluster", "n_cells"]].rename(columns={"cluster": "next_cluster"})
    tree = tree.assign(cluster=0, resolution=0.5, next_resolution=1.0)
    write_table(tree, root / "cluster/tree.tsv")
    stability = {"resolution": 1.0, "cells": "all", "number": 0, "n_clusters": 5}
    write_table(pd.DataFrame([stability | {"ari_to_final": 0.93}]), root / "cluster/stability.tsv")


def write_labels(
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
    _write_stability(root, types, cluster)
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
            "qc_lineage": "",
            "n_cells": [int((cluster == str(i)).sum()) for i in range(len(types))],
            "lineage": list(CELL_TYPES.values()),
            "cell_type": types,
            "confidence": [1.0, 0.91, 0.8, 0.52, 0.3],
            "cell_type_confidence": [1.0, 0.6, 0.8, 0.52, np.nan],
            "found_again": [1.0, 1.0, 0.9, 0.9, 0.4],
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
            "pct_in": [90.0, 80.0, 70.0],
            "pct_out": [10.0, 10.0, 10.0],
            "auroc": [0.97, 0.9, 0.8],
            "score": [9.0, 8.0, 7.0],
            "donors": [4, 4, 0],
            "donors_higher": [4, 3, 0],
            "donor_log2_fold_change": [4.0, 2.9, np.nan],
            "p": [1e-9, 0.01, np.nan],
            "q": [1e-6, 0.02, np.nan],
            "status": ["tested", "tested", "not_testable"],
            "ambient": [False, False, True],
        }
    )
    write_table(markers if testable else markers.iloc[:0], root / "annotate/markers.tsv")
    pairs = [(gene, number) for gene in markers["gene"][:2] for number in range(len(types))]
    levels = pd.DataFrame(pairs, columns=["gene", "cluster"])
    levels = levels.assign(marker_of=0, n_cells=clusters["n_cells"][levels["cluster"]].to_numpy())
    levels = levels.assign(
        pct_cells=[90.0, 5.0, 0.0, 1.0, 2.0] * 2, mean_level=[2.0, *[0.1] * 4] * 2
    )
    write_table(levels if testable else levels.iloc[:0], root / "annotate/marker_levels.tsv")


def write_scores(root: Path, cells: pd.DataFrame, rng: np.random.Generator) -> None:
    spleen = (cells["dataset"] == "d_spleen").to_numpy()
    score = rng.uniform(size=len(cells))
    scores = pd.DataFrame(
        {
            "cell_id": cells.index,
            "KIT.agonist": np.where(spleen, np.nan, score),
            "KIT.agonist__z": np.where(spleen, np.nan, score * 3),
            SCRIPT: score,
            f"{SCRIPT}__z": score,
            "Dissociation_IEG": rng.uniform(size=len(cells)),
            "ISG_Neu": rng.uniform(size=len(cells)),
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


def write_niche(root: Path, *, testable: bool) -> None:
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
    write_table(_contrasts(testable=testable), root / "niche/contrasts.tsv")
    write_table(_production(), root / "niche/production.tsv")
    tables = {
        "composition": _composition(),
        "ligand_receptor": _pairs(),
        "supply": _supply(),
        "ligand_receptor_contrasts": _pair_contrasts(),
        **_signals(),
    }
    for name, table in tables.items():
        write_table(table if testable else table.iloc[:0], root / f"niche/{name}.tsv")


def write_known_answers(root: Path, *, testable: bool) -> None:
    table = pd.DataFrame(
        {
            "check": ["K1.a", "K1.b", "K2.a"],
            "id": ["K1", "K1", "K2"],
            "scope": ["published", "stand_in", "published"],
            "status": ["pass", "fail", "not_testable"] if testable else ["not_testable"] * 3,
            "observed": [f"Kitl in {SCRIPT}", "rho 0.10", "no dataset of this run is GSE1"],
            "datasets": ["d_spleen", "d_marrow", ""],
            "claim": ["Kitl is highest in stroma", "Il1b rises", SCRIPT],
            "pass_rule": ["rank 1", "rho>0", "up"],
            "source": ["10.1/x", SCRIPT, "10.1/y"],
        }
    )
    write_table(table, root / "known_answers.tsv")


def _composition() -> pd.DataFrame:
    return pd.DataFrame(
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


def _supply() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "contrast": CONTRAST,
            "gene": ["Kitl", SCRIPT, "Kitl"],
            "lineage": ["stroma", SCRIPT, "all"],
            "cell_type": ["stroma", SCRIPT, "all"],
            "level": ["lineage", "lineage", "tissue"],
            "units_test": 3,
            "units_reference": 3,
            "supply_test": [30.0, 2.0, 31.0],
            "supply_reference": [10.0, 4.0, 9.0],
            "effect": [1.6, -1.0, 1.7],
            "effect_abundance": [1.0, 0.0, np.nan],
            "effect_expression": [0.6, -1.0, np.nan],
            "ci_low": [0.6, -2.0, 0.9],
            "ci_high": [2.6, 0.0, 2.5],
            "p": [0.001, 0.05, 0.002],
            "q": [0.002, 0.05, 0.002],
            "status": "tested",
            "reason": "",
        }
    )


def _pair_contrasts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "contrast": CONTRAST,
            "ligand": ["Kitl", SCRIPT],
            "receptor": ["Kit", "Cxcr4"],
            "axis": ["KIT", "CXCL12"],
            "sign": "agonist",
            "sender": ["stroma", LONG],
            "receiver": ["HSPC", SCRIPT],
            "effect": [1.0, np.nan],
            "ci_low": [0.5, np.nan],
            "ci_high": [1.5, np.nan],
            "p": [0.01, np.nan],
            "q": [0.02, np.nan],
            "status": ["tested", "not_testable"],
            "ambient": False,
            "reason": ["", "3 counts"],
        }
    )


def _pairs() -> pd.DataFrame:
    return pd.DataFrame(
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


def _signals() -> dict[str, pd.DataFrame]:
    numbers = {
        **{"contrast": CONTRAST, "level": "lineage", "units_test": 3, "units_reference": 3},
        **{"effect": [0.2, np.nan], "ci_low": [0.1, np.nan], "ci_high": [0.3, np.nan]},
        **{"p": [0.001, np.nan], "q": [0.002, np.nan], "status": ["tested", "not_testable"]},
    }
    scores = {
        "set": [SCRIPT, "IL-1.agonist"],
        "tier": ["state", "core"],
        "cell_type": [SCRIPT, LONG],
    }
    responses = {
        **{"set": [SCRIPT, ""], "axis": [SCRIPT, "CXCL12"], "kind": "response"},
        **{"cell_type": ["stroma", ""]},
    }
    logs = ("hspc", "erythroid", "megakaryocyte", "neutrophil_precursor")
    index = {
        "condition": [SCRIPT, ""],
        "tissue": "spleen",
        "dataset": LONG,
        "emh_index": [0.7, 0.0],
    }
    index |= {f"log2_{name}": [0.5, np.nan] for name in logs} | {"status": "described"}
    axes = {
        **{"rank": [1, 2], "axis": [SCRIPT, "KIT"], "side": "agonist", "lineage": [SCRIPT, "B"]},
        **{"genes": [f"{SCRIPT};Kitl", "Kitl"], "rho": [0.8, np.nan], "units": 8, "q": np.nan},
        **{"min_attainable_p": [0.125, np.nan], "p": np.nan, "status": "effect_only"},
    }
    readings = {
        **{"contrast": CONTRAST, "axis": [SCRIPT, "KIT", "KIT"], "tier": "core"},
        **{"reading": ["production", "reception", "response"], "n_rows": [4, 3, 2]},
        **{"n_tested": [3, 0, 2], "n_up": [1, np.nan, 0], "n_down": [0, np.nan, 0]},
        **{"direction": ["up", np.nan, "none"], "name": [SCRIPT, np.nan, np.nan]},
        **{"cell_type": [SCRIPT, np.nan, np.nan], "effect": [1.5, np.nan, np.nan]},
        **{"status": ["tested", "not_testable", "tested"], "reason": ["", SCRIPT, ""]},
        **{"caution": [SCRIPT, np.nan, np.nan]},
    }
    return {
        "scores": pd.DataFrame(numbers | scores | {"effect_z": [1.5, np.nan]}),
        "responses": pd.DataFrame(numbers | responses),
        "emh_index": pd.DataFrame(index),
        "emh_contrasts": pd.DataFrame(numbers | {"measure": ["emh_index", "hspc"]}),
        "emh_axes": pd.DataFrame(axes),
        "axes": pd.DataFrame(readings),
    }


def write_zoom(root: Path, cells: pd.DataFrame, lineage: str) -> None:
    """Write the tables of a lineage that was clustered by itself, in two clusters."""
    folder = root / "cluster/zoom" / lineage
    own = cells.index[cells["cell_type"] == SCRIPT]
    clusters = pd.DataFrame(
        {"cell_id": own, "cluster": ["0", "0", "1"] * (len(own) // 3) + ["0"] * (len(own) % 3)}
    )
    write_table(clusters, folder / "clusters.parquet")
    curve = pd.DataFrame({"resolution": [0.5, 1.0], "n_clusters": [1, 2], "n_stable": [1, 1]})
    curve = curve.assign(found_again=[1.0, 0.84], score=[0.3, 0.5], verdict="unstable")
    write_table(curve.assign(chosen=[False, True]), folder / "resolutions.tsv")
    sizes = clusters["cluster"].value_counts()
    found = [(0.5, False, 0, len(own), 1.0, 1.0)]
    found += [(1.0, True, n, sizes[str(n)], share, 0.7) for n, share in ((0, 0.9), (1, 0.72))]
    columns = ["resolution", "chosen", "cluster", "n_cells", "found_again", "jaccard"]
    write_table(pd.DataFrame(found, columns=columns), folder / "found_again.tsv")
    markers = pd.DataFrame({"cluster": [0, 0, 1, 1], "gene": [GENES[5], "Kitl", "S100a8", "Lif"]})
    markers["ambient"] = markers["gene"] == "S100a8"
    markers = markers.assign(lineage="neutrophil", cell_type=SCRIPT, log2_fold_change=2.0)
    write_table(markers.assign(pct_in=0.5, pct_out=0.1, score=1.0), folder / "markers.tsv")


def write_celltypist(root: Path, cells: pd.DataFrame) -> None:
    """Write what a model says: HSPC are B to it, and of erythroid cells it knows nothing."""
    lineage = cells["cell_type"].map(CELL_TYPES).to_numpy()
    label = pd.Series(lineage).replace({"erythroid": "unknown", "HSPC": "B", "B": "B"})
    label = label.where(label != "B", f"B {SCRIPT}")
    usual = label.replace({f"B {SCRIPT}": "B", "unknown": ""})
    agrees = pd.Series(usual == lineage, dtype="boolean").where(label != "unknown")
    table = pd.DataFrame({"cell_id": cells.index, "label": label, "best": label, "agrees": agrees})
    table = table.assign(probability=0.8, usual_lineage=usual)
    write_table(table, root / "annotate/celltypist.parquet")
    rows = [
        {
            "cluster": number,
            "n_cells": len(part),
            "lineage": CELL_TYPES[cell_type],
            "cell_type": cell_type,
            "label": table["label"][part].mode()[0],
            "share": 1.0,
            "second_label": "",
            "second_share": np.nan,
            "probability": 0.8,
            "agree": table["agrees"][part].astype(float).mean(),
        }
        for number, cell_type in enumerate(CELL_TYPES)
        for part in [np.flatnonzero(cells["cell_type"] == cell_type)]
    ]
    write_table(pd.DataFrame(rows), root / "annotate/celltypist.tsv")


def write_transferred(root: Path, cells: pd.DataFrame) -> None:
    """Write labels that went from ``s1`` to all other cells; those of HSPC are wrong."""
    others = cells[cells["sample"] != "s1"]
    lineage = others["cell_type"].map(CELL_TYPES)
    label = lineage.where(lineage != "erythroid", "unknown").replace({"B": f"B {SCRIPT}"})
    label = label.mask(lineage == "HSPC", f"B {SCRIPT}")
    usual = label.replace({f"B {SCRIPT}": "B", "unknown": ""})
    agrees = pd.Series(usual == lineage, dtype="boolean").where(label != "unknown")
    table = pd.DataFrame({"cell_id": others.index, "label": label.to_numpy(), "share": 0.9})
    table = table.assign(distance=1.0, limit=2.0, in_reference=(label != "unknown").to_numpy())
    table = table.assign(usual_lineage=usual.to_numpy(), agrees=agrees.to_numpy())
    write_table(table, root / "annotate/transferred.parquet")
    rows = []
    for name, part in table[table["label"] != "unknown"].groupby("label"):
        wrong = "HSPC" if name.startswith("B ") else ""
        rows.append(
            (name, 30, part["usual_lineage"].iloc[0], 0.9, len(part), part["agrees"].mean(), wrong)
        )
    columns = [
        "label",
        "n_labelled",
        "usual_lineage",
        "labelled_agree",
        "n_cells",
        "agree",
        "other_lineage",
    ]
    write_table(pd.DataFrame(rows, columns=columns), root / "annotate/transferred.tsv")
