import numpy as np
import pandas as pd
import pytest

from emhniche.metrics import integration_metrics


@pytest.fixture
def space():
    """Two batches of two cell types each: labelled, and mixed within the type."""
    rng = np.random.default_rng(0)
    label = np.tile(["B", "T"], 200)
    batch = np.repeat(["one", "two"], 200)
    points = rng.normal(size=(400, 5)) + 8 * (label == "T")[:, None]
    obs = pd.DataFrame(
        {"sample": batch, "batch": batch, "dataset": "d", "label": label},
        index=[f"c{number}" for number in range(400)],
    )
    return points, obs


def measure(points, obs):
    latent = pd.DataFrame(points, columns=[f"dim_{number}" for number in range(points.shape[1])])
    latent.insert(0, "cell_id", obs.index)
    return integration_metrics({"m": latent}, obs, batch_key="batch", seed=0).set_index("metric")


def test_a_good_space_reaches_the_ceiling(space):
    table = measure(*space)
    assert table.loc["label_purity", "value"] > 0.99
    assert table.loc["batch_mixing:one|two", "value"] == pytest.approx(1.0, abs=0.05)


def test_a_shuffled_space_scores_at_the_floor(space):
    points, obs = space
    table = measure(np.random.default_rng(1).permutation(points), obs)
    row = table.loc["label_purity"]
    assert row["value"] == pytest.approx(row["floor"], abs=0.05)
    assert row["floor"] == pytest.approx(0.5, abs=0.05)


def test_a_batch_effect_shows_as_lost_mixing_and_not_as_lost_purity(space):
    points, obs = space
    table = measure(points + 30 * (obs["batch"] == "two").to_numpy()[:, None], obs)
    assert table.loc["batch_mixing:one|two", "value"] < 0.05
    assert table.loc["label_purity", "value"] > 0.99


def test_a_space_that_mixes_everything_loses_the_labels(space):
    points, obs = space
    table = measure(np.random.default_rng(2).normal(size=points.shape), obs)
    assert table.loc["label_purity", "value"] < 0.6


def test_without_labels_purity_is_missing_and_not_zero(space):
    points, obs = space
    table = measure(points, obs.assign(label=""))
    assert np.isnan(table.loc["label_purity", "value"])


def test_collapsed_dimensions_are_counted_out(space):
    points, obs = space
    points = points.copy()
    points[:, 3:] *= 1e-4
    assert measure(points, obs).loc["active_dimensions", "value"] == 3
