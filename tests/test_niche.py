"""The tables of the stage agree with each other, and with what is published of real data."""

from dataclasses import fields
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from emhniche.errors import InputError
from emhniche.genes import read_aliases
from emhniche.ingest import parse_files, select_sample
from emhniche.niche import NicheTables, compare_niches
from emhniche.resources import load_ligand_receptor, load_panel
from emhniche.settings import load_run
from niche_cohort import cohort, panel_of, two_arms

ROOT = Path(__file__).parents[1]
LIMITS = {"min_cells": 20, "min_counts": 10, "min_units": 3}
NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
PAIRS = pd.DataFrame(
    [{"axis": "X", "ligand": "g0", "receptor": "g1", "coreceptor": (), "sign": "agonist"}]
)


def test_a_testable_cohort_fills_every_table():
    cells, annotation = cohort(two_arms(3), seed=0, n_genes=60, effects={"g0": 2.0})
    tables = compare_niches(
        cells, annotation, panel_of(["g0", "g1"]), PAIRS, contrasts=[NICHE], **LIMITS
    )
    assert tables.design["verdict"].tolist() == ["tested"]
    assert (tables.contrasts["status"] == "tested").all()
    assert (tables.composition["status"] == "tested").all()
    assert (tables.production["status"] == "described").all()
    assert set(tables.ligand_receptor["unit"]) == {"s0", "s1", "s2", "m0", "m1", "m2"}


def test_without_contrasts_niches_are_still_described():
    cells, annotation = cohort(two_arms(1)[:1], seed=0, n_genes=60)
    tables = compare_niches(
        cells, annotation, panel_of(["g0", "g1"]), PAIRS, contrasts=[], **LIMITS
    )
    assert tables.design.empty
    assert tables.contrasts.empty
    assert tables.composition.empty
    assert len(tables.production) == 4


def test_data_without_a_panel_gene_are_refused():
    cells, annotation = cohort(two_arms(1), seed=0, n_genes=20)
    panel = load_panel(ROOT / "resources/panel.tsv", "mouse")
    with pytest.raises(InputError, match=r"panel\.tsv: none of its"):
        compare_niches(cells, annotation, panel, PAIRS, contrasts=[], **LIMITS)


LABELS = {
    "Marginal zone B cell(Spleen)": "B",
    "T cell(Spleen)": "T",
    "NK cell(Spleen)": "NK",
    "Plasma cell(Spleen)": "plasma",
    "Dendritic cell_S100a4 high(Spleen)": "DC",
    "Dendritic cell_Siglech high(Spleen)": "DC",
    "Monocyte(Spleen)": "monocyte_macrophage",
    "Macrophage(Spleen)": "monocyte_macrophage",
    "Granulocyte(Spleen)": "neutrophil",
    "Neutrophil(Spleen)": "neutrophil",
    "Erythroblast(Spleen)": "erythroid",
    **dict.fromkeys(["CH", "ORT", "OS", "RE", "Stem"], "stroma"),
}
SAMPLES = (
    "mca_spleen",
    "matsushita_stroma",
    "jaitin_m4_cd11c",
    "jaitin_m5_cd11c_lps",
    "jaitin_cd11c",
)


def read_sample(mirror: Path, row: pd.Series, parsed: dict[str, ad.AnnData]) -> ad.AnnData:
    """Return a sample's labelled cells, or all where the sort gate is the label."""
    if row["file"] not in parsed:
        parsed[row["file"]] = parse_files(
            [mirror / name for name in row["file"].split(";")],
            file_format=row["format"],
            aliases=read_aliases(ROOT / "resources/aliases.tsv", "mouse"),
            species="mouse",
        )
    found = select_sample(
        parsed[row["file"]], sample=row.name, select=row["select"], labels=row["labels"]
    )
    label = found.obs["label"].astype(object)
    if row["labels"]:
        found = found[label.notna()].copy()
        label = label.dropna()
        found.obs["lineage"] = label.map(LABELS).to_numpy()
        found.obs["cell_type"] = label.where(label.isin(["RE", "CH", "OS"]), found.obs["lineage"])
    else:
        found = found[np.asarray(found.X.sum(axis=1)).ravel() >= 300].copy()
        found.obs["lineage"] = found.obs["cell_type"] = "DC"
    return found


@pytest.fixture(scope="module")
def public(mirror: Path) -> NicheTables:
    """Two real spleens and a real marrow, with published labels and sort gates for lineages."""
    run = load_run(yaml.safe_load((ROOT / "config/public.yaml").read_text()), ROOT)
    parsed: dict[str, ad.AnnData] = {}
    parts = {name: read_sample(mirror, run.samples.loc[name], parsed) for name in SAMPLES}
    genes = pd.Index(sorted(set().union(*(part.var_names for part in parts.values()))))
    blocks, obs, soup = [], [], {}
    measured = pd.DataFrame(False, genes, run.samples["dataset"].unique())
    for name, part in parts.items():
        place = genes.get_indexer(part.var_names)
        blocks.append(
            part.X
            @ sparse.csr_matrix(
                (np.ones(len(place)), (np.arange(len(place)), place)), (len(place), len(genes))
            )
        )
        measured.loc[part.var_names, run.samples.at[name, "dataset"]] = True
        row = part.obs[["lineage", "cell_type"]].assign(sample=name, **run.samples.loc[name])
        obs.append(row.set_axis(name + ":" + row.index))
        soup[name] = np.asarray(blocks[-1].sum(axis=0)).ravel() / blocks[-1].sum()
    table = pd.concat(obs)
    cells = ad.AnnData(sparse.vstack(blocks).tocsr(), table, pd.DataFrame(index=genes))
    cells.obs = cells.obs.assign(n_counts=np.asarray(cells.X.sum(axis=1)).ravel(), ambient=np.nan)
    cells.varm["measured"], cells.varm["ambient"] = measured, pd.DataFrame(soup, genes)
    annotation = table[["lineage", "cell_type"]].rename_axis("cell_id").reset_index()
    cells.obs = cells.obs.drop(columns=["lineage", "cell_type"])
    panel = load_panel(ROOT / "resources/panel.tsv", "mouse")
    pairs = load_ligand_receptor(ROOT / "resources/ligand_receptor.tsv", "mouse", panel)
    # not of the panel, but the strongest published answer to LPS in these cells
    extra = panel_of(["Cxcl10"], "extended")
    return compare_niches(
        cells,
        annotation,
        pd.concat([panel, extra], ignore_index=True),
        pairs,
        **run.config["niche"],
    )


def test_spleen_against_marrow_is_refused_in_words(public):
    design = public.design.set_index("contrast").loc["extramedullary_vs_marrow"]
    assert design["verdict"] == design["composition_verdict"] == "not_identifiable"
    assert design["reason"].startswith(
        "niche cannot be told from study: every extramedullary library is Han2018 or Jaitin2014, "
        "every marrow library Matsushita2023"
    )
    assert np.isnan(design["min_attainable_p"])
    rows = public.contrasts[public.contrasts["contrast"] == "extramedullary_vs_marrow"]
    assert set(rows["status"]) <= {"not_identifiable", "not_testable"}


def test_no_p_anywhere(public):
    for field in fields(public):
        table = getattr(public, field.name)
        for column in {"p", "q"} & set(table):
            assert table[column].isna().all(), field.name


def test_ligands_that_whole_spleen_lacks_are_not_testable(public):
    production = public.production.set_index(["gene", "dataset"])
    for gene in ("Kitl", "Cxcl12", "Csf3", "Lif"):
        rows = production.loc[(gene, "mca_spleen")]
        assert (rows["status"] == "not_testable").all()
        assert rows["detection"].isna().all()
        contrast = public.contrasts.query("gene == @gene and contrast != 'lps_vs_control'")
        assert (contrast["status"] == "not_testable").all()
        assert contrast["effect"].isna().all()


def test_car_like_stroma_makes_most_cxcl12_and_kitl(public):
    marrow = public.production.query("dataset == 'matsushita_marrow'")
    for gene in ("Cxcl12", "Kitl"):
        rows = marrow[marrow["gene"] == gene].set_index("cell_type")
        assert rows["logcpm"].idxmax() == "RE"
        assert rows.loc["RE", "detection"] > 0.9
        assert (rows["status"] == "not_identifiable").all(), "cells were picked, so no share"


def test_lps_raises_interleukin_1_and_cxcl10_in_the_one_mouse(public):
    design = public.design.set_index("contrast").loc["lps_vs_control"]
    assert design["verdict"] == "effect_only"
    assert (
        "condition cannot be told from donor: every LPS library is of jaitin_m5" in design["reason"]
    )
    rows = public.contrasts.query("contrast == 'lps_vs_control' and level == 'lineage'")
    rows = rows[rows["cell_type"] == "DC"].set_index("gene")
    assert (rows.loc[["Il1rn", "Il1b", "Cxcl10"], "effect"] > 1).all()
    assert (rows.loc[["Il1rn", "Il1b", "Cxcl10"], "status"] == "effect_only").all()
    assert rows.loc["Cxcl10", "detection_test"] == pytest.approx(0.88, abs=0.01)
    assert rows.loc["Il1rn", "role"] == "antagonist"


def test_neutrophil_s100a8_in_spleen_b_cells_is_ambient(public):
    rows = public.production.query("gene == 'S100a8' and dataset == 'mca_spleen'")
    rows = rows.set_index("cell_type")
    assert rows.loc["B", "detection"] == pytest.approx(780 / 1026, abs=0.001)
    assert rows.loc[["B", "T", "NK", "DC"], "ambient"].all()
    assert not rows.loc["neutrophil", "ambient"]
    assert rows.loc["neutrophil", "logcpm"] > rows.loc["B", "logcpm"] + 3


def test_il1rn_is_never_an_agonist_in_real_data(public):
    pairs = public.ligand_receptor
    assert set(pairs.loc[pairs["ligand"] == "Il1rn", "sign"]) == {"antagonist"}
    assert set(public.contrasts.loc[public.contrasts["gene"] == "Il1rn", "role"]) == {"antagonist"}
