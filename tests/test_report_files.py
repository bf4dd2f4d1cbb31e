import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from anndata.io import write_elem

from emhniche.code import git_commit
from emhniche.io import read_table
from emhniche.report.atlas import build_atlas
from emhniche.report.cellxgene import cellxgene_fields, lacking
from emhniche.report.provenance import collect_provenance, files_read
from emhniche.report.tables import read_obs
from fake_run import CONFIG, make_run, registry, sample_sheet

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


def atlas_inputs(root: Path) -> dict:
    return {
        "clusters": root / "cluster/clusters.parquet",
        "umap": root / "cluster/umap.parquet",
        "annotation": root / "annotate/annotation.parquet",
        "scores": root / "score/scores.parquet",
        "calls": root / "myeloid/calls.parquet",
        "latents": {m: root / f"integration/{m}/latent.parquet" for m in ("scvi", "pca")},
        "title": "A title",
        "published": {"d_spleen"},
    }


def test_atlas_joins_every_table_and_keeps_the_counts(root: Path, tmp_path: Path):
    build_atlas(root / "cells.h5ad", tmp_path / "atlas.h5ad", **atlas_inputs(root))
    atlas, cells = read_h5ad(tmp_path / "atlas.h5ad"), read_h5ad(root / "cells.h5ad")
    assert (atlas.X != cells.X).nnz == 0
    assert list(atlas.obs_names) == list(cells.obs_names)
    assert set(atlas.obsm) == {"X_scvi", "X_pca", "X_umap"}
    latent = read_table(root / "integration/scvi/latent.parquet").set_index("cell_id")
    np.testing.assert_array_equal(atlas.obsm["X_scvi"], latent.loc[atlas.obs_names].to_numpy())
    scores = read_table(root / "score/scores.parquet").set_index("cell_id")["KIT.agonist"]
    np.testing.assert_allclose(atlas.obs["score_KIT.agonist"], scores.loc[atlas.obs_names])
    annotation = read_table(root / "annotate/annotation.parquet").set_index("cell_id")
    assert (atlas.obs["lineage"].astype(str) == annotation.loc[atlas.obs_names, "lineage"]).all()
    assert (atlas.obs["pathological"] == "no_call").all()
    assert atlas.obs["maturation"].notna().sum() == (atlas.obs["lineage"] == "neutrophil").sum()
    assert atlas.obs["is_primary_data"].eq(atlas.obs["dataset"].astype(str) != "d_spleen").all()
    assert atlas.uns["organism_ontology_term_id"] == "NCBITaxon:10090"
    lines = list(atlas.uns["cellxgene_missing"])
    names = lacking(cells.obs, read_table(root / "annotate/annotation.parquet"))
    assert any("disease_ontology_term_id" in line for line in lines)
    assert [line.split()[1].rstrip(":") for line in lines] == names
    told = cells.obs.assign(**dict.fromkeys(names, "PATO:0000461"))
    assert lacking(told, read_table(root / "annotate/annotation.parquet")) == []


def test_atlas_refuses_other_cells(root: Path, tmp_path: Path):
    inputs = atlas_inputs(root)
    fewer = read_table(inputs["clusters"]).iloc[1:]
    fewer.to_parquet(tmp_path / "clusters.parquet")
    with pytest.raises(ValueError, match="299 cells"):
        build_atlas(
            root / "cells.h5ad",
            tmp_path / "atlas.h5ad",
            **inputs | {"clusters": tmp_path / "clusters.parquet"},
        )
    assert not (tmp_path / "atlas.h5ad").exists()


def test_cellxgene_terms(root: Path):
    obs = read_obs(root / "cells.h5ad").assign(lineage="T", disease_ontology_term_id="PATO:0000461")
    fields, dataset_fields, missing = cellxgene_fields(obs, published=set())
    assert set(fields["tissue_ontology_term_id"]) == {"UBERON:0002106", "UBERON:0002371"}
    assert set(fields["sex_ontology_term_id"]) == {"PATO:0000383", "unknown"}
    assert set(fields["disease_ontology_term_id"]) == {"PATO:0000461"}
    assert fields["is_primary_data"].all()
    assert dataset_fields == {"organism_ontology_term_id": "NCBITaxon:10090"}
    assert any("development_stage_ontology_term_id" in line for line in missing)
    assert not any("disease_ontology_term_id" in line for line in missing)


def test_provenance_records_sums_versions_and_settings(tmp_path: Path):
    sheet = tmp_path / "sheet.tsv"
    sheet.write_bytes(b"sample\n")
    counts = tmp_path / "counts.h5ad"
    with h5py.File(counts, "w") as file:
        files = pd.DataFrame({"file": ["a.txt"], "sha256": ["a" * 64]})
        write_elem(file, "uns", {"ingest": {"files": files}})
    config = {**CONFIG, "samples": str(sheet), "resources": {"panel": str(sheet)}}
    record = collect_provenance(
        config=config,
        samples=sample_sheet().iloc[:1],
        sources={"samples": config["samples"]},
        registry=registry(),
        counts={"s1": counts},
        device={"asked_for": "auto", "used": "cpu", "fell_back": None},
        commit=None,
    )
    assert record["accelerator"]["used"] == "cpu"
    # sha256 of the bytes "sample\n"
    assert record["inputs"]["sources"]["samples"]["sha256"] == (
        "aaf9ff488e0767da5ea1d56118e6f65a16c5633b0cefc1fa089bd3ab1810613d"
    )
    assert record["inputs"]["files_read"]["s1"] == [{"file": "a.txt", "sha256": "a" * 64}]
    assert [row["file"] for row in record["inputs"]["registry"]] == ["a.txt"]
    assert record["packages"]["numpy"] == np.__version__
    assert record["seed"] == 7 and record["config"]["niche"] == CONFIG["niche"]
    assert record["hardware"]["cores"] >= 1
    assert record["pipeline"]["git_commit"] is None


def test_commit_of_this_checkout():
    if (ROOT / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", git_commit(ROOT))
    else:
        assert git_commit(ROOT) is None


def test_files_read_of_a_run_without_sums(tmp_path: Path):
    with h5py.File(tmp_path / "counts.h5ad", "w") as file:
        write_elem(file, "uns", {"ingest": {"n_genes_in": 3}})
    assert files_read(tmp_path / "counts.h5ad") == []
