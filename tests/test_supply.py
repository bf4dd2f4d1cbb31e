"""More of a ligand in a tissue is found, and told apart into more cells and more in each."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from emhniche.ambient import flag_groups
from emhniche.audits import design_matrix
from emhniche.design import audit_composition, audit_contrast
from emhniche.frequency import compare_weighted
from emhniche.pseudobulk import sum_cells
from emhniche.supply import COLUMNS, bootstrap, compare_supply
from niche_cohort import cohort, panel_of, two_arms

NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
LIMITS = {"min_cells": 20, "min_counts": 10, "min_units": 3}
KINDS = ("B", "stroma", "HSPC")


def compare(cells, annotation, genes=("g0", "g1", "g2"), seed: int = 0) -> pd.DataFrame:
    panel = panel_of(genes)
    bulk = sum_cells(cells, annotation, panel["gene"])
    audit = audit_contrast(bulk.samples, NICHE, min_units=3)
    frequency = audit_composition(bulk.samples, audit, min_units=3)
    ambient = flag_groups(bulk, panel["gene"])
    table = compare_supply(bulk, panel, [frequency], ambient, seed=seed, **LIMITS)
    assert table.columns.tolist() == [*COLUMNS]
    return table.set_index(["gene", "level", "cell_type"])


def thinned(cells, annotation, *, kind: str, niche: str, keep: float):
    """Leave only a share of the cells of a kind in one niche."""
    rng = np.random.default_rng(0)
    hit = ((annotation["lineage"] == kind).to_numpy()) & (cells.obs["niche"] == niche).to_numpy()
    stay = ~hit | (rng.random(len(hit)) < keep)
    return cells[stay].copy(), annotation[stay]


@pytest.fixture(scope="module")
def more_of_both():
    """g0 rises by 1.5 in each spleen cell, and marrow holds a third of the stroma."""
    cells, annotation = cohort(
        two_arms(5), seed=0, effects={"g0": 1.5}, lineages=KINDS, dispersion=0.1, n_cells=90
    )
    return compare(*thinned(cells, annotation, kind="stroma", niche="marrow", keep=1 / 3))


def test_the_product_is_found_in_its_parts(more_of_both):
    row = more_of_both.loc[("g0", "lineage", "stroma")]
    assert row["status"] == "tested"
    assert row["q"] < 0.05
    more_cells = np.log2((90 / 270) / (30 / 210))
    assert row["effect_abundance"] == pytest.approx(more_cells, abs=0.3)
    assert row["effect_expression"] == pytest.approx(1.5, abs=0.6)
    assert row["ci_low"] < more_cells + 1.5 < row["ci_high"]
    assert row["supply_test"] > 3 * row["supply_reference"]
    assert more_of_both.loc[("g1", "lineage", "HSPC"), "q"] > 0.05


def test_the_parts_sum_to_the_whole(more_of_both):
    kinds = more_of_both.drop(index="tissue", level="level")
    parts = kinds["effect_abundance"] + kinds["effect_expression"]
    np.testing.assert_allclose(parts, kinds["effect"])
    tissue = more_of_both.xs("tissue", level="level")
    assert tissue[["effect_abundance", "effect_expression"]].isna().all().all()


def test_supplies_of_a_tissue_sum_to_the_tissue(more_of_both):
    supply = more_of_both["supply_test"]
    by_lineage = supply.xs("lineage", level="level").groupby("gene").sum()
    tissue = supply.xs("tissue", level="level").droplevel("cell_type")
    np.testing.assert_allclose(by_lineage, tissue.loc[by_lineage.index], rtol=1e-4)


@pytest.mark.parametrize("paired", [False, True], ids=["unpaired", "paired"])
def test_the_seed_gives_the_interval(paired):
    data = cohort(two_arms(4, paired=paired), seed=1, n_genes=20, lineages=KINDS)
    first, again = compare(*data, seed=7), compare(*data, seed=7)
    pd.testing.assert_frame_equal(first, again)
    assert (first["status"] == "tested").all()
    assert (first["bootstrap_low"] < first["effect"]).all()
    assert (first["effect"] < first["bootstrap_high"]).all()
    other = compare(*data, seed=8)
    assert (other["bootstrap_low"] != first["bootstrap_low"]).any()
    pd.testing.assert_series_equal(other["ci_low"], first["ci_low"])


def test_pairs_are_drawn_as_pairs():
    """Of equal weights the coefficient of a draw is the mean of its pairs' differences."""
    n = 5
    rng = np.random.default_rng(0)
    units = pd.DataFrame(
        {"donor": [f"d{i}" for i in range(n)] * 2, "donor_known": True},
        index=[f"u{i}" for i in range(2 * n)],
    ).assign(test=np.repeat([True, False], n))
    matrix, _ = design_matrix(units, ("donor",), min_units=3)
    between, apart = rng.normal(0, 5, n), rng.normal(1, 1, n)
    values = np.concatenate([between + apart, between])[:, None]
    low, high = bootstrap(values, np.ones((2 * n, 1)), matrix, units, seed=0)
    drawn = rng.choice(apart, (20_000, n)).mean(axis=1) / np.log(2)
    assert [low[0], high[0]] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.15)


def test_sorted_libraries_supply_nothing():
    rows = [{**row, "enrichment": "CD45-"} for row in two_arms(3)[:3]] + two_arms(3)[3:]
    table = compare(*cohort(rows, seed=0, n_genes=20))
    assert len(table)
    assert set(table["status"]) <= {"not_identifiable", "not_testable"}
    assert table[["effect", "ci_low", "bootstrap_low", "p", "q"]].isna().all().all()


def test_a_confounded_contrast_shows_effects_without_p_or_interval():
    rows = [{**row, "study": row["niche"]} for row in two_arms(3)]
    table = compare(*cohort(rows, seed=0, n_genes=20))
    assert (table["status"] == "not_identifiable").all()
    limits = ["p", "q", "ci_low", "ci_high", "bootstrap_low", "bootstrap_high"]
    assert table[limits].isna().all().all()
    assert table["effect"].notna().all()


def test_two_donors_an_arm_show_effects_only():
    table = compare(*cohort(two_arms(2), seed=0, n_genes=20))
    assert (table["status"] == "effect_only").all()
    assert table["p"].isna().all()


def test_few_counts_and_unmeasured_genes_are_not_testable():
    rows = [{**row, "dataset": row["donor"]} for row in two_arms(3)]
    cells, annotation = cohort(rows, seed=0, n_genes=20, unmeasured={"s0": ["g1"]})
    matrix = cells.X.toarray()
    matrix[:, 0] = 0
    cells.X = matrix
    table = compare(cells, annotation)
    none = table.xs("g0", level="gene")
    assert (none["status"] == "not_testable").all()
    assert (none["reason"] == "0 counts in both arms together, 10 are needed").all()
    lacking = table.xs("g1", level="gene")
    assert (lacking["reason"] == "some donors' datasets do not measure it").all()
    assert (lacking["counts_test"] > 0).all()
    assert none[["effect", "p"]].isna().all().all()


def test_what_an_arm_does_not_measure_is_empty_and_never_zero():
    rows = [{**row, "dataset": "d2" if row["niche"] == "marrow" else "d1"} for row in two_arms(3)]
    table = compare(*cohort(rows, seed=0, n_genes=20, unmeasured={"d2": ["g1"]}))
    lacking = table.xs("g1", level="gene")
    assert lacking[["counts_reference", "supply_reference"]].isna().all().all()
    assert (lacking[["counts_test", "supply_test"]] > 0).all().all()
    assert (lacking["status"] == "not_testable").all()
    assert (lacking["reason"] == "no marrow dataset measures it").all()
    nowhere = compare(*cohort(rows, seed=0, n_genes=20, unmeasured={"d1": ["g1"], "d2": ["g1"]}))
    nowhere = nowhere.xs("g1", level="gene")
    shown = ["counts_test", "counts_reference", "supply_test", "supply_reference"]
    assert nowhere[shown].isna().all().all()
    assert (nowhere["reason"] == "no dataset measures it").all()


def test_supply_is_the_mean_over_donors_that_measure_the_gene():
    rows = [{**row, "dataset": "d2" if i % 2 else "d1"} for i, row in enumerate(two_arms(4))]
    cells, annotation = cohort(rows, seed=0, n_genes=20, unmeasured={"d2": ["g1"]})
    table = compare(cells, annotation)
    counts = pd.DataFrame(cells.X.toarray(), columns=cells.var_names)
    sample = cells.obs["sample"].to_numpy()
    stroma = (annotation["lineage"] == "stroma").to_numpy()
    held = counts["g1"].where(stroma, 0.0).groupby(sample).sum()
    share = 1e6 * held / counts.sum(axis=1).groupby(sample).sum()
    for arm, samples in (("test", ["s0", "s2"]), ("reference", ["m0", "m2"])):
        row = table.loc[("g1", "lineage", "stroma")]
        assert row[f"supply_{arm}"] == pytest.approx(share[samples].mean())
        assert row[f"counts_{arm}"] == held[samples].sum()
        assert row["status"] == "not_testable"


def draw(rng, n: int, paired: bool, n_features: int = 40):
    """Draw logs of counts of features that do not differ, their noise, and the design."""
    names = [f"d{i % n if paired else i}" for i in range(2 * n)]
    units = pd.DataFrame(
        {"donor": names, "donor_known": True}, index=[f"u{i}" for i in range(2 * n)]
    ).assign(test=np.repeat([True, False], n))
    mean = np.exp(rng.normal(3.0, 1.3, n_features))
    spread = np.exp(rng.normal(np.log(0.4), 0.3, n_features))
    shared = rng.normal(0, 0.5 * paired, (n, n_features))
    mean = mean * np.exp(np.tile(shared, (2, 1)))
    counts = rng.poisson(mean * np.exp(rng.normal(0, 1, (2 * n, n_features)) * spread))
    matrix, _ = design_matrix(units, ("donor",) if paired else (), min_units=3)
    noise = np.tile(1 / (counts.mean(axis=0) + 0.5), (2 * n, 1))
    kept = counts.sum(axis=0) >= 10
    return np.log(counts + 0.5)[:, kept], noise[:, kept], matrix, units


@pytest.mark.parametrize("paired", [False, True], ids=["unpaired", "paired"])
@pytest.mark.parametrize("n", [3, 4, 6])
def test_p_keeps_its_level_and_the_bootstrap_is_as_short_as_the_docs_say(n, paired):
    rng = np.random.default_rng(n)
    p, held = [], []
    for repeat in range(150):
        values, noise, matrix, units = draw(rng, n, paired)
        found = compare_weighted(values, noise, matrix.to_numpy())
        p.append(found.p)
        if repeat < 8:
            low, high = bootstrap(values, noise + found.donors, matrix, units, seed=repeat)
            held.append((low < 0) & (high > 0))
    p = np.concatenate(p)
    assert 0.03 < (p < 0.05).mean() < 0.07
    assert stats.kstest(p, "uniform").statistic < 0.03
    said = dict(zip((3, 4, 6), (0.72, 0.80, 0.85) if paired else (0.77, 0.86, 0.88), strict=True))
    assert np.concatenate(held).mean() == pytest.approx(said[n], abs=0.08)
