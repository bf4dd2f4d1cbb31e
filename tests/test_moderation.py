"""Variances are shared between features, intervals cover, and q-values are those of the book."""

import numpy as np
import pytest
from scipy import special, stats

from emhniche.moderation import (
    adjust,
    interval,
    inverse_trigamma,
    moderated_test,
    squeeze_variances,
)


@pytest.mark.parametrize("x", [0.01, 0.5, 3.0, 200.0])
def test_inverse_trigamma(x):
    assert inverse_trigamma(special.polygamma(1, x)) == pytest.approx(x, rel=1e-6)


def test_no_spread_is_worth_infinite_degrees_of_freedom():
    assert inverse_trigamma(-0.1) == np.inf
    squeezed, prior_df = squeeze_variances(np.full(10, 2.0), 4)
    assert prior_df == np.inf
    assert np.ptp(squeezed) == 0


def test_the_prior_of_simulated_variances_is_recovered():
    rng = np.random.default_rng(0)
    prior_df, prior, df = 8.0, 2.0, 4
    true = prior * prior_df / rng.chisquare(prior_df, 20_000)
    seen = true * rng.chisquare(df, 20_000) / df
    squeezed, found = squeeze_variances(seen, df)
    assert found == pytest.approx(prior_df, rel=0.1)
    exact = (prior_df * prior + df * seen) / (prior_df + df)
    np.testing.assert_allclose(squeezed, exact, rtol=0.05)


def test_moderated_test_keeps_its_level():
    rng = np.random.default_rng(1)
    matrix = np.column_stack([np.ones(6), [0, 0, 0, 1, 1, 1]])
    scale = np.sqrt(8 / rng.chisquare(8, 4000))
    values = rng.normal(size=(6, 4000)) * scale
    _, low, high, p = moderated_test(values, matrix)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    np.testing.assert_array_equal(p < 0.05, (low > 0) | (high < 0))


def test_moderated_test_adjusts_for_pairs():
    rng = np.random.default_rng(2)
    donor = rng.normal(0, 5, (4, 30))
    values = np.vstack([donor, donor + 1.0]) + rng.normal(0, 0.3, (8, 30))
    pairs = np.vstack([np.eye(4)[:, 1:], np.eye(4)[:, 1:]])
    matrix = np.column_stack([np.ones(8), pairs, np.repeat([0, 1], 4)])
    effect, _, _, p = moderated_test(values, matrix)
    assert effect.mean() == pytest.approx(1.0, abs=0.15)
    assert (p < 0.05).mean() > 0.9


def test_interval_is_welchs():
    test, reference = np.array([3.0, 4.0, 6.0]), np.array([1.0, 1.5, 1.2, 0.9])
    expected = stats.ttest_ind(test, reference, equal_var=False).confidence_interval()
    assert interval(test, reference) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("test", "reference"), [([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0]), ([], [1.0, 2.0])]
)
def test_no_interval_without_spread(test, reference):
    assert np.isnan(interval(np.array(test), np.array(reference))).all()


def test_q_values_leave_out_what_was_not_tested():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(adjust(p), [0.03, np.nan, 0.04, 0.04])
    assert np.isnan(adjust(np.array([np.nan]))).all()
