"""Count scores, held-out fits and the scatter that goes with depth and maturation."""

import numpy as np
import pytest

from emhniche.residual import (
    Covariate,
    balanced_weights,
    gene_rates,
    held_out_residuals,
    ridge,
    standardised,
    weighted_quantile,
)


@pytest.fixture
def cells() -> dict:
    rng = np.random.default_rng(0)
    n, donors = 600, 4
    late = rng.random(n)
    depth = np.exp(rng.normal(7.3, 0.3, n))

    def draw(slope: float, genes: int) -> np.ndarray:
        rate = 1e-3 * np.exp(slope * (late - 0.5))
        return rng.poisson(np.outer(depth * rate, np.ones(genes))).astype(np.float32)

    return {
        "target": draw(1.5, 8),
        "covariates": [
            Covariate("early", draw(-3.0, 10), -1),
            Covariate("late", draw(3.0, 10), 1),
            Covariate("stress", draw(0.0, 10), 0),
        ],
        "depth": depth,
        "fold": np.repeat(np.arange(donors), n // donors),
        "late": late,
    }


def test_score_is_the_formula_of_the_docs():
    counts, depth, rates = np.array([[3.0, 0.0]]), np.array([1000.0]), np.array([1e-3, 4e-3])
    z = standardised(counts, depth, rates)
    expected = [(3 - 1) / np.sqrt(1 + 0.1), (0 - 4) / np.sqrt(4 + 0.1 * 16)]
    assert z[0] == pytest.approx(expected, rel=1e-6)
    assert standardised(np.array([[500.0]]), depth, np.array([1e-3]))[0, 0] == 5.0


def test_rates_weigh_donors_alike():
    counts = np.array([[1.0]] * 9 + [[11.0]])
    depth = np.full(10, 100.0)
    donor = np.array(["many"] * 9 + ["few"])
    assert gene_rates(counts, depth, balanced_weights(donor))[0] == pytest.approx(0.06, rel=0.02)


def test_residual_does_not_follow_maturation_while_the_score_does(cells):
    late = cells.pop("late")
    found = held_out_residuals(**cells)
    assert np.corrcoef(found.score, late)[0, 1] > 0.3
    assert abs(np.corrcoef(found.residual, late)[0, 1]) < 0.12
    assert np.corrcoef(found.maturation, late)[0, 1] > 0.7


def test_residual_scatters_alike_at_all_maturations(cells):
    late = cells.pop("late")
    residual = held_out_residuals(**cells).residual
    assert residual[late > 0.7].std() == pytest.approx(residual[late < 0.3].std(), rel=0.2)
    assert residual.std() == pytest.approx(1.0, abs=0.15)


def test_a_donor_has_no_part_in_what_it_is_judged_by(cells):
    cells.pop("late")
    before = held_out_residuals(**cells)
    own = np.flatnonzero(cells["fold"] == 2)
    perturbed, watched = own[:100], own[100:]
    cells["target"][perturbed] *= 5
    cells["covariates"][1].counts[perturbed] += 7
    after = held_out_residuals(**cells)
    for name in ("score", "maturation", "residual", "supported"):
        assert np.array_equal(getattr(before, name)[watched], getattr(after, name)[watched])
    others = cells["fold"] != 2
    assert not np.allclose(before.residual[others], after.residual[others], atol=0.01)


def test_cells_outside_the_calibration_are_judged_by_all_of_it(cells):
    cells.pop("late")
    case = cells["fold"] == 3
    cells["fold"] = np.where(case, -1, cells["fold"])
    before = held_out_residuals(**cells)
    cells["target"][np.flatnonzero(case)[:50]] *= 5
    after = held_out_residuals(**cells)
    assert np.array_equal(before.residual[~case], after.residual[~case])
    watched = np.flatnonzero(case)[50:]
    assert np.array_equal(before.residual[watched], after.residual[watched])


def test_about_two_per_cent_of_naive_cells_are_unsupported(cells):
    cells.pop("late")
    assert held_out_residuals(**cells).supported.mean() == pytest.approx(0.98, abs=0.02)


def test_ridge_recovers_a_line_and_leaves_the_intercept_alone():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 2))
    x -= x.mean(axis=0)
    fit = ridge(x, (3 + 2 * x[:, 0])[:, None], np.ones(5000))
    assert fit[:, 0] == pytest.approx([3, 2, 0], abs=1e-3)


def test_weighted_quantile_counts_weights_not_cells():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert weighted_quantile(values, np.ones(4), 0.5) == 2.0
    assert weighted_quantile(values, np.array([1.0, 1.0, 1.0, 9.0]), 0.5) == 4.0
