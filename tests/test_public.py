"""Published facts come back when the real public counts go through the workflow."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from benchmark_qc import groups, losses
from emhniche import io
from emhniche.latent_batches import N_NEIGHBORS, neighbour_share
from emhniche.lineage import group_rates
from workflow import ROOT, snakemake

pytestmark = pytest.mark.workflow

MYELOID = {"DC", "monocyte_macrophage", "neutrophil", "mast_basophil", "eosinophil"}
PUBLISHED = {"Marginal zone B cell": "B", "T cell": "T", "NK cell": "NK"}
NOT_MYELOID = {**PUBLISHED, "Plasma cell": "plasma", "Erythroblast": "erythroid"}


@pytest.fixture(scope="session")
def results(mirror, tmp_path_factory):
    """Results of the public configuration, run from files to report."""
    folder = tmp_path_factory.mktemp("public")
    run = snakemake(
        folder,
        *("--cores", "2", "--resources", "mem_mb=4000"),
        config=str(ROOT / "config" / "public.yaml"),
        EMH_MIRROR=str(mirror),
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return folder / "results" / "public"


@pytest.fixture(scope="session")
def cells(results):
    """Kept cells with their annotation."""
    found = io.read_h5ad(results / "cells.h5ad")
    annotation = io.read_table(results / "annotate" / "annotation.parquet").set_index(io.CELL_ID)
    found.obs = found.obs.join(annotation)
    return found


def test_published_lineages_of_the_mouse_cell_atlas_spleen_are_found(cells):
    mca = cells.obs[(cells.obs["dataset"] == "mca_spleen") & (cells.obs["label"] != "")]
    published = (
        mca["label"].str.replace("(Spleen)", "").map(lambda n: NOT_MYELOID.get(n, "myeloid"))
    )
    found = mca["lineage"].astype(str).map(lambda n: "myeloid" if n in MYELOID else n)
    assert len(mca) > 1900
    lineages = ["B", "T", "NK", "myeloid"]
    assert f1_score(published, found, labels=lineages, average="macro") >= 0.9


def test_sort_gates_of_the_jaitin_spleen_are_found(cells):
    lineage = cells.obs["lineage"].astype(str)
    sample = cells.obs["sample"].astype(str)
    gates = [name for name in sample.unique() if name.startswith("jaitin_cd8")]
    assert (lineage[sample.isin(gates)] == "DC").mean() > 0.9
    assert (lineage[sample == "jaitin_b_cell"] == "B").mean() > 0.7


def test_markers_of_the_clusters_rise(results):
    markers = io.read_table(results / "annotate" / "markers.tsv")
    assert (markers["log2_fold_change"] > 0).all()
    b_cells = markers[markers["lineage"] == "B"]
    assert {"Cd79a", "Cd79b"} <= set(b_cells["gene"])


def test_marrow_stroma_is_one_lineage_of_its_own(cells):
    stroma = cells.obs["lineage"] == "stroma"
    matsushita = cells.obs["dataset"] == "matsushita_marrow"
    assert stroma[matsushita].mean() >= 0.95
    assert matsushita[stroma].mean() >= 0.9


def test_kitl_and_cxcl12_are_highest_in_reticular_stroma(cells):
    own = cells[(cells.obs["dataset"] == "matsushita_marrow").to_numpy()].copy()
    rates = group_rates(own, own.obs["label"], ["Kitl", "Cxcl12"])
    assert rates.idxmax().tolist() == ["RE", "RE"]


def test_replicate_libraries_mix_and_erythroid_progenitors_stay_erythroid(results, cells):
    latent = io.read_table(results / "integration" / "scvi" / "latent.parquet")
    points = latent.set_index(io.CELL_ID).reindex(cells.obs_names).to_numpy()
    sample = cells.obs["sample"].astype(str).to_numpy()
    pair = np.isin(sample, ["klein_p11a", "klein_p11b"])
    other = neighbour_share(points[pair], sample[pair], n_neighbors=N_NEIGHBORS).mean()
    share = (sample[pair] == "klein_p11a").mean()
    chance = 2 * share * (1 - share)
    assert other > chance - 0.10
    assert (cells.obs["lineage"][sample == "klein_p9a"] == "erythroid").mean() > 0.95


def test_lps_raises_its_published_genes_in_spleen_myeloid_cells(cells):
    jaitin = cells[(cells.obs["dataset"] == "jaitin_spleen").to_numpy()].copy()
    cd11c = jaitin[jaitin.obs["sample"].isin(["jaitin_m4_cd11c", "jaitin_m5_cd11c_lps"])].copy()
    rates = group_rates(cd11c, cd11c.obs["condition"], ["Cxcl10", "Il1rn", "Il1b"])
    assert (rates.loc["LPS"] > 1.5 * rates.loc["control"]).all()


def test_neutrophil_s100a8_is_ambient_in_b_cells(results):
    summary = io.read_json(results / "samples" / "mca_spleen" / "qc.json")
    flagged = {(row["lineage"], row["gene"]) for row in summary["ambient_genes"]}
    assert ("B", "S100a8") in flagged
    assert ("B", "Cd79a") not in flagged


def test_spleen_against_marrow_gets_no_p_value_and_says_why(results):
    design = io.read_table(results / "niche" / "design.tsv").set_index("contrast")
    contrasts = io.read_table(results / "niche" / "contrasts.tsv")
    tissue = contrasts[contrasts["contrast"] == "extramedullary_vs_marrow"]
    assert design.loc["extramedullary_vs_marrow", "verdict"] == "not_identifiable"
    assert "cannot be told from study" in design.loc["extramedullary_vs_marrow", "reason"]
    assert set(tissue["status"]) <= {"not_identifiable", "not_testable"}
    assert contrasts["p"].isna().all()
    assert contrasts["q"].isna().all()
    assert tissue["effect"].notna().any()  # what can be shown is shown


def test_niche_ligands_are_not_testable_in_spleen_and_never_zero(results):
    production = io.read_table(results / "niche" / "production.tsv")
    spleen = production[
        (production["niche"] == "extramedullary") & (production["role"] == "ligand")
    ]
    for gene in ("Kitl", "Cxcl12", "Csf3", "Lif"):
        rows = spleen[(spleen["gene"] == gene) & (spleen["dataset"] == "mca_spleen")]
        assert set(rows["status"]) == {"not_testable"}, gene
        assert rows["logcpm"].isna().all()


def test_without_three_reference_mice_no_myeloid_cell_is_called(results):
    calls = io.read_table(results / "myeloid" / "calls.parquet")
    gates = io.read_table(results / "myeloid" / "gates.tsv")
    assert len(calls) > 1000
    assert calls["pathological"].isna().all()
    assert calls["residual"].notna().any()
    assert gates["reason"].str.len().gt(0).all()


def test_low_rna_neutrophils_and_erythroid_cells_survive_quality_control(results):
    counts = io.read_h5ad(results / "samples" / "mca_spleen" / "counts.h5ad")
    qc = io.read_table(results / "samples" / "mca_spleen" / "qc.parquet")
    label = counts.obs["label"].astype(str).to_numpy()
    frail = np.isin(label, ["Granulocyte(Spleen)", "Neutrophil(Spleen)", "Erythroblast(Spleen)"])
    frail &= (qc["n_counts"] >= 300).to_numpy()
    assert frail.sum() > 30
    assert qc["reason"][frail].isin(["low_counts", "low_genes"]).mean() < 0.05


def test_global_cuts_drop_what_thresholds_within_lineages_keep(results):
    table = losses(groups(results)).set_index(["dataset", "group", "rule"])["percent"]
    by_rule = table.unstack("rule")
    assert len(by_rule) >= 4
    assert (by_rule["within lineage: low counts or genes"] < 5).all()
    granulocytes = by_rule.xs("granulocyte", level="group").iloc[0]
    assert granulocytes["global: fewer than 500 genes"] > 50
    marrow = by_rule.xs("erythroid", level="group").iloc[0]
    assert marrow["global: mitochondria above 5 %"] > 50


def test_no_public_library_fails_and_a_pool_of_both_sexes_is_told(results):
    table = io.read_table(results / "samples.tsv").set_index("sample")
    assert (table["verdict"] != "fail").all(), table["verdict_reason"].to_dict()
    assert table.at["matsushita_stroma", "sex_status"] == "mixed"
    assert table.filter(like="klein", axis=0)["sex_observed"].eq("male").all()
    assert table.at["mca_spleen", "sex_observed"] == "female"


def test_lps_raises_il1_and_tnf_in_myeloid_cells_and_not_in_b_or_t(results):
    contrasts = io.read_table(results / "niche" / "contrasts.tsv")
    rows = contrasts[
        (contrasts["contrast"] == "lps_vs_control") & (contrasts["level"] == "lineage")
    ].set_index(["gene", "cell_type"])
    for gene in ("Il1b", "Tnf"):
        for lineage in ("monocyte_macrophage", "DC"):
            row = rows.loc[(gene, lineage)]
            assert row["status"] == "effect_only"
            assert row["effect"] > 1
            assert row["detection_test"] > 2 * row["detection_reference"]
        for lineage in ("B", "T"):
            row = rows.loc[(gene, lineage)]
            assert row["status"] == "not_testable", "too few counts, and not a rise"
            assert np.isnan(row["effect"])
            most = rows.loc[(gene, "monocyte_macrophage"), "detection_test"]
            assert row["detection_test"] < most / 3
    assert set(rows.loc["Il1rn", "role"]) == {"antagonist"}


def test_every_known_answer_that_these_data_can_give_is_given(results):
    answers = io.read_table(results / "known_answers.tsv").set_index("check")
    assert not (answers["status"] == "fail").any(), answers[answers["status"] == "fail"]
    given = ["KA01.matsushita", "KA05.mca", "KA16.tables"]
    assert answers.index[answers["status"] == "pass"].tolist() == given
    assert set(answers.loc[given[:-1], "scope"]) == {"stand_in"}
    # some 70 neutrophils: Wfdc17 is within two standard errors of no correlation
    assert "a clear correlation" in answers.at["KA04.mca", "observed"]
    missing = answers[answers["status"] == "not_testable"]
    unmeasured = missing["observed"].str.endswith("not measured in mca_spleen")
    assert missing.index[unmeasured].tolist() == ["KA02.mca", "KA12.mca"]
    others = missing.loc[~unmeasured, "observed"]
    assert others.str.match("no dataset of this run is|no gate of|no library").all()


def test_every_number_that_is_missing_has_a_status(results):
    contrasts = io.read_table(results / "niche" / "contrasts.tsv")
    allowed = {"tested", "not_testable", "not_identifiable", "effect_only"}
    assert set(contrasts["status"]) <= allowed
    assert (contrasts.loc[contrasts["status"] != "tested", "reason"].str.len() > 0).all()
    assert not (contrasts["status"] == "tested").any()
    assert pd.read_csv(results / "score" / "null.tsv", sep="\t")["status"].notna().all()


def test_lps_is_answered_by_myeloid_cells_and_not_by_lymphocytes(results):
    table = io.read_table(results / "niche" / "responses.tsv")
    lps = table[(table["contrast"] == "lps_vs_control") & (table["level"] == "lineage")]
    effect = lps.set_index(["set", "cell_type"])["effect"]
    assert effect["TNF_NFkB", "monocyte_macrophage"] > 1
    assert effect["IL1_IkBz", "monocyte_macrophage"] > 1
    assert effect["TNF_NFkB", "DC"] > 0.5
    assert abs(effect["TNF_NFkB", "B"]) < 0.5
    assert abs(effect["TNF_NFkB", "T"]) < 0.5
    # one mouse an arm: an effect, and no p
    assert lps["p"].isna().all()
