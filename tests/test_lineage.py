import numpy as np
import pandas as pd
import pytest

from emhniche.lineage import UNRESOLVED, group_rates, marker_sets, name_groups, set_scores
from planted import coarse_markers, library, lineage_table

LIMITS = {"min_score": 0.1, "min_confidence": 0.5, "n_resamples": 50, "seed": 0}


def name(cells, groups, **changes):
    markers = coarse_markers()
    genes = pd.concat([markers["positive"], markers["negative"]]).explode().dropna()
    return name_groups(group_rates(cells, groups, genes), markers, **(LIMITS | changes))


def test_each_planted_lineage_gets_its_name_with_confidence():
    cells = library({"B": 60, "T": 60, "NK": 30, "neutrophil": 30, "erythroid": 30})
    named = name(cells, cells.obs["truth"])
    assert (named["best"] == named.index).all()
    assert (named["confidence"] > 0.9).all()


def test_ambient_rna_of_another_lineage_does_not_name_a_group():
    cells = library({"B": 300, "T": 300, "neutrophil": 300}, ambient=0.3)
    named = name(cells, cells.obs["truth"])
    assert (named["best"] == named.index).all()


def test_one_lineage_alone_is_not_split():
    cells = library({"erythroid": 200})
    groups = np.random.default_rng(0).choice(["a", "b", "c"], cells.n_obs)
    assert set(name(cells, groups)["best"]) == {"erythroid"}


def test_cells_without_any_marker_stay_unresolved():
    cells = library({"B": 50})
    cells = cells[:, ~cells.var_names.isin(coarse_markers()["positive"].explode())].copy()
    cells.var_names = [*coarse_markers()["positive"].explode().unique()[:50], *cells.var_names[50:]]
    named = name(cells[:, 50:].copy(), np.repeat("x", 50))
    assert named["best"].tolist() == [UNRESOLVED]


def test_rates_leave_out_datasets_that_did_not_measure_the_gene():
    cells = library({"B": 40})
    cells.obs["dataset"] = np.where(np.arange(40) < 20, "has", "lacks")
    gene = "Cd79a"
    cells.X[20:, cells.var_names.get_loc(gene)] = 0
    cells.X.eliminate_zeros()
    whole = group_rates(cells[:20].copy(), np.repeat("g", 20), [gene]).loc["g", gene]
    cells.varm["measured"] = pd.DataFrame(
        {"has": True, "lacks": cells.var_names != gene}, index=cells.var_names
    )
    assert group_rates(cells, np.repeat("g", 40), [gene]).loc["g", gene] == pytest.approx(whole)
    only = group_rates(cells, cells.obs["dataset"], [gene])
    assert np.isnan(only.loc["lacks", gene])


def test_a_negative_gene_lowers_the_score():
    strength = pd.DataFrame({"a": [1.0, 1.0], "b": [1.0, 1.0], "n": [0.0, 1.0]})
    markers = pd.DataFrame(
        {"set": ["s"], "finer": [False], "positive": [("a", "b")], "negative": [("n",)]}
    )
    assert set_scores(strength, markers)["s"].tolist() == [1.0, 0.5]


def test_a_set_with_one_measured_gene_has_no_score():
    markers = pd.DataFrame(
        {"set": ["s"], "finer": [False], "positive": [("a", "z")], "negative": [()]}
    )
    assert set_scores(pd.DataFrame({"a": [1.0]}), markers)["s"].isna().all()


def test_no_panel_gene_takes_part_in_naming():
    from emhniche.resources import load_panel

    panel = set(load_panel("resources/panel.tsv", "mouse")["gene"])
    sets = pd.concat([marker_sets(lineage_table(), finer=finer) for finer in (False, True)])
    used = set(sets["positive"].explode()) | set(sets["negative"].explode())
    assert not used & panel


def test_a_lineage_needs_half_of_its_markers_and_a_cell_type_all():
    strength = pd.DataFrame({"a": [1.0], "b": [0.9], "c": [0.2], "d": [0.1]}, index=["g"])
    markers = pd.DataFrame(
        {
            "set": ["lineage", "cell_type"],
            "finer": [False, True],
            "positive": [("a", "b", "c", "d")] * 2,
            "negative": [()] * 2,
        }
    )
    scores = set_scores(strength, markers).loc["g"]
    assert scores["lineage"] == pytest.approx(0.95)
    assert scores["cell_type"] == pytest.approx(0.55)
