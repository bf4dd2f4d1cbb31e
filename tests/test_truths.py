"""The file of truths is checked, and what cannot be is refused in one line."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from emhniche.errors import InputError
from emhniche.judging import JUDGES
from emhniche.resources import load_panel, load_signatures
from emhniche.schema import read_schema
from emhniche.truths import load_truths
from fake_truth import (
    SCHEMAS,
    STRICT,
)

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = read_schema(SCHEMAS / "truth.schema.yaml")
SHIPPED = ROOT / "resources" / "demo" / "truth.yaml"


@pytest.fixture
def written(tmp_path: Path) -> Callable:
    """Return a function that writes the shipped truths with a change and reads them."""

    def load(change: Callable[[list], object]) -> list:
        truths = copy.deepcopy(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))["truths"]
        change(truths)
        path = tmp_path / "truth.yaml"
        path.write_text(yaml.safe_dump({"truths": truths}), encoding="utf-8")
        return load_truths(path, SCHEMA)

    return load


def set_in(*path: object, to: object) -> Callable[[list], None]:
    def change(truths: list) -> None:
        place = truths
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


def test_the_shipped_truths_are_those_of_the_design():
    truths = {one.id: one for one in load_truths(SHIPPED, SCHEMA)}
    kinds = {plant["kind"] for one in truths.values() for plant in one.plant}
    assert kinds == {"expression", "abundance", "state", "silence"}
    state = truths["pathological_neutrophils"].plant[0]
    assert (state["share"], state["where"]) == (0.3, {"condition": "tumour", "tissue": "spleen"})
    # nothing is planted in naive mice, and nothing that tells the arms apart in marrow
    for one in truths.values():
        for plant in one.plant:
            where = plant.get("where", {})
            assert where.get("condition") != "naive"
            assert where.get("tissue") == "spleen" or where.get("condition") != "tumour"


def test_the_shipped_truths_name_genes_and_signatures_that_exist():
    panel = set(load_panel(ROOT / "resources" / "panel.tsv", "mouse")["gene"])
    sets = set(load_signatures(ROOT / "resources" / "signatures.tsv", "mouse")["set"])
    for one in load_truths(SHIPPED, SCHEMA):
        for expected in one.expect:
            assert set(expected.get("genes", ())) <= panel, one.id
            assert expected.get("signature", STRICT) in sets, one.id


def test_every_finding_of_the_schema_is_judged():
    item = SCHEMA["properties"]["truths"]["items"]["properties"]
    assert set(item["expect"]["x-keys"]) == set(JUDGES)
    assert set(item["plant"]["x-keys"]) == set(item["plant"]["items"]["properties"]["kind"]["enum"])
    for part in ("plant", "expect"):
        for keys in item[part]["x-keys"].values():
            assert {*keys["needs"], *keys["may"]} <= set(item[part]["items"]["properties"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in(1, "id", to="producers_expand_in_tumour_spleen"), "this id is used twice"),
        (set_in(0, "id", to="Has Space"), "truths[0].id: 'Has Space' cannot be used"),
        (set_in(0, "plant", 0, "kind", to="expresion"), "did you mean 'expression'"),
        (set_in(0, "plant", 0, "fold", to=-1), "fold: -1 is out of range"),
        (set_in(0, "plant", 0, "share", to=0.5), "plant[0].share: means nothing for 'abundance'"),
        (lambda t: t[0]["plant"][0].pop("fold"), "plant[0].fold: missing for 'abundance'"),
        (set_in(1, "plant", 0, "genes", to=["Kitl", "Kitl"]), "genes: 'Kitl' is there twice"),
        (set_in(0, "plant", 0, "where", "organ", to="x"), "where.organ: unknown key"),
        (set_in(0, "expect", 0, "finding", to="called"), "'called' is no finding of composition"),
        (set_in(0, "expect", 0, "finding", to="upp"), "'upp' is not allowed; did you mean 'up'"),
        (lambda t: t[0]["expect"][0].pop("contrast"), "contrast: missing for 'composition up'"),
        (set_in(0, "expect", 0, "genes", to=["Kitl"]), "means nothing for 'composition up'"),
        (set_in(0, "expect", 0, "gene", to="Kitl"), "expect[0].gene: unknown key"),
        (set_in(0, "expect", to=[]), "expect: the list is empty"),
        (lambda t: t[8]["plant"].append(t[8]["plant"][0]), "plant[1].kind: a second state"),
    ],
)
def test_a_mistake_is_one_line(written: Callable, change: Callable, message: str):
    with pytest.raises(InputError) as caught:
        written(change)
    assert message in str(caught.value)
    assert "truth.yaml: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["truths: [", "", "- a"])
def test_what_is_no_file_of_truths_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "truth.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"truth\.yaml: ") as caught:
        load_truths(path, SCHEMA)
    assert "\n" not in str(caught.value)


def test_truths_are_read_without_heavy_imports():
    check = (
        "import sys, emhniche.truths; print([m for m in ('anndata', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
