"""Tests between donors, random sets and the threshold on cells."""

from math import comb

import numpy as np
import pytest
from scipy import stats

from emhniche.gate import (
    benjamini_hochberg,
    conformal_p,
    decoy_q,
    donor_gate,
    draw_sets,
    excess_fraction,
    matched_genes,
    naive_threshold,
    pooled_q,
)


def test_gate_is_a_t_test_on_the_square_root():
    case, reference = np.array([0.2, 0.25, 0.3]), np.array([0.04, 0.05, 0.07])
    found = donor_gate(case, reference, seed=0)
    expected = stats.ttest_ind(np.sqrt(case), np.sqrt(reference), alternative="greater")
    assert found.p == pytest.approx(expected.pvalue)
    assert found.effect == pytest.approx(np.sqrt(case).mean() - np.sqrt(reference).mean())
    assert found.p_permutation == pytest.approx(1 / comb(6, 3))


def test_gate_is_one_sided():
    low, high = np.array([0.01, 0.02, 0.03]), np.array([0.1, 0.2, 0.15])
    assert donor_gate(low, high, seed=0).p > 0.95


def test_gate_without_any_spread_falls_back_on_permutation():
    found = donor_gate(np.full(3, 0.0), np.full(3, 0.0), seed=0)
    assert found.p == found.p_permutation == 1.0


def test_gate_with_many_donors_draws_splits():
    rng = np.random.default_rng(0)
    found = donor_gate(rng.random(15) + 1, rng.random(15), seed=0)
    assert found.p_permutation == pytest.approx(1 / 20001)


def test_naive_threshold_weighs_donors_alike():
    residual = np.concatenate([np.zeros(1000), np.full(10, 5.0)])
    donor = np.array(["many"] * 1000 + ["few"] * 10)
    assert naive_threshold(residual, donor) == 5.0


def test_adjustment_leaves_out_what_was_not_tested():
    found = benjamini_hochberg(np.array([0.01, np.nan, 0.04]))
    assert found == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)


def test_decoy_q_counts_reference_cells_at_the_upper_bound():
    reference = [np.linspace(-2, 2, 100) for _ in range(4)]
    case = np.concatenate([np.linspace(-2, 2, 80), np.full(20, 6.0)])
    q = decoy_q(case, reference)
    # no reference cell reaches 6, which still leaves (0 + 1) / (400 + 1) of 100 case cells
    assert q[-1] == pytest.approx(100 / 401 / 20)
    assert q[:80].min() > q[-1]
    assert (np.diff(q[np.argsort(case, kind="stable")]) <= 0).all()


def test_decoy_q_grows_with_the_spread_between_reference_donors():
    case = np.concatenate([np.random.default_rng(0).normal(size=300), np.full(60, 2.0)])
    base = np.random.default_rng(1).normal(size=(4, 200))
    alike = decoy_q(case, list(base))
    apart = decoy_q(case, list(base + np.array([-0.8, -0.3, 0.3, 0.8])[:, None]))
    assert apart[-1] > 1.5 * alike[-1]


def test_pooled_q_adjusts_conformal_p_over_the_case_cells():
    case = np.array([9.0, 9.0, 0.0, -np.inf])
    q = pooled_q(case, [np.arange(4.0), np.arange(4.0, 9.0)])
    # p = 1/10, 1/10, 1, 1 over four cells
    assert q == pytest.approx([0.2, 0.2, 1.0, 1.0])


def test_pooled_q_is_blind_to_the_spread_between_donors_and_never_above_decoy_q():
    case = np.concatenate([np.random.default_rng(0).normal(size=300), np.full(60, 2.0)])
    apart = [np.random.default_rng(k).normal(k / 2, 1, 100 + 50 * k) for k in range(4)]
    pooled = pooled_q(case, apart)
    assert (pooled <= decoy_q(case, apart) + 1e-12).all()
    assert pooled == pytest.approx(pooled_q(case, [np.concatenate(apart)]))


def test_conformal_p_is_never_zero():
    assert conformal_p(np.array([9.0, 0.0]), np.arange(9.0)) == pytest.approx([0.1, 1.0])


def test_random_sets_match_expression_and_do_not_hang_on_gene_order():
    rates = {f"g{i}": 10.0 ** (-i / 20) for i in range(100)}
    signature = ["g10", "g80"]
    candidates = matched_genes(rates, signature, {"g10", "g80", "g11"})
    assert "g11" not in candidates[0] and "g10" not in candidates[0]
    assert max(abs(int(g[1:]) - 80) for g in candidates[1]) <= 20
    turned = matched_genes(dict(reversed(rates.items())), signature, {"g10", "g80", "g11"})
    assert turned == candidates
    sets = draw_sets(candidates, 50, seed=3)
    assert sets == draw_sets(turned, 50, seed=3)
    assert all(len(set(chosen)) == 2 for chosen in sets)


def test_excess_is_what_the_reference_does_not_hold():
    estimate, low, high = excess_fraction(
        np.array([0.24, 0.24, 0.24]), np.array([0.05, 0.05, 0.05]), seed=0
    )
    assert estimate == low == high == pytest.approx(0.2)
