"""Ranks are those of Mann and Whitney, and donors are the only ones who give a p."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.cluster import KMeans

from emhniche.donor_markers import donor_markers, paired_change, sum_by_donor
from emhniche.marker_evidence import compare_donors, rank_areas

N_GENES, N_DONORS = 600, 5


def one_kind(
    *, cells: int = 150, seed: int = 0, donor_sd: float = 0.3
) -> tuple[sparse.csr_matrix, pd.DataFrame]:
    """Draw cells of one kind, from two libraries a donor, who differ in every gene."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 1.0, N_GENES)
    counts, obs = [], []
    for library in range(2 * N_DONORS):
        own = rates * np.random.default_rng(library // 2).lognormal(0, donor_sd, N_GENES)
        depth = rng.lognormal(6.5, 0.3, cells)[:, None]
        counts.append(rng.poisson(rng.gamma(2.0, 0.5, (cells, N_GENES)) * depth * own / own.sum()))
        obs.append(
            pd.DataFrame({"sample": f"s{library}", "donor": f"d{library // 2}"}, range(cells))
        )
    table = pd.concat(obs, ignore_index=True).assign(donor_known=True)
    return sparse.csr_matrix(np.vstack(counts).astype(float)), table


@pytest.fixture(scope="module")
def kind():
    return one_kind()


def test_areas_are_those_of_mann_and_whitney():
    counts, obs = one_kind(cells=20)
    codes = np.random.default_rng(3).choice([0, 1, 3], len(obs))
    areas = rank_areas(counts[:, :40], codes, 5)
    dense = counts[:, :40].toarray()
    for group in (0, 1, 3):
        inside = codes == group
        u = stats.mannwhitneyu(dense[inside], dense[~inside]).statistic
        np.testing.assert_allclose(areas[group], u / (inside.sum() * (~inside).sum()))
    assert np.isnan(areas[[2, 4]]).all()
    assert np.isnan(rank_areas(counts[:, :40], np.zeros(len(obs), dtype=int), 1)).all()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_random_groups_of_any_size_have_no_markers(kind, share):
    counts, obs = kind
    codes = (np.random.default_rng(1).random(len(obs)) < share).astype(int)
    found = compare_donors(counts, codes, obs, ["others", "group"])["group"]
    p = found["p"].dropna()
    assert len(p) > 0.5 * N_GENES
    assert (p < 0.05).mean() < 0.08
    assert (found["q"] < 0.05).sum() == 0
    sums = sum_by_donor(counts, np.arange(N_GENES).astype(str), obs["donor"].to_numpy(), codes, 2)
    assert ";" not in donor_markers(sums, 1)["markers"]  # one gene in twenty trials or so


def test_a_gene_that_is_hardly_seen_does_not_rise_where_cells_are_few():
    inside, outside = np.array([[0.0, 9_998, 2]]), np.array([[40.0, 9_998_000, 1_960]])
    change = paired_change(inside, outside)[0]
    assert abs(change[0]) < 0.1
    assert abs(change[1]) < 0.01


def test_planted_genes_are_told_by_donors(kind):
    counts, obs = kind
    codes = np.random.default_rng(2).choice([0, 1], len(obs), p=[0.8, 0.2])
    often = np.argsort(-np.asarray(counts.sum(axis=0)).ravel())[:100]
    planted = often[::10]
    dense = counts.toarray()
    dense[np.ix_(codes == 1, planted)] *= 3
    found = compare_donors(sparse.csr_matrix(dense), codes, obs, ["others", "group"])
    higher = found["group"]["q"] < 0.05
    assert higher[planted].all()
    assert higher.drop(planted).sum() <= 3
    assert (found["group"]["donors"] == N_DONORS).all()
    np.testing.assert_allclose(
        found["group"].loc[planted, "donor_log2_fold_change"], np.log2(3), atol=0.5
    )
    assert (found["group"].loc[planted, "donors_higher"] == N_DONORS).all()


def test_what_tells_libraries_apart_is_no_marker(kind):
    counts, obs = kind
    second = obs["sample"].str[1:].astype(int) % 2 == 1
    codes = (np.random.default_rng(4).random(len(obs)) < np.where(second, 0.8, 0.1)).astype(int)
    often = int(np.argmax(np.asarray(counts.sum(axis=0))))
    dense = counts.toarray()
    dense[second.to_numpy(), often] *= 10
    found = compare_donors(sparse.csr_matrix(dense), codes, obs, ["others", "group"])["group"]
    assert found.loc[often, "status"] == "tested"
    assert found.loc[often, "q"] > 0.05


def test_two_donors_or_unknown_ones_give_no_p(kind):
    counts, obs = kind
    codes = np.random.default_rng(5).choice([0, 1], len(obs))
    few = obs["donor"].isin(["d0", "d1"]).to_numpy()
    two = compare_donors(counts[few], codes[few], obs[few], ["a", "b"])["a"]
    assert (two["donors"] == 2).all() and two["donor_log2_fold_change"].notna().all()
    unknown = obs.assign(donor_known=obs["donor"].isin(["d0", "d1"]))
    same = compare_donors(counts, codes, unknown, ["a", "b"])["a"]
    none = compare_donors(counts, codes, obs.assign(donor_known=False), ["a", "b"])["a"]
    assert (none["donors"] == 0).all() and none["donor_log2_fold_change"].isna().all()
    for table in (two, same, none):
        assert (table["status"] == "not_testable").all()
        assert table[["p", "q"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(two, same)


def test_clusters_cut_from_one_cloud_look_significant_all_the_same(kind):
    """The p is no proof of a kind of cell: this is why the table says that it ranks only."""
    counts, obs = one_kind(donor_sd=0)
    logs = np.log1p(counts.toarray() / np.asarray(counts.sum(axis=1)) * 1e3)
    codes = KMeans(2, n_init=1, random_state=0).fit_predict(logs)
    found = compare_donors(counts, codes, obs, ["a", "b"])
    assert np.mean([(table["p"].dropna() < 0.05).mean() for table in found.values()]) > 0.1
