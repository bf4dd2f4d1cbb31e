"""The demo's expression profiles: what a simulated cell type expresses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche import profiles as module
from emhniche.dispersion import HIGHEST, LOWEST, dispersions
from emhniche.errors import InputError
from emhniche.io import read_h5ad, read_table, write_table
from emhniche.profile_build import CLASSES, SHARES, build_profiles, listed_genes
from emhniche.profiles import PROFILES, SCALE, TISSUES, expression
from emhniche.resources import load_lineages, load_panel

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "resources" / "demo"
PUBLIC = ROOT / "results" / "public"

MARROW_ONLY = {"marrow_macrophage", "LepR_CAR_MSC", "EC_marrow"}
SPLEEN_ONLY = {"RPM", "EC_spleen", "RedPulp_stroma_Tcf21"}
BOTH = {
    *("follicular_B", "T", "NK", "plasma", "DC", "cMono", "preNeu", "immNeu", "matNeu"),
    *("EryP", "HSPC"),
}
MEASURABLE = 0.5
"""Counts per 10,000: in a library some cells of the type hold the gene."""


@pytest.fixture(scope="module")
def lineages():
    return load_lineages(ROOT / "resources" / "lineages.tsv", "mouse")


@pytest.fixture(scope="module")
def tables(lineages):
    profiles = module.load_profiles(DEMO / "profiles.tsv")
    programmes = module.load_programmes(DEMO / "programmes.tsv", profiles.index)
    types = module.load_cell_types(
        DEMO / "cell_types.tsv", programmes=programmes, lineages=lineages
    )
    return profiles, programmes, types


@pytest.fixture(scope="module")
def rates(tables):
    profiles, programmes, types = tables
    return expression(types, profiles, programmes) * SCALE


def test_every_profile_sums_to_its_scale(tables):
    profiles, _, _ = tables
    assert list(profiles.columns) == ["dispersion", *PROFILES]
    assert 3500 <= len(profiles) <= 4500
    assert profiles.index.is_monotonic_increasing
    np.testing.assert_allclose(profiles[list(PROFILES)].sum(), SCALE, rtol=1e-3)
    assert profiles["dispersion"].between(LOWEST, HIGHEST).all()


def test_files_are_small():
    sizes = [path.stat().st_size for path in DEMO.iterdir()]
    assert sum(sizes) < 800_000


def test_programmes_replace_one_after_the_other_and_shares_sum_to_one():
    profiles = pd.DataFrame({"B": [6.0, 3.0, 1.0]}, index=["a", "b", "c"])
    programmes = pd.DataFrame(
        {"programme": ["x", "x", "y"], "gene": ["a", "b", "a"], "rate": [0.0, 3.0, 4.0]}
    )
    types = pd.DataFrame({"profile": ["B", "B"], "programmes": [("x", "y"), ()]}, index=["t", "u"])
    found = expression(types, profiles, programmes)
    np.testing.assert_allclose(found["t"], [0.5, 0.375, 0.125])
    np.testing.assert_allclose(found["u"], [0.6, 0.3, 0.1])
    assert profiles["B"].tolist() == [6.0, 3.0, 1.0]


def test_cell_types_and_their_tissues(tables, rates):
    _, _, types = tables
    assert set(types.index) == MARROW_ONLY | SPLEEN_ONLY | BOTH
    np.testing.assert_allclose(rates.sum(), SCALE)
    assert set(types.index[types["spleen"] == 0]) == MARROW_ONLY
    assert set(types.index[types["marrow"] == 0]) == SPLEEN_ONLY
    niche = ["LepR_CAR_MSC", "EC_marrow", "EC_spleen", "RedPulp_stroma_Tcf21"]
    assert (700 * types.loc[niche, list(TISSUES)].max(axis=1) >= 25).all()
    stages = types["maturation"].dropna()
    assert stages.to_dict() == {"preNeu": 0.0, "immNeu": 0.5, "matNeu": 1.0}


def test_every_row_has_a_source(tables):
    for table in tables[1:]:
        for column in ("source", "verification"):
            assert (table[column].str.len() >= 8).all()
    memory = tables[1]["verification"].str.contains("from memory|derived here")
    assert memory.mean() > 0.5, "most rates were never measured, and the table says so"


def _markers(lineages, cell_type, polarity, name=None):
    rows = lineages[(lineages["cell_type"] == cell_type) & (lineages["polarity"] == polarity)]
    rows = rows if name is None else rows[rows["tissue"].isin([name, "any"])]
    return sorted(set(rows["genes"].explode()))


def test_positive_markers_of_the_own_lineage_are_on(tables, rates, lineages):
    _, _, types = tables
    for name, row in types.iterrows():
        markers = [g for g in _markers(lineages, row["lineage"], "positive") if g in rates.index]
        on = (rates.loc[markers, name] >= MEASURABLE).mean()
        # monocytes and macrophages share one list, and so do cDC and pDC, bone and fat
        assert on >= 0.5, f"{name}: {on:.0%} of the markers of {row['lineage']}"
        for other in set(types["lineage"]) - {row["lineage"]}:
            theirs = [g for g in _markers(lineages, other, "positive") if g in rates.index]
            assert on > (rates.loc[theirs, name] >= MEASURABLE).mean(), f"{name} looks like {other}"


def test_negative_markers_of_the_own_lineage_are_off(tables, rates, lineages):
    _, _, types = tables
    for name, row in types.iterrows():
        own = rates.loc[_markers(lineages, row["lineage"], "negative"), name]
        # NK: the MCA's label takes in some NKT cells; HSPC: the first granules
        limit = 3.0 if name == "NK" else 0.6
        assert own.max() <= limit, f"{name}: {own.idxmax()} at {own.max():.2g}"


@pytest.mark.parametrize(
    "name, finer",
    [
        ("follicular_B", "follicular_B"),
        ("DC", "cDC2"),
        ("cMono", "cMono"),
        ("RPM", "RPM"),
        ("preNeu", "preNeu"),
        ("immNeu", "immNeu"),
        ("matNeu", "matNeu"),
        ("EryP", "EryP"),
        ("HSPC", "GMP"),
        ("LepR_CAR_MSC", "LepR_CAR_MSC"),
        ("EC_marrow", "EC_sinusoidal"),
        ("EC_spleen", "EC_sinusoidal"),
        ("RedPulp_stroma_Tcf21", "RedPulp_stroma_Tcf21"),
    ],
)
def test_finer_names_hold_their_markers(tables, rates, lineages, name, finer):
    assert finer in tables[2].at[name, "named"]
    on = rates.loc[_markers(lineages, finer, "positive"), name] >= MEASURABLE
    assert on.mean() >= 0.8, on.index[~on].tolist()


def test_tumour_derived_ligands_are_silent(rates):
    assert (rates.loc[["Csf3", "Lif"]] == 0).all(axis=None)


def test_cxcr2_rises_with_maturation_and_the_pathological_genes_do_not(rates):
    stages = rates[["preNeu", "immNeu", "matNeu"]]
    assert stages.loc["Cxcr2", "preNeu"] == 0
    for gene in ("Cxcr2", "Csf3r", "Il1b", "Retnlg"):
        assert stages.loc[gene].is_monotonic_increasing
        assert stages.loc[gene, "matNeu"] > 3 * stages.loc[gene, "preNeu"]
    for gene in ("Ngp", "Camp", "Chil3", "Stmn1"):
        assert stages.loc[gene].is_monotonic_decreasing
    strict = stages.loc[["Cd84", "Arg2", "Pla2g7", "Clec4e", "Il36g"]]
    assert strict.min(axis=None) >= 0.5
    assert (strict.max(axis=1) / strict.min(axis=1)).max() < 1.15


def test_kitl_and_cxcl12_are_made_by_niche_cells(tables, rates):
    _, _, types = tables
    blood = types.index[~types["lineage"].isin(["stroma", "endothelium"])]
    marrow = types.index[types["marrow"] > 0]
    for gene in ("Kitl", "Cxcl12"):
        assert (rates.loc[gene, blood] == 0).all()
        assert rates.loc[gene, marrow].idxmax() == "LepR_CAR_MSC"
        assert (rates.loc[gene].drop(blood) >= 2).all()
    assert rates.at["Cxcl12", "RedPulp_stroma_Tcf21"] > rates.at["Cxcl12", "EC_spleen"]


def test_what_floats_in_the_spleen_suspension_is_not_in_the_profiles(tables):
    profiles, _, _ = tables
    others = profiles.drop(columns=["dispersion", "B", "plasma"])
    # the MCA's T cells hold 79 counts of Igkc per 10,000, its B cells 22 of S100a8
    assert (others.loc[["Igkc", "Ighm", "Jchain"]] == 0).all(axis=None)
    assert (profiles.loc[["S100a8", "Ngp", "Camp"], ["B", "T", "NK", "stroma"]] == 0).all(axis=None)
    assert (profiles.loc[["Hba-a1", "Hbb-bs"], ["B", "T", "macrophage", "stroma"]] == 0).all(
        axis=None
    )
    assert profiles.at["Cd79a", "T"] < 0.01 * profiles.at["Cd79a", "B"]
    assert profiles.at["Lyz2", "T"] < 0.01 * profiles.at["Lyz2", "monocyte"]
    assert profiles.at["Prss34", "progenitor"] < 1


def test_core_panel_is_there_but_for_genes_no_file_has(rates):
    panel = load_panel(ROOT / "resources" / "panel.tsv", "mouse")
    assert set(panel["gene"]) <= set(rates.index)


def test_mitochondrial_and_ribosomal_shares_are_those_of_cells(rates):
    share = pd.DataFrame(
        {name: rates[rates.index.str.fullmatch(rule)].sum() / 100 for name, rule in CLASSES.items()}
    )
    assert share["mitochondrial"].between(2, 6).all()
    assert share["ribosomal"].between(10, 30).all()
    assert (SHARES > 0).all(axis=None)


def test_planted_dispersion_comes_back():
    rng = np.random.default_rng(1)
    n_genes, n_cells = 1500, 200
    planted = np.exp(rng.normal(np.log(0.4), 0.8, n_genes)).clip(0.05, 3)
    base = np.exp(rng.normal(-8.5, 1.5, n_genes))
    groups, total = [], np.zeros(n_genes)
    for _ in range(4):
        rate = base * np.exp(rng.normal(0, 0.5, n_genes))
        size = 1500 * np.exp(rng.normal(0, 0.5, n_cells))
        mean = size[:, None] * rate / rate.sum()
        counts = rng.poisson(rng.gamma(1 / planted, planted, mean.shape) * mean)
        groups.append(sparse.csr_matrix(counts.astype(np.float32)))
        total += counts.sum(axis=0)
    found, own = dispersions(groups, np.arange(n_genes))
    ratio = np.log(found / planted)
    many, few = total > 1000, total < 30
    assert abs(np.median(ratio[many])) < 0.1
    assert np.std(ratio[many]) < 0.3
    assert own[few].max() < 0.3 < own[many].min()
    # genes that say little get what genes in general have, not 0
    assert abs(np.median(ratio[few])) < 0.7


def test_counting_noise_alone_is_no_dispersion():
    rng = np.random.default_rng(2)
    size = 2000 * np.exp(rng.normal(0, 0.6, 400))
    rate = rng.dirichlet(np.ones(300))
    counts = sparse.csr_matrix(rng.poisson(size[:, None] * rate).astype(np.float32))
    found, _ = dispersions([counts], np.arange(300))
    assert np.median(found) < 0.03


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("dispersion", 0, "dispersion is 0; it would be above 0"),
        ("T", -1, "T is -1; it would be at least 0"),
        ("T", "x", "T is 'x', not a number"),
    ],
)
def test_a_wrong_number_in_profiles_is_named(tmp_path, column, value, message):
    table = read_table(DEMO / "profiles.tsv").head(3).astype(object)
    table.loc[1, column] = value
    write_table(table, tmp_path / "profiles.tsv")
    with pytest.raises(InputError, match=message) as error:
        module.load_profiles(tmp_path / "profiles.tsv")
    assert "\n" not in str(error.value) and table.at[1, "gene"] in str(error.value)


def test_a_programme_of_an_unknown_gene_is_named(tmp_path, tables):
    table = read_table(DEMO / "programmes.tsv")
    table.loc[3, "gene"] = "Nogene1"
    write_table(table, tmp_path / "programmes.tsv")
    with pytest.raises(InputError, match="gene Nogene1 is not in"):
        module.load_programmes(tmp_path / "programmes.tsv", tables[0].index)


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("profile", "C", "profile 'C' is unknown"),
        ("programmes", "haematopoietic;nothing", "programmes 'nothing' is unknown"),
        ("named", "B;RPM", "named 'RPM' is unknown"),
        ("marrow", 0.5, "marrow sums to"),
        ("counts", 0, "counts 0 is too small"),
        ("source", "", "source is empty"),
    ],
)
def test_a_wrong_cell_type_is_named(tmp_path, tables, lineages, column, value, message):
    table = read_table(DEMO / "cell_types.tsv").astype(object)
    table.loc[0, column] = value
    write_table(table, tmp_path / "cell_types.tsv")
    with pytest.raises(InputError, match=message):
        module.load_cell_types(tmp_path / "cell_types.tsv", programmes=tables[1], lineages=lineages)


def test_rebuilding_gives_the_committed_table_but_for_the_cells_that_qc_now_keeps():
    if not (PUBLIC / "cells.h5ad").is_file():
        pytest.skip("no finished public run in results/public; make public makes one")
    built = build_profiles(
        read_h5ad(PUBLIC / "cells.h5ad"),
        read_table(PUBLIC / "annotate" / "annotation.parquet"),
        listed=listed_genes(ROOT / "resources"),
        named=list(read_table(DEMO / "programmes.tsv")["gene"]),
    ).set_index("gene")
    committed = read_table(DEMO / "profiles.tsv").set_index("gene")
    assert list(built) == list(committed)
    both = built.index.intersection(committed.index)
    assert len(both) >= 0.99 * len(committed)
    for profile in committed.columns.drop("dispersion"):
        found, known = (table.loc[both, profile].fillna(0.0) for table in (built, committed))
        assert (found - known).abs().max() < 0.03 * known.max(), profile
        assert np.corrcoef(np.sqrt(found), np.sqrt(known))[0, 1] > 0.99, profile
