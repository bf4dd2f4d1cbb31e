"""The file for CELLxGENE, and whether other readers can open what we write."""

import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from anndata.io import read_elem, write_elem

from emhniche.report.atlas import build_atlas
from emhniche.report.submission import gene_ids, write_submission
from fake_run import make_run

ROOT = Path(__file__).parents[1]
VALIDATOR = shutil.which("cellxgene-schema", path=ROOT / ".tools/cellxgene/bin")
EXPORT = ROOT / "scripts/cellxgene_export.py"
READABLE = {
    *("anndata", "array", "categorical", "csr_matrix", "dataframe", "dict"),
    *("string", "string-array"),
}
"""Encodings that every reader of h5ad files knows, those of R too."""
GENES = ["Cd3e", "Cd79a", "Lyz2", "Hbb-bs", "Ptprc", "Cd8a"]
"""Genes of today's release."""


def atlas_of(root: Path, genes: list[str], **columns: str) -> Path:
    """Write an atlas whose first genes have real names and whose sheet has more columns."""
    with h5py.File(root / "cells.h5ad", "r+") as file:
        obs, var = read_elem(file["obs"]), read_elem(file["var"])
        names = pd.Index([*genes, *var.index[len(genes) :]])
        write_elem(file, "var", var.set_axis(names))
        write_elem(file["varm"], "measured", read_elem(file["varm/measured"]).set_axis(names))
        obs = obs.assign(**columns)
        write_elem(file, "obs", obs.astype(dict.fromkeys(columns, "category")))
    build_atlas(
        root / "cells.h5ad",
        root / "atlas.h5ad",
        clusters=root / "cluster/clusters.parquet",
        umap=root / "cluster/umap.parquet",
        annotation=root / "annotate/annotation.parquet",
        scores=root / "score/scores.parquet",
        calls=root / "myeloid/calls.parquet",
        latents={"pca": root / "integration/pca/latent.parquet"},
        title="A title",
        published=set(),
    )
    return root / "atlas.h5ad"


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return atlas_of(make_run(tmp_path_factory.mktemp("run")), GENES)


def reference() -> pd.DataFrame:
    rows = [(f"ENSMUSG{number:011d}", name) for number, name in enumerate(GENES[:4])]
    return pd.DataFrame(
        [*rows, ("ENSMUSG00000000091", "Ptprc"), ("ENSMUSG00000000092", "Ptprc")],
        columns=["gene_id", "symbol"],
    )


def test_ids_are_given_only_where_nothing_is_guessed():
    var = pd.DataFrame(
        {"gene_id": ["", "ENSMUSG00000000001.4", "ENSMUSG77777777777", "", "", ""]},
        index=["Cd3e", "Old name", "Lyz2", "Nowhere", "Ptprc", "Hbb-bs"],
    )
    found = gene_ids(var, reference())
    assert found["gene_id"].tolist() == [
        "ENSMUSG00000000000", "ENSMUSG00000000001", "ENSMUSG00000000002", "", "",
        "ENSMUSG00000000003",
    ]  # fmt: skip
    assert found["rule"].tolist() == [
        "by_symbol", "from_file", "by_symbol", "unknown", "ambiguous", "by_symbol",
    ]  # fmt: skip


def test_two_symbols_of_one_gene_are_not_added_up():
    var = pd.DataFrame({"gene_id": ["", "ENSMUSG00000000000"]}, index=["Cd3e", "Old name"])
    found = gene_ids(var, reference())
    assert found["gene_id"].tolist() == ["", ""]
    assert set(found["rule"]) == {"ambiguous"}


@pytest.mark.parametrize("chunk", [7, 20_000])
def test_counts_of_genes_with_an_id_are_copied_and_the_others_counted(
    atlas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
):
    monkeypatch.setattr("emhniche.report.submission.CHUNK", chunk)
    outcome = write_submission(atlas, tmp_path / "out.h5ad", reference=reference())
    before, after = read_h5ad(atlas), read_h5ad(tmp_path / "out.h5ad")
    assert list(after.var_names) == reference()["gene_id"].tolist()[:4]
    assert after.var["symbol"].tolist() == GENES[:4]
    np.testing.assert_array_equal(after.X.toarray(), before[:, GENES[:4]].X.toarray())
    assert list(after.obs_names) == list(before.obs_names)
    assert outcome.genes == {
        "from_file": 0, "by_symbol": 4, "unknown": before.n_vars - 5, "ambiguous": 1
    }  # fmt: skip
    share = before[:, GENES[:4]].X.sum() / before.X.sum()
    assert outcome.counts_left_out == pytest.approx(1 - share)
    assert f"{100 * (1 - share):.2f} % of the counts are left out" in " ".join(outcome.lines())
    assert any("disease_ontology_term_id" in line for line in outcome.missing)
    assert not after.var["feature_is_filtered"].any()
    np.testing.assert_array_equal(after.obsm["X_umap"], before.obsm["X_umap"])
    assert list(after.varm["measured"].index) == list(after.var_names)


def test_reserved_columns_have_another_name_and_their_content(atlas: Path, tmp_path: Path):
    write_submission(atlas, tmp_path / "out.h5ad", reference=reference())
    before, after = read_h5ad(atlas).obs, read_h5ad(tmp_path / "out.h5ad").obs
    assert not {"cell_type", "sex", "tissue"} & set(after)
    assert after["own_cell_type"].astype(str).tolist() == before["cell_type"].astype(str).tolist()


def test_files_hold_only_what_every_reader_knows(atlas: Path, tmp_path: Path):
    write_submission(atlas, tmp_path / "out.h5ad", reference=reference())
    for path in (atlas, tmp_path / "out.h5ad"):
        with h5py.File(path) as file:
            found: dict[str, str] = {}
            file.visititems(
                lambda name, item, found=found: found.setdefault(
                    str(item.attrs.get("encoding-type", "array")), name
                )
            )
            assert set(found) <= READABLE, found
            assert file["obs"].attrs["_index"] in file["obs"]
            # readers of R take 32-bit indices, sorted within a cell
            assert file["X/indices"].dtype == file["X/indptr"].dtype == np.int32
            kinds = {file[f"obs/{name}"].dtype.kind for name in ("n_counts", "n_genes")}
            assert kinds <= {"f", "i"}


@pytest.mark.skipif(VALIDATOR is None, reason="no validator here: make cellxgene installs it")
def test_cellxgene_accepts_the_file_when_the_sheet_has_its_terms(tmp_path: Path):
    terms = {
        "disease_ontology_term_id": "PATO:0000461",
        "development_stage_ontology_term_id": "MmusDv:0000110",
    }
    python = Path(VALIDATOR).with_name("python")
    release = "lib/*/site-packages/cellxgene_schema/gencode_files/genes_mus_musculus.csv.gz"
    listed = pd.read_csv(next(python.parents[1].glob(release)), header=None)
    genes = listed.loc[listed[4] == "protein_coding", 1].drop_duplicates(keep=False)[:59].tolist()
    for known, valid in ((terms, True), ({}, False)):
        root = make_run(tmp_path / f"valid_{valid}")
        atlas_of(root, genes, **known)
        run = subprocess.run(
            [python, EXPORT, root],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        said = run.stdout + run.stderr
        assert (run.returncode == 0) == valid, said
        for name in terms:
            assert (f"missing: obs {name}" in said) == (not valid), said
