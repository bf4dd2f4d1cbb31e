import gzip
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import rdata
from scipy import io as scipy_io
from scipy import sparse

import r_files as r
from emhniche import formats_r
from emhniche.errors import InputError
from emhniche.formats import detect_format, read_counts
from emhniche.ingest import parse_files, select_sample
from emhniche.io import read_h5ad, write_h5ad

ROOT = Path(__file__).resolve().parents[1]
GENES = ["Actb", "B2m", "Il1b"]
CELLS = ["AAA", "CCC"]
COUNTS = [[1, 0], [0, 12], [3, 0]]  # genes x cells
METADATA = pd.DataFrame({"gate": ["B cell", None], "n": ["1", "2"]}, index=CELLS)


def gz(path, text):
    path.write_bytes(gzip.compress(text.encode()))
    return path


def table(corner, columns, rows, separator="\t"):
    head = ([corner] if corner is not None else []) + list(columns)
    lines = [head, *([name, *map(str, values)] for name, values in rows)]
    return "\n".join(separator.join(line) for line in lines) + "\n"


def write_geo_text(folder):
    rows = list(zip([f'"{gene}"' for gene in GENES], COUNTS, strict=True))
    return gz(folder / "dge.txt.gz", table(None, [f'"{cell}"' for cell in CELLS], rows, " "))


def write_genes_by_cells(folder):
    return gz(folder / "m.tsv.gz", table("gene", CELLS, zip(GENES, COUNTS, strict=True)))


def write_cells_by_genes(folder):
    rows = zip(CELLS, zip(*COUNTS, strict=True), strict=True)
    path = folder / "m.csv"
    path.write_text(table("barcode", GENES, rows, ","))
    return path


def write_r_csv(folder):
    """Write as R's write.csv does: quoted, with an empty corner."""
    quoted = [f'"{name}"' for name in CELLS]
    rows = zip([f'"{gene}"' for gene in GENES], COUNTS, strict=True)
    path = folder / "m.csv"
    path.write_text(table('""', quoted, rows, ","))
    return path


def write_cells_without_corner(folder):
    """Write as R's write.table does, cells in rows; on Windows."""
    rows = zip(CELLS, zip(*COUNTS, strict=True), strict=True)
    text = "\ufeff" + table(None, GENES, rows).replace("\n", "\r\n")
    return gz(folder / "m.txt.gz", text)


def write_dgc_rds(folder):
    return r.write_rds(folder / "m.rds", r.dgc_matrix(COUNTS, GENES, CELLS))


def write_matrix_rda(folder):
    return r.write_rda(folder / "m.rda", m=r.matrix(COUNTS, GENES, CELLS))


def r_metadata(row_names):
    return r.data_frame(row_names, gate=r.factor([1, -(2**31)], ["B cell"]), n=r.reals([1.0, 2.0]))


def write_seurat(folder):
    counts = r.dgc_matrix(COUNTS, GENES, CELLS)
    return r.write_rda(folder / "s.rda", object=r.seurat(counts, r_metadata(CELLS)))


def write_expression_set(folder):
    exprs = r.matrix(COUNTS, GENES, CELLS)
    return r.write_rds(folder / "e.rds", r.expression_set(exprs, r_metadata(CELLS)))


def anndata():
    counts = sparse.csr_matrix(np.array(COUNTS, dtype=np.float32).T)
    obs = pd.DataFrame({"gate": ["B cell", "T cell"]}, index=CELLS)
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES))


def write_h5ad_x(folder):
    anndata().write_h5ad(folder / "x.h5ad")
    return folder / "x.h5ad"


def write_h5ad_layer(folder):
    data = anndata()
    data.layers["counts"] = data.X.copy()
    data.X = data.X * 0.3
    data.write_h5ad(folder / "l.h5ad")
    return folder / "l.h5ad"


def write_h5ad_raw(folder):
    data = anndata()
    data.raw = data.copy()
    data = data[:, :2].copy()
    data.X = data.X * 0.3
    data.write_h5ad(folder / "r.h5ad")
    return folder / "r.h5ad"


def write_10x_h5(folder):
    matrix = sparse.csc_matrix(np.array(COUNTS))
    with h5py.File(folder / "m.h5", "w") as handle:
        group = handle.create_group("matrix")
        group["barcodes"] = np.array(CELLS, dtype="S")
        group["data"], group["indices"], group["indptr"] = (
            matrix.data,
            matrix.indices,
            matrix.indptr,
        )
        group["shape"] = matrix.shape
        features = group.create_group("features")
        features["id"] = np.array([f"ENSMUSG0000000000{k}" for k in range(3)], dtype="S")
        features["name"] = np.array(GENES, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * 3, dtype="S")
        features["genome"] = np.array(["mm10"] * 3, dtype="S")
    return folder / "m.h5"


def write_10x_mtx(folder):
    target = folder / "GSM1"
    target.mkdir()
    with gzip.open(target / "GSM1_matrix.mtx.gz", "wb") as handle:
        scipy_io.mmwrite(handle, sparse.coo_matrix(np.array(COUNTS)))
    features = "".join(f"ENSMUSG0000000000{k}\t{g}\tGene Expression\n" for k, g in enumerate(GENES))
    gz(target / "GSM1_features.tsv.gz", features)
    gz(target / "GSM1_barcodes.tsv.gz", "\n".join(CELLS) + "\n")
    return target


WRITERS = {
    "geo_text": [write_geo_text],
    "tsv_genes_by_cells": [write_genes_by_cells, write_r_csv],
    "tsv_cells_by_genes": [write_cells_by_genes, write_cells_without_corner],
    "rda": [write_matrix_rda, write_seurat],
    "rds": [write_dgc_rds, write_expression_set],
    "h5ad": [write_h5ad_x, write_h5ad_layer, write_h5ad_raw],
    "10x_h5": [write_10x_h5],
    "10x_mtx": [write_10x_mtx],
}
CASES = [(name, writer) for name, writers in WRITERS.items() for writer in writers]


@pytest.mark.parametrize(("file_format", "writer"), CASES)
def test_every_format_gives_the_same_counts(file_format, writer, tmp_path):
    path = writer(tmp_path)
    assert detect_format(path) == file_format
    for named in (file_format, "auto"):
        source = read_counts(path, named)
        assert source.counts.toarray().T.tolist() == COUNTS
        assert sparse.issparse(source.counts) and source.counts.format == "csr"
        assert list(source.barcodes) == CELLS
        assert list(source.genes) == GENES
        assert list(source.cells.index) == CELLS


def parse(*paths, file_format="auto", aliases=None, species="mouse"):
    return parse_files(list(paths), file_format=file_format, aliases=aliases or {}, species=species)


def refused(*paths, **settings):
    """Return the one line in which parsing ends."""
    with pytest.raises(InputError) as error:
        parse(*paths, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("writer", [write_seurat, write_expression_set])
def test_metadata_of_r_objects_come_along_as_text(writer, tmp_path):
    obs = parse(writer(tmp_path)).obs
    assert obs["source_gate"].astype(object).tolist()[0] == "B cell"
    assert pd.isna(obs["source_gate"].iloc[1])
    assert obs["source_n"].tolist() == ["1", "2"]


def test_ids_are_kept_beside_symbols(tmp_path):
    ids = [f"ENSMUSG0000000000{k}" for k in range(3)]
    assert parse(write_10x_h5(tmp_path)).var["gene_id"].tolist() == ids
    data = anndata()
    data.var = pd.DataFrame({"feature_name": GENES}, index=ids)
    data.write_h5ad(tmp_path / "ids.h5ad")
    genes = parse(tmp_path / "ids.h5ad").var
    assert (genes.index.tolist(), genes["gene_id"].tolist()) == (GENES, ids)


def test_counts_are_cells_by_official_symbols_without_spike_ins(tmp_path):
    names = ["Ccl4_ScyA4", "ERCC-00130", "Il1f9", "Il36g", "Actb", "tdT_trans"]
    counts = [[1, 2], [50, 60], [3, 0], [4, 5], [0, 300], [0, 1]]
    path = gz(tmp_path / "m.txt.gz", table(None, CELLS, zip(names, counts, strict=True)))
    parsed = parse(path, aliases={"Il1f9": "Il36g"})
    assert parsed.var_names.tolist() == ["Ccl4", "Il36g", "Actb", "tdT_trans"]
    assert parsed.X.toarray().tolist() == [[1, 7, 0, 0], [2, 5, 300, 1]]
    assert parsed.X.dtype == np.float32
    assert parsed.var["source_symbol"].tolist() == [
        "Ccl4_ScyA4",
        "Il1f9;Il36g",
        "Actb",
        "tdT_trans",
    ]
    said = parsed.uns["ingest"]
    assert said.pop("files")["file"].tolist() == ["m.txt.gz"]
    assert said == {
        "n_barcodes_in": 2,
        "n_genes_in": 6,
        "n_ercc_dropped": 1,
        "n_aliases_resolved": 2,
        "n_joined_left": 1,
        "n_duplicate_symbols_summed": 1,
    }


def test_normalised_values_are_refused_with_the_first_cell_and_gene(tmp_path):
    counts = [[1, 0], [0, 1.5], [2.25, 0]]
    path = gz(tmp_path / "m.tsv.gz", table("gene", CELLS, zip(GENES, counts, strict=True)))
    message = refused(path)
    assert "cell 'AAA', gene 'Il1b': 2.25 is not a count" in message
    assert message.endswith("give raw counts, not normalised values")
    data = anndata()
    data.X = data.X * 0.3
    data.write_h5ad(tmp_path / "n.h5ad")
    assert "none of X holds whole numbers" in refused(tmp_path / "n.h5ad")


@pytest.mark.parametrize(("value", "said"), [(-1, "-1"), ("nan", "nan"), ("inf", "inf")])
def test_what_is_no_count_is_refused(value, said, tmp_path):
    counts = [[1, 0], [0, value], [2, 0]]
    path = gz(tmp_path / "m.tsv.gz", table("gene", CELLS, zip(GENES, counts, strict=True)))
    assert f"cell 'CCC', gene 'B2m': {said} is not a count" in refused(path)


@pytest.mark.parametrize(("value", "said"), [("x", "'x'"), ("", "''"), ("1 2", "'1 2'")])
def test_what_is_no_number_is_refused(value, said, tmp_path):
    counts = [[1, 0], [0, value], [2, 0]]
    path = gz(tmp_path / "m.tsv.gz", table("gene", CELLS, zip(GENES, counts, strict=True)))
    assert f"row 'B2m', column 'CCC': {said} is not a number" in refused(path)


def test_a_row_cut_short_is_refused(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("gene\tAAA\tCCC\nActb\t1\t2\nB2m\t3\n")
    assert "row 'B2m' (line 3) has 1 values for 2 columns" in refused(path)


@pytest.mark.parametrize("writer", [write_geo_text, write_seurat])
def test_a_truncated_file_is_one_line(writer, tmp_path):
    path = writer(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    message = refused(path)
    assert message.startswith(f"{path}: the compressed file is truncated or damaged")


def test_an_r_file_cut_before_it_was_compressed_is_one_line(tmp_path):
    path = write_seurat(tmp_path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-200]))
    assert str(path) in refused(path)


def test_a_broken_hdf5_file_is_one_line(tmp_path):
    path = write_h5ad_x(tmp_path)
    path.write_bytes(path.read_bytes()[:4000])
    assert "not readable as HDF5" in refused(path)


def test_files_that_are_absent_or_of_no_format_are_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "none.tsv")
    (tmp_path / "a.bin").write_bytes(b"\0\1\2\3" * 50)
    assert "neither text nor HDF5 nor R data" in refused(tmp_path / "a.bin")
    (tmp_path / "folder").mkdir()
    assert "exactly one is needed" in refused(tmp_path / "folder")
    assert "unknown format 'loom'" in refused(write_geo_text(tmp_path), file_format="loom")
    (tmp_path / "empty.tsv").write_text("")
    assert "empty.tsv" in refused(tmp_path / "empty.tsv")


def test_a_table_that_does_not_tell_genes_from_cells_is_refused(tmp_path):
    (tmp_path / "m.tsv").write_text("id\tx1\tx2\ny1\t0\t1\ny2\t1\t0\n")
    message = refused(tmp_path / "m.tsv")
    assert "set `format` to tsv_genes_by_cells or tsv_cells_by_genes" in message
    assert parse(tmp_path / "m.tsv", file_format="tsv_cells_by_genes").obs_names[0] == "y1"
    assert parse(tmp_path / "m.tsv", file_format="tsv_genes_by_cells").obs_names[0] == "x1"


def test_r_objects_without_counts_are_named(tmp_path):
    path = r.write_rds(tmp_path / "f.rds", r.factor([1, 2], ["a", "b"]))
    message = refused(path)
    assert "holds one object (factor)" in message
    assert "a Seurat object (v3 or v4), an ExpressionSet, a dgCMatrix or a matrix" in message
    layers = r.seurat(r.vector([]), r_metadata(CELLS), assay="Assay5", slot="layers")
    message = refused(r.write_rds(tmp_path / "v5.rds", layers))
    assert "assay 'RNA' of class Assay5 has no counts of class dgCMatrix" in message
    nameless = r.write_rds(tmp_path / "n.rds", r.dgc_matrix(COUNTS, [], []))
    assert "set dimnames in R" in refused(nameless)


def test_a_barcode_that_stands_twice_is_refused(tmp_path):
    path = gz(tmp_path / "m.tsv.gz", table("gene", ["A", "A"], zip(GENES, COUNTS, strict=True)))
    assert "barcode 'A' stands twice" in refused(path)


def test_symbols_of_the_other_species_and_ids_are_refused(tmp_path):
    human = [f"GENE{k}" for k in range(120)]
    rows = [(gene, [1, 2]) for gene in human]
    path = gz(tmp_path / "h.tsv.gz", table("gene", CELLS, rows))
    assert "120 of 120 gene symbols are in capitals" in refused(path)
    assert parse(path, species="human").n_vars == 120
    rows = [(f"ENSMUSG{k:011d}", [1, 2]) for k in range(3)]
    ids = gz(tmp_path / "i.tsv.gz", table("gene", CELLS, rows))
    assert "genes are Ensembl ids" in refused(ids)


def test_metadata_of_a_second_file_are_joined_by_barcode(tmp_path):
    counts = write_geo_text(tmp_path)
    metadata = tmp_path / "cells.csv"
    metadata.write_text("cell,anno\nCCC,T cell\nGGG,B cell\n")
    obs = parse(counts, metadata).obs
    assert obs.loc["CCC", "source_anno"] == "T cell"
    assert pd.isna(obs.loc["AAA", "source_anno"])
    obs = parse(counts, write_seurat(tmp_path)).obs
    assert obs.loc["AAA", "source_gate"] == "B cell"
    obs = parse(counts, write_h5ad_x(tmp_path)).obs
    assert obs.loc["CCC", "source_gate"] == "T cell"


def test_a_bare_factor_is_joined_by_order(tmp_path):
    counts = write_dgc_rds(tmp_path)
    clusters = r.write_rda(tmp_path / "c.rda", clusters=r.factor([2, 1], ["x", "y"]))
    assert parse(counts, clusters).obs["source_clusters"].tolist() == ["y", "x"]
    longer = r.write_rda(tmp_path / "l.rda", clusters=r.factor([2, 1, 1], ["x", "y"]))
    assert "3 values without barcodes for 2 cells" in refused(counts, longer)


def test_metadata_that_fit_no_cell_are_refused(tmp_path):
    counts = write_geo_text(tmp_path)
    (tmp_path / "m.tsv").write_text("cell\tanno\nAAA-1\tT\n")
    message = refused(counts, tmp_path / "m.tsv")
    assert "none of 1 barcodes (first 'AAA-1') is in the counts (first 'AAA')" in message
    (tmp_path / "m.tsv").write_text("cell\tanno\nAAA\tT\nAAA\tB\n")
    assert "barcode 'AAA' stands twice" in refused(counts, tmp_path / "m.tsv")
    (tmp_path / "m.tsv").write_text("cell\nAAA\n")
    assert "needs barcodes in the first column" in refused(counts, tmp_path / "m.tsv")
    assert "exactly one object with metadata" in refused(counts, write_dgc_rds(tmp_path))


@pytest.fixture
def parsed():
    obs = pd.DataFrame(
        {
            "source_gate": pd.Categorical(["B", "B", "CD8-CD4+", None]),
            "source_n": pd.Categorical(["1", "1.0", "2", "1"]),
        },
        index=list("abcd"),
    )
    counts = sparse.csr_matrix(np.eye(4, 3, dtype=np.float32))
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES), uns={"ingest": {"x": 1}})


@pytest.mark.parametrize(
    ("select", "cells"),
    [
        ("", "abcd"),
        ("n == 1", "abd"),
        ("n == 1.0; gate == B", "ab"),
        ("gate == 'CD8-CD4+'", "c"),
        ("gate != B", "cd"),
        ("gate == NA", "d"),
        ("gate != NA; n != 2", "ab"),
    ],
)
def test_a_sample_is_what_meets_every_condition(select, cells, parsed):
    sample = select_sample(parsed, sample="s", select=select, labels="")
    assert "".join(sample.obs_names) == cells
    assert sample.uns["ingest"] == {"x": 1, "n_barcodes_selected": len(cells)}
    assert sample.obs["label"].isna().all()
    assert parsed.uns["ingest"] == {"x": 1}


def test_labels_are_the_named_column(parsed):
    sample = select_sample(parsed, sample="s", select="n == 1", labels="gate")
    assert sample.obs["label"].astype(object).tolist()[:2] == ["B", "B"]
    assert pd.isna(sample.obs["label"].iloc[2])


def test_a_selection_that_cannot_be_is_refused(parsed):
    with pytest.raises(InputError, match="no metadata column 'gates'; there are: gate, n"):
        select_sample(parsed, sample="s", select="gates == B", labels="")
    with pytest.raises(InputError, match="labels: the files have no metadata column 'anno'"):
        select_sample(parsed, sample="s", select="", labels="anno")
    with pytest.raises(InputError, match=r"keeps none of 4 cells; 'gate' has B, CD8-CD4\+, NA"):
        select_sample(parsed, sample="s", select="gate == T", labels="")


def test_a_sample_read_from_disk_is_the_same(parsed, tmp_path):
    write_h5ad(parsed, tmp_path / "parsed.h5ad")
    backed = ad.read_h5ad(tmp_path / "parsed.h5ad", backed="r")
    sample = select_sample(backed, sample="s", select="gate == B", labels="gate")
    write_h5ad(sample, tmp_path / "counts.h5ad")
    again = read_h5ad(tmp_path / "counts.h5ad")
    assert again.X.toarray().tolist() == [[1, 0, 0], [0, 1, 0]]
    assert again.X.indices.dtype == again.X.indptr.dtype == np.int32
    assert again.obs["label"].tolist() == ["B", "B"]


@pytest.mark.parametrize("name", ["test_dataframe.rda", "test_dataframe.rds", "test_vector.rda"])
def test_the_stream_parser_reads_what_rdata_reads(name):
    path = Path(rdata.TESTDATA_PATH) / name
    whole = rdata.parser.parse_file(path, extension=path.suffix)
    assert str(formats_r._parse(path)) == str(whole)
