import numpy as np
import pandas as pd
import pytest

from emhniche.latent_batches import neighbourhood_p_values
from emhniche.latent_types import LABEL_METRICS, MATURATION
from emhniche.metrics import integration_metrics
from emhniche.neighbors import nearest
from emhniche.overcorrection import mixing_table, spatial_fdr, verdicts

N = 600
LIFTED = ("label_purity", "clisi", "nmi", "ari", "label_silhouette", "graph_connectivity")
"""Metrics that every space with apart cell types scores high in."""


@pytest.fixture(scope="module")
def space():
    """Three replicate libraries of two common cell types and a rare one, mixed within the type."""
    rng = np.random.default_rng(0)
    label = np.tile(np.repeat(["B", "T", "pDC"], [96, 100, 4]), 3)
    batch = np.repeat(["one", "two", "three"], 200)
    place = pd.Series(label).map({"B": 0, "T": 8, "pDC": -8}).to_numpy()
    points = rng.normal(size=(N, 5)) + place[:, None]
    obs = pd.DataFrame(
        {
            **{"sample": batch, "batch": batch, "label": label, "qc_lineage": label},
            **{"dataset": "d", "tissue": "spleen", "condition": "", "enrichment": "none"},
        },
        index=[f"c{number}" for number in range(N)],
    )
    return points, obs


def latent(points, obs):
    table = pd.DataFrame(points, columns=[f"dim_{number}" for number in range(points.shape[1])])
    table.insert(0, "cell_id", obs.index)
    return table


def measure(points, obs, scores=None):
    given = {"batch_key": "batch", "seed": 0, "scores": scores}
    return integration_metrics({"m": latent(points, obs)}, obs, **given).set_index("metric")


def said(points, obs, method="m"):
    """Return the mixing table and the verdicts by check."""
    spaces = {method: latent(points, obs)}
    mixing = mixing_table(spaces, obs, batch_key="batch", seed=0)
    metrics = integration_metrics(spaces, obs, batch_key="batch", seed=0)
    return mixing, verdicts(mixing, metrics, obs, batch_key="batch").set_index("check")


def test_a_good_space_reaches_the_ceiling(space):
    table = measure(*space)
    for name in (*LIFTED, "rare_type_recall"):
        assert table.loc[name, "value"] > 0.9, name
    for name in table.index[table.index.str.startswith("batch_mixing")]:
        assert table.loc[name, "value"] == pytest.approx(1.0, abs=0.07)
    for name in ("ilisi", "kbet", "batch_variance_left"):
        row = table.loc[name]
        assert row["value"] > row["floor"] + 0.9 * (row["ceiling"] - row["floor"]), name


def test_the_same_space_measures_the_same(space):
    pd.testing.assert_frame_equal(measure(*space), measure(*space), check_exact=True)
    pd.testing.assert_frame_equal(said(*space)[0], said(*space)[0], check_exact=True)


def test_a_shuffled_space_scores_at_the_floor(space):
    points, obs = space
    table = measure(np.random.default_rng(1).permutation(points), obs)
    for name in (*LIFTED, "rare_type_recall"):
        row = table.loc[name]
        # what chance does to a shuffled space, it does otherwise to another
        assert row["value"] == pytest.approx(row["floor"], abs=0.12), name
        assert row["value"] < row["ceiling"] - 0.3, name


def test_controls_stand_in_order(space):
    table = measure(*space)
    assert (table["floor"] < table["ceiling"]).all()
    assert (table.loc[["ilisi", "kbet"], "floor"] < 0.01).all()
    assert table.loc["kbet", "ceiling"] == pytest.approx(0.95, abs=0.06)
    # twelve rare cells are too few for a cluster of their own
    assert (table.loc[list(LIFTED), "ceiling"] > 0.9).all()


def test_a_batch_effect_shows_as_lost_mixing_and_not_as_lost_purity(space):
    points, obs = space
    table = measure(points + 30 * (obs["batch"] == "two").to_numpy()[:, None], obs)
    assert table.loc["batch_mixing:one|two", "value"] < 0.05
    assert table.loc["batch_mixing:one|three", "value"] > 0.9
    assert table.loc["ilisi", "value"] < 0.6
    assert table.loc["kbet", "value"] < 0.1
    assert table.loc["batch_variance_left", "value"] < 0.3
    assert table.loc["graph_connectivity", "value"] < 0.75
    assert table.loc["label_purity", "value"] > 0.95


def test_a_space_that_mixes_everything_loses_the_labels(space):
    points, obs = space
    table = measure(np.random.default_rng(2).normal(size=points.shape), obs)
    assert table.loc["ilisi", "value"] > 0.9 * table.loc["ilisi", "ceiling"]
    assert table.loc["label_purity", "value"] < 0.6
    assert table.loc["nmi", "value"] < 0.1
    assert table.loc["rare_type_recall", "value"] < 0.1


def test_a_rare_type_that_is_merged_is_seen_where_purity_hardly_moves(space):
    points, obs = space
    rare = (obs["label"] == "pDC").to_numpy()
    merged = points.copy()
    merged[rare] += 8
    table = measure(merged, obs)
    assert table.loc["rare_type_recall", "value"] < 0.2
    assert table.loc["label_purity", "value"] > 0.95


def test_without_labels_what_needs_them_is_missing_and_not_zero(space):
    points, obs = space
    table = measure(points, obs.assign(label=""))
    needy = list(LABEL_METRICS)
    assert table.loc[needy, "value"].isna().all()
    assert (table.loc[needy, "n"] == 0).all()
    assert table["value"].notna().sum() == len(table) - len(needy)


def test_metrics_on_labels_that_a_method_learnt_are_marked(space):
    points, obs = space
    spaces = {"scvi": latent(points, obs), "scanvi": latent(points, obs)}
    table = integration_metrics(spaces, obs, batch_key="batch", seed=0)
    marked = table[table["supervised"]]
    assert set(marked["method"]) == {"scanvi"}
    assert set(marked["metric"]) == set(LABEL_METRICS)


def test_one_batch_has_no_mixing(space):
    points, obs = space
    table = measure(points, obs.assign(batch="one"))
    assert table.loc[["ilisi", "kbet", "batch_variance_left"], "value"].isna().all()


def test_collapsed_dimensions_are_counted_out(space):
    points, obs = space
    points = points.copy()
    points[:, 3:] *= 1e-4
    assert measure(points, obs).loc["active_dimensions", "value"] == 3


def staged(obs, order):
    """Return scores of a lineage whose cells mature along `order`."""
    early, late = (
        [one for one in MATURATION["neutrophil"] if MATURATION["neutrophil"][one] == end]
        for end in (-1, 1)
    )
    noise = np.random.default_rng(3).normal(scale=0.3, size=(len(obs), 2))
    scores = {f"{one}__z": -order + noise[:, 0] for one in early}
    scores |= {f"{one}__z": order + noise[:, 1] for one in late}
    return pd.DataFrame({"cell_id": obs.index, **scores})


def test_maturation_is_kept_by_a_space_that_orders_it_and_lost_by_one_that_does_not(space):
    points, obs = space
    obs = obs.assign(qc_lineage="neutrophil")
    order = np.random.default_rng(4).uniform(-2, 2, N)
    scores = staged(obs, order)
    along = np.column_stack([order, *np.random.default_rng(5).normal(scale=0.1, size=(2, N))])
    kept = measure(along, obs, scores).loc["maturation:neutrophil"]
    lost = measure(points, obs, scores).loc["maturation:neutrophil"]
    assert kept["value"] > 0.9
    assert kept["ceiling"] > 0.95
    assert abs(kept["floor"]) < 0.15
    assert abs(lost["value"]) < 0.2
    assert kept["n"] == N


@pytest.fixture(scope="module")
def tissues(space):
    """The same cells, of which red-pulp macrophages live in the spleen and no elsewhere."""
    _, obs = space
    rng = np.random.default_rng(6)
    spleen = obs["batch"].isin(["one", "three"]).to_numpy()
    pulp = spleen & (np.arange(N) % 4 == 0)
    obs = obs.assign(
        tissue=np.where(spleen, "spleen", "bone marrow"),
        qc_lineage="monocyte_macrophage",
        label=np.where(pulp, "red pulp", "monocyte"),
    )
    apart = rng.normal(size=(N, 5)) + 8 * pulp[:, None]
    merged = rng.normal(size=(N, 5))
    scores = pd.DataFrame({"cell_id": obs.index, "cMono__z": 3.0, "RPM__z": np.where(pulp, 5.0, 0)})
    return obs, apart, merged, scores


def test_a_type_of_one_tissue_that_is_merged_is_flagged(tissues):
    obs, apart, merged, scores = tissues
    for name in ("apart:red pulp", "apart:RPM"):
        assert measure(apart, obs, scores).loc[name, "value"] > 0.95
        row = measure(merged, obs, scores).loc[name]
        assert row["value"] == pytest.approx(row["floor"], abs=0.2)
    assert said(apart, obs)[1].loc["restricted", "code"] == "apart"
    verdict = said(merged, obs)[1].loc["restricted"]
    assert verdict["code"] == "merged"
    assert "red pulp" in verdict["sentence"]


def test_a_set_that_marks_cells_of_every_tissue_is_no_tissue_s_own(tissues):
    obs, apart, _, scores = tissues
    assert "apart:RPM" not in measure(apart, obs, scores.assign(RPM__z=5.0)).index


def test_replicates_that_lie_apart_are_told_from_mixed_ones(space):
    points, obs = space
    mixing, verdict = said(points, obs)
    tested = mixing[mixing["status"] == "tested"]
    assert set(tested["cell_type"]) == {"B", "T"}  # four pDC a library are too few
    assert (mixing.loc[mixing["cell_type"] == "pDC", "status"] == "not_testable").all()
    assert (tested["mixing"] > 0.9).all()
    assert (tested["uneven"] < 0.1).all()
    assert verdict.loc["replicates", "code"] == "mixed"
    shift = 2.0 * (obs["batch"] == "two").to_numpy()[:, None]
    mixing, verdict = said(points + shift, obs)
    assert (mixing["uneven"].dropna() > 0.5).all()
    assert verdict.loc["replicates", "code"] == "apart"


def test_cells_without_a_type_are_no_type(space):
    points, obs = space
    obs = obs.assign(qc_lineage=obs["qc_lineage"].replace("T", "unresolved"))
    assert set(said(points, obs)[0]["cell_type"]) == {"B", "pDC"}
    table = measure(points, obs)
    assert table.loc["kbet", "n"] == (obs["qc_lineage"] == "B").sum()


def test_what_can_have_been_erased_is_said_with_the_types_that_lie_together(tissues):
    obs, _, merged, _ = tissues
    mixing, verdict = said(merged, obs)
    assert mixing.set_index("compared").loc["tissues", "mixing"] > 0.95
    assert verdict.loc["aliasing", "code"] == "aliased"
    assert "can have been taken out" in verdict.loc["aliasing", "sentence"]
    assert "1 of 1 cell types (monocyte_macrophage)" in verdict.loc["aliasing", "sentence"]
    apart = merged + 8 * (obs["tissue"] == "spleen").to_numpy()[:, None]
    assert "lie among each other" not in said(apart, obs)[1].loc["aliasing", "sentence"]


def test_aliasing_is_said_only_where_it_is(tissues):
    obs, apart, _, _ = tissues
    assert said(apart, obs.assign(tissue="spleen"))[1].loc["aliasing", "code"] == "one_tissue"
    bridged = obs.assign(batch=np.tile(["x", "y"], N // 2))
    assert said(apart, bridged)[1].loc["aliasing", "code"] == "bridged"
    assert said(apart, obs, method="pca")[1].loc["aliasing", "code"] == "aliased_uncorrected"


def test_neighbourhood_test_has_its_level_without_a_difference():
    rng = np.random.default_rng(7)
    shares = []
    for _ in range(20):
        points, groups = rng.normal(size=(400, 5)), rng.integers(3, size=400)
        shares.append((neighbourhood_p_values(nearest(points, 30), groups) < 0.05).mean())
    assert np.mean(shares) < 0.06


def test_spatial_fdr_of_equal_weights_is_that_of_benjamini_and_hochberg():
    from scipy.stats import false_discovery_control

    p_values = np.random.default_rng(8).uniform(size=50) ** 3
    np.testing.assert_allclose(
        spatial_fdr(p_values, np.ones(50)), false_discovery_control(p_values), rtol=1e-12
    )
