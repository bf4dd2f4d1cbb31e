"""The myeloid stage on a whole run: each place gets the answer that its design allows."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from emhniche.errors import InputError
from emhniche.myeloid import MyeloidTables, call_myeloid, call_pathological
from myeloid_cohort import SIGNATURE, Cohort, covariate_table, simulate

ROOT = Path(__file__).resolve().parents[1]

SETTINGS = {
    **{"lineages": ["neutrophil", "monocyte_macrophage"], "q": 0.10, "mode": "fdr"},
    **{"n_random": 60, "min_cells": 30, "min_donors": 3, "seed": 0},
}


def run_cells() -> tuple[ad.AnnData, pd.DataFrame, pd.DataFrame]:
    """Return a cohort with its marrow, a spleen without arms, and cases without reference."""
    marked = [*SIGNATURE, "Bg7"]
    tumour = Cohort(reference=6, case=6, cells=150, fraction=0.4, fold=5.0, planted_genes=marked)
    parts = []
    for dataset, tissue, cohort in (
        ("tumour", "spleen", tumour),
        ("tumour", "bone marrow", Cohort(seed=1, cells=60, reference=6, case=6)),
        ("atlas", "spleen", Cohort(seed=2, cells=60, reference=1, case=0)),
        ("alone", "spleen", Cohort(seed=3, cells=60, reference=0, case=3)),
    ):
        part = simulate(cohort)
        part.obs["dataset"], part.obs["tissue"] = dataset, tissue
        part.obs["donor"] = dataset + "_" + part.obs["donor"].astype(str)
        if dataset == "atlas":
            part.obs["donor"], part.obs["arm"] = "unknown:atlas", ""
        part.obs["batch"] = part.obs["donor"] + tissue
        part.obs_names = dataset + tissue[0] + ":" + part.obs_names
        parts.append(part)
    cells = ad.concat(parts)
    cells.obs["enrichment"], cells.obs["chemistry"] = "none", "10x"
    measured = {name: np.ones(cells.n_vars, bool) for name in ("tumour", "atlas", "alone")}
    cells.varm["measured"] = pd.DataFrame(measured, index=cells.var_names)
    cells.varm["measured"].loc[["Sig8", "Sig9"], "tumour"] = False
    annotation = cells.obs[["lineage"]].rename_axis("cell_id").reset_index()
    rows = [("MDSC", SIGNATURE), ("ghost", ["Sig0", "Nowhere1"])]
    own = pd.DataFrame(
        {
            "set": [name for name, _ in rows],
            "species": "mouse",
            "polarity": "positive",
            "genes": [genes for _, genes in rows],
        }
    )
    table = covariate_table()
    signatures = pd.concat([table, own], ignore_index=True)
    return cells, annotation, signatures.assign(**{"class": "pathological"})


@pytest.fixture(scope="module")
def whole_run() -> MyeloidTables:
    cells, annotation, signatures = run_cells()
    return call_myeloid(cells, annotation, signatures, names=["MDSC", "ghost"], **SETTINGS)


def gate(tables: MyeloidTables, dataset: str, tissue: str, signature: str = "MDSC") -> pd.Series:
    rows = tables.gates.set_index(["lineage", "dataset", "tissue", "signature"])
    return rows.loc[("neutrophil", dataset, tissue, signature)]


def test_every_lineage_tissue_dataset_and_signature_has_a_gate(whole_run):
    assert len(whole_run.gates) == 2 * 4 * 2
    monocytes = whole_run.gates[whole_run.gates["lineage"] == "monocyte_macrophage"]
    assert set(monocytes["code"]) == {"no_lineage_cells"}
    assert whole_run.gates["reason"].str.len().min() > 10


def test_each_dataset_gets_the_answer_that_its_design_allows(whole_run):
    assert gate(whole_run, "tumour", "spleen")["code"] == "called"
    assert gate(whole_run, "tumour", "bone marrow")["code"] == "no_donor_level_excess"
    assert gate(whole_run, "atlas", "spleen")["code"] == "no_reference_arm"
    alone = gate(whole_run, "alone", "spleen")
    assert alone["code"] == "reference_other_platform"
    assert "other datasets (tumour)" in alone["reason"]
    assert gate(whole_run, "tumour", "spleen", "ghost")["code"] == "too_few_genes"


def test_genes_that_a_dataset_does_not_measure_are_listed_and_left_out(whole_run):
    assert gate(whole_run, "tumour", "spleen")["genes_not_measured"] == "Sig8;Sig9"
    assert gate(whole_run, "tumour", "spleen")["n_genes"] == 8
    assert gate(whole_run, "atlas", "spleen")["n_genes"] == 10


def test_gates_are_adjusted_over_the_run(whole_run):
    tested = whole_run.gates.dropna(subset="p")
    assert len(tested) == 2
    assert tested["q"].min() == pytest.approx(2 * tested["p"].min())


def test_calls_have_one_row_a_cell_and_signature(whole_run):
    assert not whole_run.calls.duplicated(["cell_id", "signature"]).any()
    assert whole_run.calls["pathological"].dtype == "boolean"
    assert whole_run.calls["pathological"].sum() == gate(whole_run, "tumour", "spleen")["called"]


def test_called_cells_are_described_as_subsets_with_donors_as_units(whole_run):
    every, subsets = whole_run.subsets.iloc[0], whole_run.subsets.iloc[1:]
    called = gate(whole_run, "tumour", "spleen")["called"]
    assert (every["state"], every["cells"]) == ("all", called) and "Bg7" in every["markers"]
    assert subsets["cells"].sum() == called
    assert set(subsets["state"]) <= {"immature", "intermediate", "mature", "activated"}
    assert subsets["subset"].str.startswith("MDSC-like (reactive) ").all()
    assert (subsets["units"] <= 6).all()
    largest = subsets.loc[subsets["cells"].idxmax()]
    assert largest["fraction_per_unit"].count("=") == 6
    assert largest["marrow_donors"] == 6
    shares = [float(text.split("=")[1]) for text in largest["fraction_per_unit"].split(";")]
    assert largest["marrow_difference"] == pytest.approx(np.mean(shares), abs=0.001)
    assert largest["marrow_status"] == "effect_only"
    assert "Bg7" in largest["markers"].split(";")
    higher = dict(part.split("=") for part in largest["markers_per_unit"].split(";"))
    assert list(higher) == largest["markers"].split(";")
    assert higher["Bg7"] == f"{largest['marker_units']}/{largest['marker_units']}"
    assert "Sig0" not in ";".join(subsets["markers"])


def test_where_nothing_is_called_the_subset_table_has_a_header_only():
    cells, annotation, signatures = run_cells()
    keep = (cells.obs["dataset"] == "atlas").to_numpy()
    tables = call_myeloid(
        cells[keep].copy(),
        annotation[keep],
        signatures,
        names=["MDSC"],
        **SETTINGS,
    )
    assert tables.subsets.empty
    assert {"subset", "lineage", "tissue", "cells", "units", "status"} <= set(tables.subsets)
    assert tables.calls["status"].unique().tolist() == ["score_only"]


def test_a_cell_without_annotation_is_an_error():
    cells, annotation, signatures = run_cells()
    with pytest.raises(InputError, match="has no lineage"):
        call_myeloid(
            cells,
            annotation.iloc[1:],
            signatures,
            names=["MDSC"],
            **SETTINGS,
        )


# real data


def test_ambient_s100a8_does_not_lift_spleen_b_cells_above_myeloid_cells(mirror):
    from emhniche.genes import read_aliases
    from emhniche.ingest import parse_files
    from emhniche.resources import load_signatures

    aliases = read_aliases(ROOT / "resources/aliases.tsv", "mouse")
    spleen = parse_files(
        [mirror / "mca.spleen.rda"], file_format="auto", aliases=aliases, species="mouse"
    )
    signatures = load_signatures(ROOT / "resources/signatures.tsv", "mouse")
    label = spleen.obs["source_anno"].astype(str)
    is_b = label.str.contains("B cell").to_numpy()
    granulocyte = label.str.contains("Granulocyte|Neutrophil").to_numpy()
    s100a8 = spleen[:, "S100a8"].X.toarray().ravel()
    assert (s100a8[is_b] > 0).mean() > 0.5
    # all cells as one lineage: only so do B cells get a score at all
    spleen.obs = spleen.obs.assign(lineage="neutrophil", donor="", arm="")
    strict = ["Cd84", "Arg2", "Ctsd", "Pla2g7", "Clec4e", "Il36g"]
    for signature in ("PMN_MDSC_splenic_strict", [*strict, "S100a8", "S100a9"]):
        answer = call_pathological(
            spleen,
            lineage="neutrophil",
            donor="donor",
            arm="arm",
            n_random=60,
            signature=signature,
            signatures=signatures,
        )
        assert answer.gate["code"] == "no_reference_arm"
        assert answer.cells["pathological"].isna().all()
        score = answer.cells.set_index("cell_id")["score"].reindex(spleen.obs_names).to_numpy()
        assert score[is_b].mean() < 0 < score[granulocyte].mean() - 0.5
