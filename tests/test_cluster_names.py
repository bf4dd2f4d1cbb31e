"""Cells of two kinds in one cluster keep their own names, and nothing else is divided."""

import numpy as np
import pandas as pd
import pytest

from emhniche.cluster_names import (
    MIN_PART_CELLS,
    PART_COLUMNS,
    SET_APART_CONFIDENCE,
    _set_apart,
    name_parts,
    own_names,
)
from emhniche.lineage import UNRESOLVED
from planted import library, lineage_table

SETTINGS = {"min_score": 0.1, "min_confidence": 0.5, "n_resamples": 100, "seed": 0}
OTHERS = {"monocyte_macrophage": 60, "erythroid": 60}


@pytest.fixture(scope="module")
def mixed():
    """B cells and 15 neutrophils, low in RNA, in one cluster, NK cells in another, and two more."""
    cells = library({"B": 120, "neutrophil": 15, "NK": 100, **OTHERS})
    truth = cells.obs["truth"].astype(str)
    numbers = {"B": "0", "neutrophil": "0", "NK": "1", **dict(zip(OTHERS, "23", strict=True))}
    cluster = truth.replace(numbers)
    table = pd.DataFrame({"cluster": cluster, "dataset": "d", "tissue": "spleen"})
    return cells, table, truth


def named(mixed, qc_lineage, **settings):
    cells, table, _ = mixed
    obs = table.assign(qc_lineage=np.asarray(qc_lineage, dtype=object))
    rows = name_parts(cells, obs, lineage_table(), **(SETTINGS | settings))
    return rows, own_names(obs, rows)["lineage"].to_numpy()


def test_a_rare_kind_within_a_cluster_keeps_its_name(mixed):
    truth = mixed[2].to_numpy()
    rows, found = named(mixed, truth)
    assert (found == truth).all()
    apart = rows[rows["qc_lineage"] != ""]
    assert apart["lineage"].tolist() == ["neutrophil"] and apart["n_cells"].tolist() == [15]
    assert apart["confidence"].iloc[0] > 0.9


def test_without_quality_control_a_rare_kind_takes_the_name_of_its_cluster(mixed):
    truth = mixed[2].to_numpy()
    _, found = named(mixed, ["B"] * len(truth))
    assert (found[truth == "neutrophil"] == "B").all()
    assert (found[truth != "neutrophil"] == truth[truth != "neutrophil"]).all()


def test_a_wrong_lineage_of_quality_control_names_nothing(mixed):
    truth = mixed[2].to_numpy()
    wrong = np.where(truth == "NK", "T", truth)
    rows, found = named(mixed, wrong)
    assert (found == truth).all()
    assert "T" not in set(rows["qc_lineage"])


@pytest.mark.parametrize("seed", range(5))
def test_a_cluster_of_one_kind_is_never_divided(mixed, seed):
    truth = mixed[2].to_numpy()
    rng = np.random.default_rng(seed)
    at_random = np.where(
        truth == "NK", rng.choice(["NK", "B", "DC", UNRESOLVED], len(truth)), truth
    )
    rows, found = named(mixed, at_random)
    assert (found == truth).all()
    assert rows.loc[rows["qc_lineage"] != "", "lineage"].tolist() == ["neutrophil"]


def test_too_few_cells_take_the_name_of_their_cluster(mixed):
    cells, table, truth = mixed
    few = np.flatnonzero(truth == "neutrophil")[: MIN_PART_CELLS - 1]
    keep = np.sort(np.r_[np.flatnonzero(truth != "neutrophil"), few])
    found = named((cells[keep].copy(), table.iloc[keep], truth.iloc[keep]), truth.iloc[keep])[1]
    assert (found[(truth.iloc[keep] == "neutrophil").to_numpy()] == "B").all()


def test_names_of_clusters_and_parts_do_not_hang_on_quality_control(mixed):
    truth = mixed[2].to_numpy()
    with_it, without = named(mixed, truth)[0], named(mixed, ["B"] * len(truth))[0]
    whole = with_it[with_it["qc_lineage"] == ""].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        whole, without[without["qc_lineage"] == ""].reset_index(drop=True)
    )
    assert set(PART_COLUMNS) <= set(with_it)


def test_what_has_no_name_takes_one_that_its_cells_have(mixed):
    cells, table, truth = mixed
    one = table.assign(cluster="0")  # a mixture that fits no set surely
    rows, found = named((cells, one, truth), truth, min_confidence=0.95)
    assert rows["lineage"].iloc[0] == UNRESOLVED
    assert (found == truth.to_numpy()).mean() == 1


def kept(part, confidence, pool, seen, sure):
    """Tell whether a pool that gets `pool` and was `seen` by quality control keeps its name."""
    rows = pd.DataFrame(
        {
            "cluster": "0",
            "dataset": "d",
            "tissue": "spleen",
            "qc_lineage": ["", seen],
            "lineage": [part, pool],
            "confidence": [confidence, sure],
        },
        index=["0|d|spleen|", f"0|d|spleen|{seen}"],
    )
    return bool(_set_apart(rows).iloc[1])


def test_another_name_than_that_of_the_part_must_be_seen_twice_and_be_sure():
    enough = SET_APART_CONFIDENCE
    assert kept("T", 0.9, "NK", "NK", enough)
    assert not kept("T", 0.9, "NK", "NK", enough - 0.05)
    assert not kept("T", 0.9, "NK", "B", 1.0)
    assert not kept("T", 0.9, UNRESOLVED, "NK", 1.0)


def test_a_part_that_is_unsure_of_its_name_gives_way_to_what_is_as_sure():
    assert kept("T", 0.55, "NK", "NK", 0.6)
    assert not kept("T", 0.55, "NK", "NK", 0.5)


def test_where_the_part_has_no_name_one_that_fits_quality_control_will_do():
    assert kept(UNRESOLVED, 0.4, "NK", "NK", 0.55)
    assert kept(UNRESOLVED, 0.4, "DC", "monocyte_macrophage", 0.55)
    assert kept(UNRESOLVED, 0.4, "DC", UNRESOLVED, 0.55)
    assert not kept(UNRESOLVED, 0.4, "DC", "B", 0.99)


def test_what_is_set_apart_changes_no_cell_type_of_a_cluster():
    cells = library({"B": 400, "neutrophil": 230, "NK": 60})
    truth = cells.obs["truth"].to_numpy(str)
    few = np.flatnonzero(truth == "neutrophil")[:20]
    types = lineage_table().query("cell_type == 'immNeu' and polarity == 'positive'")["genes"]
    strong = cells.var_names.isin(types.explode())
    assert strong.sum() >= 2
    counts = cells.X.toarray()
    counts[np.ix_(few, strong)] += 30
    cells.X = type(cells.X)(counts)
    cluster = np.select([truth == "NK", truth == "neutrophil"], ["2", "1"], "0")
    cluster[few] = "0"
    table = pd.DataFrame({"cluster": cluster, "dataset": "d", "tissue": "spleen"}, cells.obs_names)
    seen = named((cells, table, truth), truth)[0]
    not_seen = named((cells, table, truth), np.where(cluster == "0", "B", truth))[0]
    assert (seen["qc_lineage"] == "neutrophil").sum() == 1
    names = ["cluster", "dataset", "lineage", "cell_type", "cell_type_confidence"]
    whole = [rows.loc[rows["qc_lineage"] == "", names].to_numpy() for rows in (seen, not_seen)]
    np.testing.assert_array_equal(*whole)
