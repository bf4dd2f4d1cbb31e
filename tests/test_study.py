"""The design of a simulated study: its sheet, and what is refused."""

from pathlib import Path

import pytest

from emhniche.design import audit_contrast
from emhniche.errors import InputError
from emhniche.schema import read_schema
from emhniche.study import read_study

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = {
    name: read_schema(ROOT / "workflow" / "schemas" / f"{name}.schema.yaml")
    for name in ("study", "samples")
}
NICHES = {
    "name": "niches",
    "factor": "niche",
    "test": "extramedullary",
    "reference": "marrow",
    "subset": {"condition": "naive"},
}


def study(tmp_path, text=""):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return read_study(path, SCHEMAS["study"])


def sheet(tmp_path, text=""):
    return study(tmp_path, text).sheet("cohort.h5ad", SCHEMAS["samples"])


def test_the_default_is_the_demo_cohort(tmp_path):
    default = sheet(tmp_path)
    shipped = read_study(ROOT / "config" / "study.yaml", SCHEMAS["study"])
    assert shipped.settings == study(tmp_path).settings
    assert len(default) == 16
    assert default["donor"].nunique() == 8
    assert set(default["niche"]) == {"marrow", "extramedullary"}
    assert default.groupby("donor")["tissue"].nunique().eq(2).all()
    arms = default.drop_duplicates("donor").groupby("arm").size().to_dict()
    assert arms == {"reference": 4, "case": 4}


def test_chemistries_are_balanced_over_arms_and_tissues(tmp_path):
    counts = sheet(tmp_path).groupby(["condition", "tissue", "chemistry"]).size()
    assert len(counts) == 8
    assert counts.eq(2).all()


def test_niches_can_be_told_apart_unless_tissue_is_aliased_with_chemistry(tmp_path):
    crossed = audit_contrast(sheet(tmp_path), NICHES, min_units=3)
    aliased = audit_contrast(sheet(tmp_path, "chemistry_by: tissue"), NICHES, min_units=3)
    assert crossed.verdict == "tested"
    assert crossed.blocks[0] == "donor"
    assert aliased.verdict == "not_identifiable"
    assert "chemistry" in aliased.aliased_with


def test_tumours_effect_can_be_told_from_chemistry_in_the_demo(tmp_path):
    contrast = {"name": "t", "factor": "condition", "test": "tumour", "reference": "naive"}
    audit = audit_contrast(
        sheet(tmp_path), contrast | {"subset": {"tissue": "spleen"}}, min_units=3
    )
    assert audit.verdict == "tested"


def test_one_changed_number_gives_more_mice(tmp_path):
    more = sheet(
        tmp_path,
        "arms: [{condition: naive, arm: reference, mice: 4}, {condition: tumour, mice: 6}]",
    )
    assert more.query("condition == 'tumour'")["donor"].nunique() == 6
    assert set(sheet(tmp_path).query("condition == 'naive'").index) <= set(more.index)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mice: 4", ["study.yaml: mice: unknown key"]),
        ("arms: [{condition: naive}]", ["arms[0].mice: missing", "how many mice"]),
        ("arms: [{condition: naive, mice: 0}]", ["arms[0].mice: 0 is out of range"]),
        ("arms: [{condition: d1, mice: 2}]", ["arms[0].condition: 'd1' cannot be used"]),
        (
            "arms: [{condition: a, mice: 2}, {condition: a, mice: 2}]",
            ["arms[1].condition: 'a' is used twice"],
        ),
        ("chemistries: [{name: x}, {name: x}]", ["chemistries[1].name: 'x' is used twice"]),
        ("doublets: 2", ["doublets: 2 is out of range", "at most 0.5"]),
        ("chemistry_by: mice", ["chemistry_by: 'mice' is not allowed", "one of: mouse, tissue"]),
        ("arms: [", ["not YAML"]),
    ],
)
def test_a_wrong_study_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(InputError) as error:
        study(tmp_path, text)
    assert "\n" not in str(error.value)
    for words in said:
        assert words in str(error.value)
