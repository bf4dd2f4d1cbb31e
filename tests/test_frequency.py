"""Rare and frequent kinds keep the level, and one growing kind does not make the others shrink."""

import numpy as np
import pytest
from scipy import stats

from emhniche.frequency import MIN_KINDS, compare_abundance, compare_odds

EIGHT = np.array([2, 3, 5, 8, 12, 15, 20, 35]) / 100
DEMO = np.array([1, 1.5, 2.5, 3, 4, 5, 5, 8, 10, 20, 40]) / 100
"""Shares like those of the demo's spleen: at 700 cells a library some 7 are of the rarest kind."""


def units(n: int, *, paired: bool = False, blocks: bool = False) -> np.ndarray:
    """Return the design of `n` donors an arm."""
    arm = np.repeat([0.0, 1.0], n)
    others = [np.vstack([np.eye(n)] * 2)] if paired else [np.ones((2 * n, 1))]
    others += [np.tile([0.0, 1.0], n)[:, None]] if blocks else []
    return np.column_stack([*others, arm])


def draw(rng, matrix, shares, *, noise, cells, fold=None):
    """Draw the cells of each unit: units x kinds, and their number."""
    fold = np.ones(len(shares)) if fold is None else fold
    weight = shares * rng.lognormal(0, noise, (len(matrix), len(shares)))
    weight = weight * np.where(matrix[:, -1:] == 1, fold, 1.0)
    whole = rng.integers(*cells, len(matrix), endpoint=True)
    held = [rng.multinomial(size, row / row.sum()) for size, row in zip(whole, weight, strict=True)]
    return np.array(held, dtype=float), whole


@pytest.mark.parametrize("compare", [compare_odds, compare_abundance])
@pytest.mark.parametrize(
    ("shares", "noise", "cells", "design"),
    [
        (EIGHT, 0.35, (400, 3000), units(3)),
        (EIGHT, 0.35, (400, 3000), units(4, paired=True)),
        (DEMO, 0.2, (700, 700), units(4, blocks=True)),
        (DEMO, 0.2, (700, 700), units(6)),
    ],
    ids=["3", "4 pairs", "4 with a block, rare", "6, rare"],
)
def test_p_keeps_its_level_in_rare_kinds_too(compare, shares, noise, cells, design):
    rng = np.random.default_rng(0)
    p = np.array(
        [
            compare(*draw(rng, design, shares, noise=noise, cells=cells), design).p
            for _ in range(600)
        ]
    )
    assert 0.03 < (p < 0.05).mean() < 0.07
    assert 0.03 < (p[:, 0] < 0.05).mean() < 0.07, "the rarest kind"
    assert (p < 0.01).mean() < 0.015


def test_p_of_the_odds_is_uniform():
    rng, design = np.random.default_rng(1), units(4)
    p = [
        compare_odds(*draw(rng, design, DEMO, noise=0.2, cells=(700, 700)), design).p
        for _ in range(600)
    ]
    assert stats.kstest(np.ravel(p), "uniform").statistic < 0.025


def test_one_kind_tripled_is_the_only_one_called():
    rng, design, cells = np.random.default_rng(0), units(6), (400, 3000)
    fold = np.where(EIGHT == 0.2, 3.0, 1.0)
    called = {"odds": [], "abundance": []}
    effects = {"odds": [], "abundance": []}
    for _ in range(100):
        held = draw(rng, design, EIGHT, noise=0.35, cells=cells, fold=fold)
        for name, compare in (("odds", compare_odds), ("abundance", compare_abundance)):
            found = compare(*held, design)
            called[name].append(stats.false_discovery_control(found.p) < 0.05)
            effects[name].append(found.effect)
    rate = {name: np.mean(calls, axis=0) for name, calls in called.items()}
    mean = {name: np.mean(found, axis=0) for name, found in effects.items()}
    tripled = fold == 3
    assert rate["abundance"][tripled] > 0.9
    assert rate["abundance"][~tripled].mean() < 0.03
    assert mean["abundance"][tripled] == pytest.approx(np.log2(3), abs=0.15)
    assert np.abs(mean["abundance"][~tripled]).max() < 0.15
    # the odds of the others fall, as they must: what was seen is not what changed
    assert (mean["odds"][~tripled] < -0.3).all()
    assert rate["odds"][~tripled].mean() > 2 * rate["abundance"][~tripled].mean()


def test_an_effect_comes_with_the_interval_that_holds_it():
    rng, design = np.random.default_rng(2), units(4)
    fold = np.where(EIGHT == 0.02, 2.0, 1.0)
    found = [
        compare_abundance(
            *draw(rng, design, EIGHT, noise=0.35, cells=(400, 3000), fold=fold), design
        )
        for _ in range(200)
    ]
    covered = [one.low[0] < 1 < one.high[0] for one in found]
    assert np.mean(covered) > 0.9
    for one in found:
        np.testing.assert_array_equal(one.p < 0.05, (one.low > 0) | (one.high < 0))


def test_donors_that_do_not_vary_leave_the_counting():
    rng, design = np.random.default_rng(3), units(3)
    for _ in range(20):
        found = compare_odds(*draw(rng, design, EIGHT, noise=0.0, cells=(2000, 2000)), design)
        assert np.isfinite(found.p).all()
        assert (found.high - found.low < 1.5).all()


def test_three_kinds_have_no_median_kind():
    rng, design = np.random.default_rng(4), units(3)
    shares = np.array([0.2, 0.3, 0.5])
    assert len(shares) < MIN_KINDS
    held = draw(rng, design, shares, noise=0.2, cells=(700, 700))
    assert np.isnan(compare_abundance(*held, design).p).all()
    assert np.isfinite(compare_odds(*held, design).p).all()


def test_kinds_that_replace_each_other_do_not_stop_the_run():
    # each donor has nothing but one of two kinds: a variance between donors without bound
    held = np.array([[2000, 0], [0, 2000]] * 4, dtype=float)
    found = compare_odds(held, np.full(8, 2000), units(4))
    assert (found.p > 0.5).all()
    assert np.isfinite(found.low).all()
