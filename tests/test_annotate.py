import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche.annotate import annotate_clusters
from emhniche.lineage import UNRESOLVED
from emhniche.marker_levels import marker_levels
from planted import library, lineage_table

SETTINGS = {"min_score": 0.1, "min_confidence": 0.5, "n_resamples": 50, "seed": 0}
SETTINGS["found_again"] = pd.Series(1.0, index=[str(number) for number in range(20)])
MIX = {"B": 80, "T": 80, "NK": 40, "monocyte_macrophage": 60, "neutrophil": 40, "erythroid": 40}


@pytest.fixture(scope="module")
def planted():
    cells = library(MIX)
    cells.obs["dataset"] = "d"
    cells.obs["tissue"] = "spleen"
    cells.obs["qc_lineage"] = cells.obs["truth"]
    cells.obs["sample"] = np.resize(["s0", "s1", "s2", "s3"], cells.n_obs)
    cells.obs["donor"], cells.obs["donor_known"] = "d" + cells.obs["sample"].str[1:], True
    cells.varm["measured"] = pd.DataFrame({"d": True}, index=cells.var_names)
    codes = pd.Series(pd.factorize(cells.obs["truth"])[0].astype(str), index=cells.obs_names)
    return cells, codes, annotate_clusters(cells, codes, lineage_table(), **SETTINGS)


def test_each_cluster_gets_its_lineage(planted):
    cells, _, (annotation, named, _) = planted
    assert (annotation["lineage"].to_numpy() == cells.obs["truth"].to_numpy()).all()
    assert (named["confidence"] > 0.9).all()
    assert (named["agreement"] == 1).all()
    assert named.loc[named["dataset"] == "", "n_cells"].sum() == cells.n_obs


def test_confidence_falls_where_the_cluster_is_not_found_again(planted):
    cells, codes, (annotation, _, _) = planted
    found = SETTINGS["found_again"].copy()
    found["0"] = 0.5
    again, parts, markers = annotate_clusters(
        cells, codes, lineage_table(), **(SETTINGS | {"found_again": found})
    )
    inside = (codes == "0").to_numpy()
    before, after = annotation["confidence"].to_numpy(), again["confidence"].to_numpy()
    np.testing.assert_allclose(after[inside], before[inside] / 2)
    np.testing.assert_array_equal(after[~inside], before[~inside])
    assert again["lineage"].equals(annotation["lineage"])
    assert (parts.set_index("cluster").loc["0", "found_again"] == 0.5).all()
    first = markers.groupby("cluster")["gene"].first()
    assert (parts["marker"] == parts["cluster"].map(first)).all()


def test_top_markers_are_planted_markers_and_donors_agree(planted):
    _, _, (_, _, markers) = planted
    first = markers.groupby("cluster").head(5)
    sets = lineage_table().query("lineage == cell_type and polarity == 'positive'")
    for lineage, group in first.groupby("lineage"):
        assert set(group["gene"]) <= set(sets.loc[sets["lineage"] == lineage, "genes"].iloc[0])
    assert (first["auroc"] > 0.55).all()
    assert (first["donors"] == 4).all() and (first["donors_higher"] == 4).all()
    tested = first[first["status"] == "tested"]
    assert len(tested) > 0.8 * len(first) and (tested["q"] < 0.05).mean() > 0.9
    assert (tested["q"] >= tested["p"]).all()


def test_a_mixture_of_everything_stays_unresolved(planted):
    cells, _, _ = planted
    one = pd.Series("0", index=cells.obs_names)
    shuffled = cells.copy()
    rng = np.random.default_rng(0)
    shuffled.X = shuffled.X[:, rng.permutation(cells.n_vars)]
    annotation, _, _ = annotate_clusters(
        shuffled, one, lineage_table(), **(SETTINGS | {"min_confidence": 0.95})
    )
    assert set(annotation["lineage"]) == {UNRESOLVED}


def test_unlike_cells_of_two_datasets_in_one_cluster_keep_their_own_names(planted):
    cells, _, _ = planted
    two = cells[cells.obs["truth"].isin(["B", "T"])].copy()
    two.obs["dataset"] = two.obs["truth"].map({"B": "one", "T": "other"})
    two.varm["measured"] = pd.DataFrame({"one": True, "other": True}, index=two.var_names)
    merged = pd.Series("0", index=two.obs_names)
    annotation, named, _ = annotate_clusters(two, merged, lineage_table(), **SETTINGS)
    assert (annotation["lineage"].to_numpy() == two.obs["truth"].to_numpy()).all()
    assert (named["agreement"] <= 0.5).all()


def test_published_labels_take_no_part(planted):
    cells, codes, (annotation, _, _) = planted
    lying = cells.copy()
    lying.obs["label"] = "T cell"
    again, _, _ = annotate_clusters(lying, codes, lineage_table(), **SETTINGS)
    pd.testing.assert_frame_equal(again, annotation)


def test_a_marrow_cluster_is_not_offered_a_spleen_cell_type(planted):
    cells, codes, _ = planted
    marrow = cells.copy()
    marrow.obs["tissue"] = "bone marrow"
    _, named, _ = annotate_clusters(marrow, codes, lineage_table(), **SETTINGS)
    spleen_only = set(lineage_table().query("tissue == 'spleen'")["cell_type"]) - set(
        lineage_table().query("tissue != 'spleen'")["cell_type"]
    )
    assert not set(named["cell_type"]) & spleen_only


@pytest.mark.parametrize("tissue", ["blood", "liver", "tumour"])
def test_a_tissue_without_sets_of_its_own_still_gets_lineages(planted, tissue):
    cells, codes, _ = planted
    other = cells.copy()
    other.obs["tissue"] = tissue
    annotation, _, _ = annotate_clusters(other, codes, lineage_table(), **SETTINGS)
    assert (annotation["lineage"].to_numpy() == cells.obs["truth"].to_numpy()).all()
    own = lineage_table().query("tissue in ('spleen', 'marrow')")["cell_type"]
    shared = lineage_table().query("tissue == 'any'")["cell_type"]
    assert not set(annotation["cell_type"]) & (set(own) - set(shared))


def test_two_tissues_of_one_dataset_are_named_apart(planted):
    cells, codes, _ = planted
    both = cells.copy()
    rng = np.random.default_rng(0)
    both.obs["tissue"] = rng.choice(["spleen", "bone marrow"], both.n_obs)
    annotation, _, _ = annotate_clusters(both, codes, lineage_table(), **SETTINGS)
    table = lineage_table()
    for tissue, sets in (("spleen", "marrow"), ("bone marrow", "spleen")):
        named = set(annotation["cell_type"][(both.obs["tissue"] == tissue).to_numpy()])
        foreign = set(table.query(f"tissue == '{sets}'")["cell_type"])
        foreign -= set(table.query(f"tissue != '{sets}'")["cell_type"])
        assert not named & foreign


def test_markers_rise_in_their_cluster_and_never_fall(planted):
    _, _, (_, _, markers) = planted
    assert (markers["log2_fold_change"] > 0).all()
    assert (markers["pct_in"] > markers["pct_out"]).all()


def test_a_platform_is_no_marker(planted):
    cells, codes, _ = planted
    two = cells.copy()
    two.obs["dataset"] = np.where(two.obs["truth"].isin(["B", "T"]), "one", "other")
    ribo = two.var_names.str.startswith("Rps")
    counts = two.X.toarray()
    counts[np.ix_((two.obs["dataset"] == "one").to_numpy(), ribo)] *= 20
    two.X = type(cells.X)(counts)
    two.varm["measured"] = pd.DataFrame({"one": True, "other": True}, index=two.var_names)
    _, _, markers = annotate_clusters(two, codes, lineage_table(), **SETTINGS)
    assert not markers.groupby("cluster").head(5)["gene"].str.startswith("Rps").any()


@pytest.mark.parametrize(
    ("set_name", "tissue"),
    [("follicular_B", "spleen"), ("follicular_B", "bone marrow"), ("B_progenitor", "bone marrow")],
)
def test_b_cells_that_recirculate_have_one_name_in_spleen_and_marrow(planted, set_name, tissue):
    cells, codes, _ = planted
    sets = lineage_table().query("cell_type == @set_name and polarity == 'positive'")
    own = cells.copy()
    names = own.var_names.append(pd.Index(sorted(set(sets["genes"].iloc[0]) - set(own.var_names))))
    counts = pd.DataFrame(own.X.toarray(), own.obs_names, own.var_names)
    counts = counts.reindex(columns=names, fill_value=0.0)
    other = lineage_table().query("lineage == 'B' and cell_type != 'B' and polarity == 'positive'")
    inside = (own.obs["truth"] == "B").to_numpy()
    counts.loc[inside, [g for g in names if g in set(other["genes"].explode())]] = 0.0
    counts.loc[inside, list(sets["genes"].iloc[0])] = 30.0
    own = type(cells)(sparse.csr_matrix(counts.to_numpy()), own.obs, pd.DataFrame(index=names))
    own.obs["tissue"] = tissue
    own.varm["measured"] = pd.DataFrame({"d": True}, index=names)
    annotation, _, _ = annotate_clusters(own, codes, lineage_table(), **SETTINGS)
    assert set(annotation["cell_type"][inside]) == {set_name}


def test_levels_of_first_markers_are_those_of_the_cells_and_leave_out_ambient_genes(planted):
    cells, codes, (_, _, markers) = planted
    soup = markers["gene"].iloc[0]
    flagged = markers.assign(ambient=markers["gene"] == soup)
    levels = marker_levels(cells, codes, flagged)
    own = flagged[~flagged["ambient"]].groupby("cluster").head(3)
    assert set(levels["gene"]) == set(own["gene"]) and soup not in set(levels["gene"])
    assert len(levels) == levels["gene"].nunique() * codes.nunique()
    counts = cells.X.toarray().astype(float)
    expected = np.log(1 + 1e4 * counts / counts.sum(axis=1, keepdims=True))
    for row in levels.iloc[:: len(levels) // 20].itertuples():
        inside = (codes == row.cluster).to_numpy()
        values = expected[inside, cells.var_names.get_loc(row.gene)]
        assert row.n_cells == inside.sum()
        assert row.mean_level == pytest.approx(values.mean(), rel=1e-5)
        assert row.pct_cells == pytest.approx(100 * (values > 0).mean())
    # what marks a planted lineage is higher there than in any other cluster
    highest = levels.loc[levels.groupby("gene")["mean_level"].idxmax()]
    assert (highest["cluster"] == highest["marker_of"]).mean() > 0.9


def test_without_a_marker_there_are_no_levels(planted):
    cells, codes, (_, _, markers) = planted
    levels = marker_levels(cells, codes, markers.assign(ambient=True))
    assert levels.empty and "mean_level" in levels
