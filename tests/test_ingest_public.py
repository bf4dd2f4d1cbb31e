"""The public files hold what was published of them."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from emhniche.genes import read_aliases
from emhniche.ingest import parse_files, select_sample

ROOT = Path(__file__).resolve().parents[1]


def parse(*paths, file_format="auto", aliases=None, species="mouse"):
    return parse_files(list(paths), file_format=file_format, aliases=aliases or {}, species=species)


@pytest.fixture(scope="module")
def aliases():
    return read_aliases(ROOT / "resources/aliases.tsv", "mouse")


@pytest.fixture(scope="module")
def jaitin(mirror, aliases):
    return parse(mirror / "MouseJaitinSpleen.rda", aliases=aliases)


def test_mca_spleen_has_its_published_cells_and_labels(mirror, aliases):
    parsed = parse(
        mirror / "GSM2906471_Spleen_dge.txt.gz", mirror / "mca.spleen.rda", aliases=aliases
    )
    assert parsed.shape == (2417, 17545)
    sample = select_sample(parsed, sample="mca_spleen", select="", labels="anno")
    labels = sample.obs["label"].value_counts()
    assert labels.sum() == 1970
    assert labels["Marginal zone B cell(Spleen)"] == 1026
    assert labels["T cell(Spleen)"] == 622
    assert labels["Neutrophil(Spleen)"] == 8
    labelled = sample[sample.obs["label"].notna()]
    assert np.median(labelled.X.toarray().sum(axis=1)) == 713.5
    b_cells = labelled[labelled.obs["label"] == "Marginal zone B cell(Spleen)"]
    assert (b_cells[:, "S100a8"].X > 0).sum() == 780
    assert not {"Kitl", "Cxcl12", "Csf3", "Lif", "Cxcl1"} & set(sample.var_names)


def test_klein_p9a_is_cells_by_genes(mirror, aliases):
    parsed = parse(mirror / "P9A.counts.tsv.gz", aliases=aliases)
    assert parsed.shape == (1817, 28205)
    assert (parsed[:, "Klf1"].X > 0).sum() / 1817 == pytest.approx(0.43, abs=0.01)
    assert {"Il36rn", "Il36a", "Il36b", "Il36g"} <= set(parsed.var_names)


def test_matsushita_re_cells_make_cxcl12_and_kitl(mirror, aliases):
    files = [mirror / f"matsushita2023_{name}.rda" for name in ("rnaRaw", "rnaCluster")]
    parsed = parse(*files, aliases=aliases)
    sample = select_sample(parsed, sample="m", select="", labels="rnaCluster")
    assert sample.obs["label"].value_counts().to_dict() == dict.fromkeys(
        ["CH", "ORT", "OS", "RE", "Stem"], 50
    )
    re_cells = sample[sample.obs["label"] == "RE"]
    assert re_cells[:, "Cxcl12"].X.mean() == pytest.approx(71, abs=0.5)
    assert re_cells[:, "Kitl"].X.mean() == pytest.approx(10.9, abs=0.05)
    assert "tdT-WPRE_trans" in sample.var_names
    assert "Itgam.1" not in sample.var_names


def test_jaitin_wells_genes_and_gates(jaitin):
    said = jaitin.uns["ingest"]
    assert (said["n_barcodes_in"], said["n_genes_in"], said["n_ercc_dropped"]) == (4590, 20190, 83)
    assert not jaitin.var_names.str.startswith("ERCC-").any()
    assert jaitin.var.loc["Ccl4", "source_symbol"] == "Ccl4_ScyA4"
    assert jaitin.var.loc["Adgre1", "source_symbol"] == "Emr1"
    assert said["n_aliases_resolved"] + said["n_joined_left"] > 539
    joined = jaitin.var_names[jaitin.var_names.str.contains("_")]
    assert len(joined) == said["n_joined_left"]


def jaitin_samples():
    sheet = pd.read_csv(ROOT / "config/public.tsv", sep="\t", dtype=str, keep_default_na=False)
    return sheet[sheet["dataset"] == "jaitin_spleen"].set_index("sample")


def test_jaitin_samples_share_out_the_single_cells(jaitin):
    cells = [
        select_sample(jaitin, sample=name, select=row["select"], labels="").obs_names
        for name, row in jaitin_samples().iterrows()
    ]
    assert sum(map(len, cells)) == len(set().union(*cells)) == 4468


def test_lps_raises_what_it_was_published_to_raise(jaitin):
    """Percent of CD11c+ wells of 300 counts or more that have the gene, LPS against none."""
    sheet = jaitin_samples()
    arms = {"LPS": ["jaitin_m5_cd11c_lps"], "control": ["jaitin_m4_cd11c", "jaitin_cd11c"]}
    shares = {}
    for arm, names in arms.items():
        parts = [
            select_sample(jaitin, sample=name, select=sheet.at[name, "select"], labels="")
            for name in names
        ]
        cells = ad.concat(parts)
        wells = cells[np.asarray(cells.X.sum(axis=1)).ravel() >= 300]
        genes = ["Cxcl10", "Ccl4", "Il1rn", "Il1b", "Tnf"]
        shares[arm] = (wells[:, genes].X.toarray() > 0).mean(axis=0) * 100
    assert shares["LPS"].round().tolist() == [88, 30, 19, 13, 7]
    assert shares["control"].round().tolist() == [11, 6, 2, 8, 4]
