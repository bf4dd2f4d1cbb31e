"""Does the tumour change the spleen more than the marrow: found where it does, else not."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from design_cases import MORE, both, control, marrow, sheet, spleen, treated
from emhniche.audits import difference
from emhniche.design import audit_composition, audit_contrast, design_matrix, smallest_p
from emhniche.frequency import compare_odds
from emhniche.negative_binomial import compare_counts
from emhniche.niche import compare_niches
from niche_cohort import cohort, library, panel_of

LIMITS = {"min_cells": 20, "min_counts": 10, "min_units": 3}
PAIRS = pd.DataFrame(
    [{"axis": "X", "ligand": "g0", "receptor": "g1", "coreceptor": (), "sign": "agonist"}]
)
APART = (
    treated("abcd")
    + control("efgh")
    + marrow("ijkl", condition="tumour")
    + marrow("mnop", condition="control")
)


def audit(*libraries):
    return audit_contrast(sheet(*libraries), MORE, min_units=3)


def mice(n: int, **columns: str) -> list[dict]:
    """Return spleen and marrow of `n` mice with a tumour and `n` without."""
    return [
        library(f"{condition[0]}{i}{niche[0]}", f"{condition}{i}", niche, condition=condition)
        | columns
        for condition in ("tumour", "control")
        for i in range(n)
        for niche in ("extramedullary", "marrow")
    ]


@pytest.mark.parametrize(
    ("libraries", "smallest"),
    [
        (both("abc", "tumour") + both("def", "control"), 2 / 20),
        (both("abcd", "tumour") + both("abcd", "control"), 2 / 16),
        (
            both("ab", "tumour", sex="male")
            + both("cd", "tumour", sex="female")
            + both("ef", "control", sex="male")
            + both("gh", "control", sex="female"),
            2 / 36,
        ),
        (APART, math.nan),
    ],
    ids=["3 and 3 mice", "4 with all groups", "2 and 2 of each sex", "four groups apart"],
)
def test_smallest_p_is_that_of_relabelled_donors(libraries, smallest):
    assert smallest_p(audit(*libraries)) == pytest.approx(smallest, nan_ok=True)


def test_paired_donors_make_it_a_comparison_of_their_differences():
    found = audit(*both("abcd", "tumour"), *both("efgh", "control"))
    matrix, _ = design_matrix(found.units, found.blocks, min_units=3)
    values = np.random.default_rng(0).normal(size=(len(matrix), 1))
    coefficient = np.linalg.lstsq(matrix.to_numpy(), values, rcond=None)[0][-1]
    table = found.units.loc[matrix.index].assign(value=values[:, 0])
    wide = table.pivot(index="donor", columns="within", values="value")
    change = wide[True] - wide[False]
    tumour = change.index.isin(list("abcd"))
    expected = change[tumour].mean() - change[~tumour].mean()
    assert coefficient[0] == pytest.approx(expected)
    assert difference(values, found.units)[0] == pytest.approx(expected)


def test_donors_that_lose_one_tissue_leave_the_paired_design():
    found = audit(*both("abcd", "tumour"), *both("efgh", "control"))
    left = found.units.drop(index="a | tumour | marrow")
    matrix, _ = design_matrix(left, found.blocks, min_units=3)
    assert len(matrix) == 14
    left = left.drop(index=["b | tumour | marrow"])
    matrix, why_not = design_matrix(left, found.blocks, min_units=3)
    assert matrix is None
    assert why_not == ("2 against 4 and 2 against 4 paired donors, 3 in each arm are needed")


def test_a_sorted_group_has_no_frequencies():
    rows = sheet(
        *both("abc", "tumour", enrichment="CD45-"),
        *both("def", "control", enrichment="CD45-"),
        *marrow("abc", condition="tumour"),
        *both("def", "control"),
    )
    found = audit_contrast(rows, MORE, min_units=3)
    composition = audit_composition(rows, found, min_units=3)
    assert found.verdict == "tested"
    assert composition.verdict == "not_identifiable"
    assert "every tumour in extramedullary library is sorted" in composition.reason


@pytest.mark.parametrize(("n", "paired"), [(3, True), (3, False)], ids=["3 pairs", "3 apart"])
def test_expression_keeps_its_level_whatever_each_factor_does_alone(n, paired):
    """Donors vary, the tumour acts on both tissues alike, and the tissues differ."""
    letters = "abcdefghijklmnopqrstuvwx"
    if paired:
        libraries = both(letters[:n], "tumour") + both(letters[n : 2 * n], "control")
    else:
        groups = [letters[i * n : (i + 1) * n] for i in range(4)]
        libraries = (
            spleen(groups[0], condition="tumour")
            + spleen(groups[1], condition="control")
            + marrow(groups[2], condition="tumour")
            + marrow(groups[3], condition="control")
        )
    found = audit(*libraries)
    matrix, _ = design_matrix(found.units, found.blocks, min_units=3)
    units = found.units.loc[matrix.index]
    p = []
    for seed in range(100, 104):
        rng = np.random.default_rng(seed)
        genes = [f"g{i}" for i in range(300)]
        level = np.exp(rng.normal(3.5, 1.2, 300))
        alone = rng.normal(0, 0.7, (2, 300))
        donor = {name: rng.normal(0, 0.4, 300) for name in sorted(set(units["donor"]))}
        log = np.array(
            [
                donor[row.donor] + alone[0] * row.test + alone[1] * row.within
                for row in units.itertuples()
            ]
        )
        mean = level * np.exp(log) * rng.lognormal(0, 0.3, (len(units), 1))
        counts = rng.poisson(mean * rng.gamma(5, 0.2, mean.shape))
        table = pd.DataFrame(counts, units.index, genes)
        tested = table.columns[table.sum() >= 20]
        p.append(compare_counts(table, matrix, tested, min_counts=10)["p"].dropna())
    p = np.concatenate(p)
    assert 0.02 < (p < 0.05).mean() < 0.07
    assert stats.kstest(p, "uniform").statistic < 0.06


def test_frequencies_keep_their_level():
    found = audit(*both("abcd", "tumour"), *both("efgh", "control"))
    matrix, _ = design_matrix(found.units, found.blocks, min_units=3)
    units = found.units.loc[matrix.index]
    shares = np.array([1, 3, 6, 10, 15, 25, 40]) / 100
    rng, p = np.random.default_rng(5), []
    for _ in range(1000):
        donor = {name: rng.normal(0, 0.3, 7) for name in sorted(set(units["donor"]))}
        log = np.array([donor[row.donor] + 0.5 * row.within for row in units.itertuples()])
        weight = shares * np.exp(log + rng.normal(0, 0.25, log.shape))
        held = [rng.multinomial(800, row / row.sum()) for row in weight]
        whole = np.full(len(units), 800)
        p.append(compare_odds(np.array(held, float), whole, matrix.to_numpy()).p)
    p = np.array(p)
    assert 0.03 < (p < 0.05).mean() < 0.07
    assert 0.03 < (p[:, 0] < 0.05).mean() < 0.07, "the rarest kind"


@pytest.fixture(scope="module")
def tables():
    """Four mice an arm; the tumour raises g0 in the spleen alone, and nothing in the marrow."""
    cells, annotation = cohort(
        mice(4), seed=1, effects={"g0": 2.5}, case="tumour", donor_sd=0.3, dispersion=0.1
    )
    genes = [f"g{i}" for i in range(10)]
    contrast = {
        **{"name": "more", "factor": "condition", "test": "tumour", "reference": "control"},
        "interaction": {"factor": "tissue", "test": "spleen", "reference": "bone marrow"},
    }
    return compare_niches(cells, annotation, panel_of(genes), PAIRS, contrasts=[contrast], **LIMITS)


def test_what_the_tumour_does_in_spleen_alone_is_found(tables):
    design = tables.design.iloc[0]
    assert design["verdict"] == "tested"
    assert design["design_formula"] == "~ donor + tissue + condition:tissue"
    assert design["interaction"] == "tissue: spleen against bone marrow"
    assert design[["units_test", "units_reference", "paired_donors"]].tolist() == [4, 4, 8]
    rows = tables.contrasts.set_index(["gene", "level", "cell_type"])
    row = rows.loc[("g0", "lineage", "stroma")]
    assert row["q"] < 0.05
    assert row["ci_low"] < 2.5 < row["ci_high"]
    assert row["units_test"] == 4
    assert np.isnan(row["logcpm_test"]), "an arm has two tissues"
    others = tables.contrasts[tables.contrasts["gene"] != "g0"]
    assert (others["q"] > 0.05).all()
    assert set(others["status"]) <= {"tested", "not_testable"}


def test_equal_numbers_of_cells_are_no_change_of_a_frequency(tables):
    rows = tables.composition
    assert (rows["status"] == "tested").all()
    assert np.abs(rows["effect"]).max() < 0.1
    assert rows[["fraction_test", "fraction_reference"]].isna().all().all()


def test_a_gene_that_one_tissue_lacks_is_not_testable():
    cells, annotation = cohort(mice(3), seed=2, n_genes=80)
    marrow_rows = (cells.obs["niche"] == "marrow").to_numpy()
    matrix = cells.X.toarray()
    matrix[marrow_rows, 0] = 0
    cells.X = matrix
    contrast = {
        **{"name": "more", "factor": "condition", "test": "tumour", "reference": "control"},
        "interaction": {"factor": "niche", "test": "extramedullary", "reference": "marrow"},
    }
    found = compare_niches(
        cells, annotation, panel_of(["g0", "g1"]), PAIRS, contrasts=[contrast], **LIMITS
    )
    row = found.contrasts.query("gene == 'g0' and level == 'lineage'").iloc[0]
    assert row["status"] == "not_testable"
    assert row["reason"].startswith("marrow: 0 counts in both arms together")
    assert row[["effect", "p", "q", "ci_low"]].isna().all()


def test_a_confounded_interaction_has_no_p():
    rows = [row | {"chemistry": row["niche"]} for row in mice(3)]
    cells, annotation = cohort(rows, seed=3, n_genes=80)
    contrast = {
        **{"name": "more", "factor": "condition", "test": "tumour", "reference": "control"},
        "interaction": {"factor": "niche", "test": "extramedullary", "reference": "marrow"},
    }
    found = compare_niches(
        cells, annotation, panel_of(["g0", "g1"]), PAIRS, contrasts=[contrast], **LIMITS
    )
    assert found.design["verdict"].tolist() == ["not_identifiable"]
    for table in (found.contrasts, found.composition):
        assert table[["p", "q", "ci_low", "ci_high"]].isna().all().all()
        assert table["effect"].notna().any()
