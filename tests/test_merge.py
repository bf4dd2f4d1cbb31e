import anndata as ad
import numpy as np
import pandas as pd
import pytest

from emhniche import io
from emhniche.droplets import write_profile
from emhniche.errors import InputError
from emhniche.merge import Part, gene_ids, kept_parts, merge_samples
from emhniche.resources import load_lineages, load_panel, load_signatures
from planted import library

PANEL = load_panel("resources/panel.tsv", "mouse")
SIGNATURES = load_signatures("resources/signatures.tsv", "mouse")
LINEAGES = load_lineages("resources/lineages.tsv", "mouse")


def write_part(folder, sample, cells, keep=None):
    keep = np.ones(cells.n_obs, bool) if keep is None else keep
    io.write_h5ad(cells, folder / f"{sample}.h5ad")
    qc = pd.DataFrame(
        {"barcode": cells.obs_names, "keep": keep, "lineage": cells.obs["truth"].to_numpy()}
    )
    for column in (
        "n_counts",
        "n_genes",
        "pct_mito",
        "pct_ribo",
        "pct_hb",
        "doublet_score",
        "ambient",
        "stress_score",
        "s_score",
        "g2m_score",
    ):
        qc[column] = 1.0
    qc["phase"] = "G1"
    io.write_table(qc, folder / f"{sample}.parquet")
    total = np.asarray(cells.X.sum(axis=0), dtype=float).ravel()
    soup = folder / f"{sample}.soup.parquet"
    write_profile(pd.Series(total / total.sum(), index=cells.var_names), soup)
    return Part(sample, folder / f"{sample}.h5ad", folder / f"{sample}.parquet", soup)


def with_gene(cells, name, value):
    column = np.full((cells.n_obs, 1), value, dtype=np.float32)
    both = np.hstack([cells.X.toarray(), column])
    var = pd.DataFrame(index=[*cells.var_names, name])
    return ad.AnnData(io.as_counts(both), obs=cells.obs.copy(), var=var)


@pytest.fixture
def two(tmp_path):
    """Two datasets; Kitl and a private gene are in the first one's matrix only."""
    one = with_gene(with_gene(library({"B": 80, "T": 60}, seed=1), "Kitl", 2), "Private", 1)
    other = library({"B": 70, "erythroid": 80}, seed=2)
    keep = np.arange(140) % 7 != 0
    parts = [write_part(tmp_path, "one", one, keep), write_part(tmp_path, "other", other)]
    sheet = pd.DataFrame(
        {"dataset": ["d1", "d2"], "batch": ["one", "other"], "tissue": ["spleen", "bone marrow"]},
        index=["one", "other"],
    )
    return parts, sheet, {"one": one[keep], "other": other}


def merged(two, path, **changes):
    parts, sheet, _ = two
    tables = {"panel": PANEL, "signatures": SIGNATURES, "lineages": LINEAGES}
    settings = tables | {"genes": "union", "n_hvg": 200} | changes
    merge_samples(parts, sheet, path, **settings)
    return ad.read_h5ad(path)


def test_every_kept_count_arrives_under_its_cell_and_gene(two, tmp_path):
    cells = merged(two, tmp_path / "cells.h5ad")
    for sample, source in two[2].items():
        part = cells[[f"{sample}:{name}" for name in source.obs_names], source.var_names]
        assert (part.X != source.X).nnz == 0
    assert cells.n_obs == sum(source.n_obs for source in two[2].values())
    assert cells.obs["tissue"].astype(str).value_counts()["bone marrow"] == 150


def test_a_gene_that_a_dataset_lacks_is_marked_as_not_measured_there(two, tmp_path):
    cells = merged(two, tmp_path / "cells.h5ad")
    measured = cells.varm["measured"]
    assert measured.loc["Kitl"].tolist() == [True, False]
    assert measured.loc["Cd79a"].all()
    assert cells[cells.obs["sample"] == "other", "Kitl"].X.nnz == 0


def test_intersection_keeps_shared_genes_and_the_panel(two, tmp_path):
    cells = merged(two, tmp_path / "cells.h5ad", genes="intersection")
    assert "Private" not in cells.var_names
    assert "Kitl" in cells.var_names  # a panel gene stays although one dataset lacks it
    assert cells.var.loc["Kitl", "panel"]


def test_genes_of_a_lineage_that_one_batch_alone_holds_are_highly_variable(two, tmp_path):
    chosen = merged(two, tmp_path / "cells.h5ad").var["highly_variable"]
    assert chosen[["Klf1", "Gypa", "Cd3e", "Cd79a"]].all()
    assert chosen.sum() == 200
    assert chosen[[name for name in chosen.index if name.startswith("Gene")]].mean() < 0.5


def test_ambient_profile_is_that_of_the_sample(two, tmp_path):
    cells = merged(two, tmp_path / "cells.h5ad")
    counts = io.read_h5ad(two[0][1].counts)
    total = np.asarray(counts.X.sum(axis=0)).ravel()
    np.testing.assert_allclose(
        cells.varm["ambient"].loc[counts.var_names, "other"], total / total.sum(), rtol=1e-5
    )


def test_the_same_input_gives_the_same_matrix(two, tmp_path):
    first = merged(two, tmp_path / "a.h5ad")
    again = merged(two, tmp_path / "b.h5ad")
    assert (first.X != again.X).nnz == 0
    assert first.var["highly_variable"].equals(again.var["highly_variable"])


def test_a_panel_without_any_gene_of_the_data_is_refused(two, tmp_path):
    foreign = PANEL.assign(gene=[f"Nowhere{number}" for number in range(len(PANEL))])
    with pytest.raises(InputError, match="panel"):
        merged(two, tmp_path / "cells.h5ad", panel=foreign)
    assert not (tmp_path / "cells.h5ad").exists()
    assert not list(tmp_path.glob(".cells*"))


def test_datasets_whose_genes_are_named_differently_are_refused(two, tmp_path):
    parts, sheet, _ = two
    counts = io.read_h5ad(parts[1].counts)
    counts.var_names = [f"ENSMUSG{number:011d}" for number in range(counts.n_vars)]
    io.write_h5ad(counts, parts[1].counts)
    with pytest.raises(InputError, match="only 0 genes are measured in every dataset"):
        merged((parts, sheet, None), tmp_path / "cells.h5ad")


def test_ids_that_files_give_are_kept_and_those_they_differ_in_are_not(tmp_path):
    one, two = library({"B": 5}, seed=1), library({"B": 5}, seed=2)
    names = list(one.var_names[:4])
    one.var["gene_id"] = [f"ENSMUSG{number:011d}.2" for number in range(one.n_vars)]
    two.var["gene_id"] = [f"ENSMUSG{number:011d}.7" for number in range(two.n_vars)]
    two.var.loc[names[1], "gene_id"] = "ENSMUSG00000099999"
    one.var.loc[names[2], "gene_id"] = two.var.loc[names[2], "gene_id"] = "NM_1"
    none = library({"B": 5}, seed=3)
    parts = [write_part(tmp_path, name, x) for name, x in (("a", one), ("b", two), ("c", none))]
    found = gene_ids(parts, pd.Index([*names, "Absent"]))
    # version cut off; files differ; no Ensembl id; fine; in no file
    assert found.tolist() == ["ENSMUSG00000000000", "", "", "ENSMUSG00000000003", ""]
    assert (gene_ids(parts[2:], pd.Index(names)) == "").all()


def test_a_sample_that_failed_is_not_in_the_matrix(two, tmp_path):
    parts, sheet, sources = two
    verdicts = pd.DataFrame(
        {"sample": ["one", "other"], "kept": [True, False], "verdict_reason": ["", "poor"]}
    )
    left = kept_parts(parts, verdicts)
    cells = merged((left, sheet, sources), tmp_path / "cells.h5ad", genes="union")
    assert set(cells.obs["sample"]) == {"one"}
    assert list(cells.varm["measured"].columns) == ["d1"]
    assert list(cells.varm["ambient"].columns) == ["one"]
