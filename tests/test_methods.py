"""The methods name what the run used, with versions and sources where they belong; so do limits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.report.limits import limits
from emhniche.report.methods import Paragraph, cited, methods_text
from emhniche.report.references import REFERENCES
from emhniche.report.tables import RunTables
from fake_run import CONFIG, UNASKED, registry

PROVENANCE = {
    "pipeline": {"version": "0.1.0"},
    "python": "3.12.0",
    "packages": {"scanpy": "1.12.4", "igraph": "1.0.0", "umap-learn": "0.5.12", "torch": "2.15.0"},
}


def told(config: dict = CONFIG, **tables: pd.DataFrame) -> str:
    paragraphs = methods_text(config, PROVENANCE, epochs=9, tables=tables)
    return " ".join(one.marked for one in paragraphs)


def test_a_source_stands_in_the_sentence_it_belongs_to():
    one = Paragraph("A", "By Harmony [@harmony] and UMAP [@umap]; a [@name] of the run [@harmony].")
    assert one.text == "By Harmony and UMAP; a [@name] of the run."
    assert one.sources == ("harmony", "umap")
    assert one.parts[0] == ("By Harmony", "harmony")
    numbers, references = cited([one], registry().iloc[:0])
    assert numbers == {"harmony": 1, "umap": 2}
    assert references[1] == REFERENCES["umap"]


def test_tools_of_the_run_have_their_versions():
    text = told()
    for said in ("Leiden algorithm [@leiden] (igraph 1.0.0)", "UMAP [@umap] (umap-learn 0.5.12)"):
        assert said in text
    assert "PyTorch 2.15.0" in text
    # a tool whose version nobody recorded has none
    assert "Snakemake [@snakemake], with Python 3.12.0" in text
    scrublet = {**CONFIG, "qc": CONFIG["qc"] | {"doublets": {"method": "scrublet"}}}
    assert "Scrublet [@scrublet] as in Scanpy 1.12.4" in told(scrublet)
    assert "Scrublet" not in told({**CONFIG, "qc": CONFIG["qc"] | {"doublets": {"method": "none"}}})


def test_a_map_made_on_a_gpu_is_told_with_its_source():
    on_gpu = {**CONFIG, "cluster": CONFIG["cluster"] | {"layout_accelerator": "cuda"}}
    assert "UMAP [@umap] (by RAPIDS cuML [@cuml] on a GPU) lays the graph out" in told(on_gpu)
    assert "cuML" not in told()


def test_states_moderation_and_the_mixed_model_are_cited():
    text = told(score_contrasts=pd.DataFrame({"status": ["tested"]}))
    for said in ("dissociation [@brink]", "expression [@tirosh]", "t tests [@smyth]", "[@mixed]"):
        assert said in text
    assert "[@mixed]" not in told()
    assert REFERENCES["celltypist"][1] == "10.1126/science.abl5197"


def test_labels_and_zoom_are_told_where_they_are_asked_for():
    text = told()
    assert "[@celltypist] labelled each cell" in text
    assert "Published labels of s1 were carried" in text
    assert "Of neutrophils the cells were clustered once more" in text
    text = told(UNASKED)
    for word in ("celltypist", "CellTypist", "Published labels", "once more"):
        assert word not in text


def data(**changes: object) -> RunTables:
    """Return a run of which nothing that it could know limits anything."""
    held = {
        "design": pd.DataFrame({"verdict": ["tested"]}),
        "verdict": pd.DataFrame({"method": ["scvi", "pca"], "code": ["mixed", "aliased"]}),
        "emh_index": pd.DataFrame(
            {"emh_index": [0.1], "log2_hspc": 0.1, "log2_erythroid": 0.1}
            | {"log2_megakaryocyte": 0.1, "log2_neutrophil_precursor": 0.1}
        ),
        "gates": pd.DataFrame({"status": ["score_only"]}),
        "contrasts": pd.DataFrame(
            {"tier": "core", "role": "ligand", "gene": ["Kitl", "Kitl"]}
            | {"status": ["tested", "not_testable"]}
        ),
    }
    sheet = {"donor_known": [True, True], "enrichment": "none", "arm": ["case", "reference"]}
    return RunTables(
        root=Path(), config=CONFIG, samples=pd.DataFrame(sheet, index=["a", "b"]),
        qc=changes.pop("qc", {}), tables=held | changes,
        **dict.fromkeys(("registry", "cells", "history"), pd.DataFrame()),
    )  # fmt: skip


GENERAL = limits(data())


def test_a_run_without_gaps_has_the_limits_of_every_run_alone():
    assert len(GENERAL) == 2
    assert not any("Tissue is aliased" in line for line in GENERAL)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": pd.DataFrame({"method": ["scvi"], "code": ["aliased"]})}, "Tissue is aliased"),
        ({"gates": pd.DataFrame({"status": ["tested"]})}, "No inflamed donors without a tumour"),
        (
            {"qc": {"a": {"soup": "library"}, "b": {"soup": "droplets"}}},
            "The files of 1 of 2 samples hold no empty droplets",
        ),
        (
            {
                "contrasts": pd.DataFrame(
                    {"tier": "core", "role": ["ligand", "ligand", "receptor"], "gene": list("ABC")}
                    | {"status": ["not_testable", "effect_only", "not_testable"]}
                )
            },
            "No contrast could test A and B in any cell type.",
        ),
        (
            {"emh_index": data()["emh_index"].assign(log2_megakaryocyte=np.nan)},
            "Too few megakaryocytes were found to read them, so the EMH index is that of HSPC, "
            "erythroid cells and neutrophil precursors alone.",
        ),
    ],
)
def test_what_this_run_lacks_is_said(changes, said):
    own = [line for line in limits(data(**changes)) if line not in GENERAL]
    assert len(own) == 1 and own[0].startswith(said)


def test_inflamed_donors_lift_the_limit_of_the_gates():
    run = data(gates=pd.DataFrame({"status": ["tested"]}))
    run.samples["arm"] = ["case", "inflammation_control"]
    assert limits(run) == GENERAL
