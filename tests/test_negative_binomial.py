"""Counts of a few units are compared as the model says, and extremes stay finite."""

import numpy as np
import pandas as pd
import pytest

from emhniche.negative_binomial import compare_counts, size_factors

N_GENES = 150


def simulate(n: int, seed: int = 0, **planted: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return counts and design of two arms of `n` units; `planted` are the counts of a gene."""
    rng = np.random.default_rng(seed)
    mean = np.exp(rng.normal(4, 1.2, N_GENES)) * np.exp(rng.normal(0, 0.3, (2 * n, 1)))
    counts = rng.negative_binomial(5, 5 / (5 + mean))
    units = [f"u{i}" for i in range(2 * n)]
    table = pd.DataFrame(counts, units, [f"g{i}" for i in range(N_GENES)])
    matrix = pd.DataFrame({"intercept": 1.0, "test": np.repeat([0.0, 1.0], n)}, units)
    return table.assign(**planted), matrix


def test_size_factors_are_the_median_ratio():
    rng = np.random.default_rng(0)
    counts = rng.poisson(200, (4, 300)) * np.array([[1], [2], [3], [4]])
    counts[0, :15] *= 50
    expected = np.array([1, 2, 3, 4]) / 24**0.25
    np.testing.assert_allclose(size_factors(counts), expected, rtol=0.03)


def test_size_factors_are_totals_where_few_genes_are_common():
    counts = np.zeros((3, 200))
    counts[0, :50], counts[1, 50:100], counts[2, 100:150] = 1, 4, 16
    np.testing.assert_allclose(size_factors(counts), [0.25, 1, 4])


def test_frequent_counts_give_the_plain_fold_change():
    planted = [4000, 4200, 3900, 4100, 16000, 17000, 15500, 16200]
    counts, matrix = simulate(4, planted=planted)
    row = compare_counts(counts, matrix, ["planted"], min_counts=10).loc["planted"]
    scaled = counts["planted"] / size_factors(counts.to_numpy())
    assert row["effect"] == pytest.approx(np.log2(scaled[4:].mean() / scaled[:4].mean()), abs=0.1)
    assert row["ci_low"] < row["effect"] < row["ci_high"]
    assert row["p"] < 0.01


def test_turning_the_arms_round_turns_the_effect_round():
    counts, matrix = simulate(3, seed=1)
    genes = ["g0", "g1", "g2"]
    there = compare_counts(counts, matrix, genes, min_counts=10)
    matrix["test"] = 1 - matrix["test"]
    back = compare_counts(counts, matrix, genes, min_counts=10)
    np.testing.assert_allclose(there["effect"], -back["effect"], atol=0.02)
    np.testing.assert_allclose(there["ci_low"], -back["ci_high"], atol=0.02)
    np.testing.assert_allclose(there["p"], back["p"], rtol=0.01)


def test_a_gene_that_one_arm_lacks_has_a_finite_effect():
    counts, matrix = simulate(4, planted=[0, 0, 0, 0, 40, 55, 38, 61])
    row = compare_counts(counts, matrix, ["planted"], min_counts=10).loc["planted"]
    assert 3 < row["effect"] < 12
    assert 1 < row["ci_low"] < row["ci_high"] < 20


def test_few_counts_shrink():
    counts, matrix = simulate(3, planted=[1, 0, 2, 4, 3, 3])
    row = compare_counts(counts, matrix, ["planted"], min_counts=10).loc["planted"]
    assert 0 < row["effect"] < np.log2(10 / 3)
    assert row["ci_low"] < 0 < row["ci_high"]


def test_genes_with_few_counts_are_not_called_too_often():
    # means of 2 counts a unit; at a rate of 5 % more than 8 % of 487 genes has probability 0.002
    rng = np.random.default_rng(4)
    called = []
    for seed in range(8):
        counts, matrix = simulate(3, seed=seed)
        few = rng.poisson(2 * np.exp(rng.normal(0, 0.3, (6, 80))))
        few = few[:, few.sum(axis=0) >= 10]
        names = [f"few{i}" for i in range(few.shape[1])]
        table = counts.join(pd.DataFrame(few, counts.index, names))
        called.append(compare_counts(table, matrix, names, min_counts=10)["p"] < 0.05)
    called = np.concatenate(called)
    assert len(called) > 400
    assert called.mean() < 0.08


def test_a_single_unit_does_not_make_a_difference():
    counts, matrix = simulate(4, planted=[20, 22, 19, 21, 20, 21, 19, 90_000])
    row = compare_counts(counts, matrix, ["planted"], min_counts=10).loc["planted"]
    assert np.isnan(row["p"])
    assert np.isfinite(row["effect"])


def test_other_tested_genes_do_not_change_a_result_much():
    counts, matrix = simulate(3, seed=2)
    alone = compare_counts(counts, matrix, ["g5"], min_counts=10).loc["g5"]
    among = compare_counts(counts, matrix, ["g9", "g5", "g7"], min_counts=10).loc["g5"]
    pd.testing.assert_series_equal(alone, among)


def test_donors_that_vary_no_more_than_counting_does():
    counts, matrix = simulate(3)
    rng = np.random.default_rng(0)
    counts.loc[:] = rng.binomial(40, 0.5, counts.shape)
    found = compare_counts(counts, matrix, [*counts.columns[:60]], min_counts=10)
    assert found.notna().all().all()
    assert (found["p"] < 0.05).mean() < 0.1
