"""Designs get the verdict a statistician would give them."""

import math
from pathlib import Path

import pytest
import yaml

from design_cases import DESIGNS, NICHE, TUMOUR, marrow, sheet, spleen
from emhniche.design import (
    Audit,
    audit_composition,
    audit_contrast,
    design_matrix,
    design_table,
    smallest_p,
)
from emhniche.settings import load_run
from interaction_cases import INTERACTIONS


@pytest.mark.parametrize(
    ("libraries", "contrast", "verdict", "formula", "reason"),
    [design[1:] for design in [*DESIGNS, *INTERACTIONS]],
    ids=[design[0] for design in [*DESIGNS, *INTERACTIONS]],
)
def test_verdict(libraries, contrast, verdict, formula, reason):
    found = audit_contrast(sheet(*libraries), contrast, min_units=3)
    assert (found.verdict, found.formula) == (verdict, formula), found.reason
    assert reason in found.reason


def test_every_verdict_is_among_the_designs():
    assert len(DESIGNS) >= 25
    verdicts = {design[3] for design in DESIGNS}
    assert verdicts == {"tested", "effect_only", "not_identifiable", "not_testable"}


def audit(*libraries: dict[str, str], contrast: dict[str, str] = NICHE) -> Audit:
    return audit_contrast(sheet(*libraries), contrast, min_units=3)


def test_one_level_an_arm_is_aliased_and_several_are_nested():
    found = audit(
        *spleen("a", study="A", chemistry="Microwell-seq"),
        *spleen("b", study="B", chemistry="MARS-seq"),
        *marrow("cd", study="C", chemistry="10x"),
        *marrow("e", study="D", chemistry="10x"),
    )
    assert found.aliased_with == ()
    assert found.nested_in == ("study", "dataset", "chemistry")
    assert found.reason == (
        "niche cannot be told from study: every extramedullary library is A or B, every marrow "
        "library C or D; nor from dataset and chemistry"
    )
    found = audit(*spleen("abc", chemistry="v2"), *marrow("abc", chemistry="v3"))
    assert found.aliased_with == ("chemistry",)
    assert found.nested_in == ()


def test_units_are_known_donors_and_unknown_libraries():
    found = audit(*spleen("aab?"), *marrow("a??"))
    assert found.counts == {"units": (3, 3), "known": (2, 1), "paired": 1}


def test_only_known_donors_are_used_once_they_suffice():
    found = audit(*spleen("abc?"), *marrow("def?"))
    assert found.samples["donor_known"].all()
    assert len(found.units) == 6


def test_unpaired_donors_are_left_out_of_a_paired_design():
    found = audit(*spleen("abcd"), *marrow("abce"))
    assert set(found.units["donor"]) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("libraries", "smallest"),
    [
        (spleen("abc") + marrow("def"), 2 / 20),
        (spleen("abcd") + marrow("efgh"), 2 / 70),
        (spleen("abc") + marrow("abc"), 2 / 8),
        (spleen("a") + marrow("b"), 1.0),
        (spleen("abc", study="A") + marrow("def", study="B"), math.nan),
    ],
    ids=["3 and 3", "4 and 4", "3 pairs", "1 and 1", "confounded"],
)
def test_smallest_p(libraries, smallest):
    assert smallest_p(audit(*libraries)) == pytest.approx(smallest, nan_ok=True)


@pytest.mark.parametrize(
    ("libraries", "verdict", "reason"),
    [
        (spleen("abc") + marrow("def"), "tested", "~ niche"),
        (
            spleen("abc", enrichment="CD45-") + marrow("def", enrichment="CD45-"),
            "not_identifiable",
            "sorted or enriched (CD45-), and the gate set",
        ),
        (
            spleen("abc")
            + spleen("abc", enrichment="CD45-")
            + marrow("def")
            + marrow("def", enrichment="CD45-"),
            "tested",
            "3 against 3",
        ),
        (
            spleen("abc")
            + spleen("abc", enrichment="CD45-")
            + marrow("d")
            + marrow("def", enrichment="CD45-"),
            "effect_only",
            "every marrow library is of d",
        ),
        (
            spleen("abc", study="A") + marrow("def", study="B"),
            "not_identifiable",
            "niche cannot be told from study",
        ),
        (spleen("abc"), "not_testable", "no library kept has niche marrow"),
    ],
    ids=["whole", "sorted", "whole and sorted", "few whole", "confounded", "no arm"],
)
def test_composition_is_read_from_unsorted_libraries(libraries, verdict, reason):
    samples = sheet(*libraries)
    found = audit_contrast(samples, NICHE, min_units=3)
    composition = audit_composition(samples, found, min_units=3)
    assert composition.verdict == verdict, composition.reason
    assert reason in composition.reason
    assert samples.loc[composition.samples.index, "enrichment"].eq("none").all()


def test_design_matrix_follows_the_units_that_are_left():
    found = audit(*spleen("abcd"), *marrow("abcd"))
    matrix, why_not = design_matrix(found.units, found.blocks, min_units=3)
    assert matrix.shape == (8, 5)
    assert why_not == ""
    assert matrix["test"].sum() == 4
    left = found.units.drop(index="d | marrow")
    matrix, _ = design_matrix(left, found.blocks, min_units=3)
    assert matrix.shape == (6, 4)
    left = left.drop(index="c | marrow")
    matrix, why_not = design_matrix(left, found.blocks, min_units=3)
    assert matrix is None
    assert why_not == "2 against 2 paired donors, 3 in each arm are needed"


def test_table_has_one_row_a_contrast():
    samples = sheet(*spleen("abc", condition="tumour"), *marrow("def", condition="tumour"))
    audits = [audit_contrast(samples, contrast, min_units=3) for contrast in (NICHE, TUMOUR)]
    table = design_table(
        audits, [audit_composition(samples, one, min_units=3) for one in audits]
    ).set_index("contrast")
    assert table["verdict"].tolist() == ["tested", "not_testable"]
    assert table["units_test"].tolist() == [3, 6]
    assert table["min_attainable_p"].isna().tolist() == [False, True]


def test_public_sheet_tells_no_niche_from_its_study():
    folder = Path(__file__).parents[1]
    config = yaml.safe_load((folder / "config" / "public.yaml").read_text())
    run = load_run(config, folder)
    niche, lps = (
        audit_contrast(run.samples, contrast, min_units=3)
        for contrast in run.config["niche"]["contrasts"]
    )
    assert niche.verdict == "not_identifiable"
    assert niche.reason.startswith(
        "niche cannot be told from study: every extramedullary library is Han2018 or Jaitin2014, "
        "every marrow library Klein"
    )
    assert math.isnan(smallest_p(niche))
    assert lps.verdict == "effect_only"
    assert "every LPS library is of jaitin_m5" in lps.reason
    assert set(run.samples.loc[lps.samples.index, "enrichment"]) == {"CD11c+"}
