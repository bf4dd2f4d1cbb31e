"""The readings of an axis: each from its own rows, never added up, silent where none is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from emhniche.axes import COLUMNS, read_axes
from emhniche.report.tables import contrast_titles

LINEAGE = pd.Series({"CAR": "stroma", "GMP": "HSPC", "B": "B", "matNeu": "neutrophil"})


def genes(*rows: tuple) -> pd.DataFrame:
    keys = ["role", "gene", "cell_type", "effect", "q", "status"]
    table = pd.DataFrame(rows, columns=keys)
    reason = np.where(table["status"] == "tested", "", "3 counts in both arms together")
    table = table.assign(ci_low=table["effect"] - 0.3, ci_high=table["effect"] + 0.3)
    return table.assign(contrast="c", axis="KIT", tier="core", level="cell_type", reason=reason)


def responses(*rows: tuple) -> pd.DataFrame:
    keys = ["axis", "kind", "set", "cell_type", "effect", "q", "status"]
    table = pd.DataFrame(rows, columns=keys)
    return table.assign(
        contrast="c",
        level="cell_type",
        ci_low=table["effect"] - 0.3,
        ci_high=table["effect"] + 0.3,
        reason="",
    )


def reading(table: pd.DataFrame, name: str) -> pd.Series:
    return table.set_index("reading").loc[name]


def test_each_reading_has_its_own_direction():
    found = read_axes(
        genes(
            ("ligand", "Kitl", "CAR", 1.5, 0.01, "tested"),
            ("ligand", "Kitl", "B", 0.1, 0.9, "tested"),
            ("receptor", "Kit", "GMP", -1.0, 0.02, "tested"),
            ("receptor", "Kit", "B", 3.0, 0.001, "tested"),
            ("antagonist", "Il1rn", "CAR", 2.0, 0.03, "tested"),
        ),
        responses(("KIT", "response", "KIT_MAPK", "GMP", 0.4, 0.5, "tested")),
        LINEAGE,
    )
    assert list(found) == list(COLUMNS)
    assert reading(found, "production")[["direction", "name", "cell_type"]].tolist() == [
        *("up", "Kitl", "CAR")
    ]
    # a receptor of B cells is none of the cells that the axis is asked about
    assert reading(found, "reception")[["direction", "n_rows"]].tolist() == ["down", 1]
    assert reading(found, "restraint")["direction"] == "up"
    assert reading(found, "response")["direction"] == "none"
    assert pd.isna(reading(found, "response")["name"])


def test_what_cannot_be_known_says_so_and_names_no_direction():
    found = read_axes(
        genes(
            ("ligand", "Kitl", "CAR", np.nan, np.nan, "not_testable"),
            ("ligand", "Kitl", "B", np.nan, np.nan, "not_testable"),
            ("receptor", "Kit", "GMP", 2.0, np.nan, "not_identifiable"),
        ),
        responses(),
        LINEAGE,
    )
    production = reading(found, "production")
    assert production["status"] == "not_testable"
    assert production["reason"] == "3 counts in both arms together"
    assert pd.isna(production["direction"])
    assert pd.isna(production["effect"])
    assert reading(found, "reception")["status"] == "not_identifiable"
    assert pd.isna(reading(found, "reception")["direction"])
    assert "response" not in set(found["reading"])


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (("GMP", 1.0, 0.01), "IFN_type1 moves the same way there"),
        (("GMP", -1.0, 0.01), None),
        (("GMP", 1.0, 0.5), None),
        (("B", 1.0, 0.01), None),
    ],
)
def test_a_response_that_a_control_shares_carries_a_caution(control, said):
    cell_type, effect, q = control
    found = read_axes(
        genes(("receptor", "Kit", "GMP", 0.1, 0.9, "tested")),
        responses(
            ("KIT", "response", "KIT_MAPK", "GMP", 0.8, 0.01, "tested"),
            ("", "control", "IFN_type1", cell_type, effect, q, "tested"),
        ),
        LINEAGE,
    )
    caution = reading(found, "response")["caution"]
    assert caution == said if said else pd.isna(caution)


def test_an_extended_gene_does_not_speak_for_a_core_axis():
    rows = genes(
        ("ligand", "Kitl", "CAR", 0.1, 0.9, "tested"),
        ("ligand", "Kitx", "CAR", 2.0, 0.01, "tested"),
    )
    rows["tier"] = ["core", "extended"]
    found = read_axes(rows, responses(), LINEAGE)
    assert reading(found, "production")[["direction", "n_rows"]].tolist() == ["none", 1]


def test_an_axis_without_a_set_of_genes_says_so():
    none = responses(("KIT", "response", "", "", np.nan, np.nan, "not_testable"))
    none = none.assign(level="", reason="no set of genes")
    found = read_axes(genes(("ligand", "Kitl", "CAR", 0.1, 0.9, "tested")), none, LINEAGE)
    assert reading(found, "response")[["status", "reason"]].tolist() == [
        *("not_testable", "no set of genes")
    ]


def test_a_size_that_may_be_nothing_is_not_named():
    rows = genes(("ligand", "Kitl", "CAR", -3.5, 0.01, "tested")).assign(ci_low=-8.6, ci_high=1.6)
    assert reading(read_axes(rows, responses(), LINEAGE), "production")["direction"] == "none"


def test_contrasts_that_read_alike_are_told_apart_by_what_they_are_cut_to():
    arms = {"factor": "condition", "test": "tumour", "reference": "naive"}
    contrasts = [
        {"name": "a", **arms, "subset": {"tissue": "spleen"}},
        {"name": "b", **arms, "subset": {"tissue": "bone marrow"}},
        {"name": "c", **arms, "test": "LPS"},
    ]
    run = SimpleNamespace(config={"niche": {"contrasts": contrasts}})
    assert contrast_titles(run) == {
        "a": "Tumour against naive, spleen",
        "b": "Tumour against naive, bone marrow",
        "c": "LPS against naive",
    }
    run.config["niche"]["contrasts"] = [contrasts[0], {**contrasts[0], "name": "d"}]
    assert contrast_titles(run)["d"] == "Tumour against naive, spleen (d)"
