"""Responses are read against genes of like expression, and compared over donors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.ambient import flag_groups
from emhniche.design import audit_contrast
from emhniche.errors import InputError
from emhniche.pseudobulk import sum_cells
from emhniche.resources import load_panel
from emhniche.response import COLUMNS, activity, compare_responses
from emhniche.response_sets import load_responses
from niche_cohort import cohort, library, panel_of, two_arms

RESOURCES = Path(__file__).parents[1] / "resources"
NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
LIMITS = {"min_cells": 20, "min_counts": 10, "min_units": 3, "seed": 0}
SET = tuple(f"g{i}" for i in range(20, 28))
PANEL = pd.concat([panel_of(["g0"]), panel_of(["g1"]).assign(axis="Y")], ignore_index=True)


def responses_of(*sets: tuple, lineages=(), weights=None, kind="response") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "set": [f"R{i}" for i in range(len(sets))],
            "axis": "X",
            "kind": kind,
            "lineages": [lineages] * len(sets),
            "genes": list(sets),
            "weights": [weights or (1.0,) * len(genes) for genes in sets],
        }
    )


def compare(libraries, responses=None, *, seed=0, soup=(), **settings) -> pd.DataFrame:
    responses = responses_of(SET) if responses is None else responses
    limits = LIMITS | {key: settings.pop(key) for key in LIMITS if key in settings}
    cells, annotation = cohort(libraries, seed=seed, n_genes=150, **settings)
    wanted = [*PANEL["gene"], *dict.fromkeys(responses["genes"].explode())]
    bulk = sum_cells(cells, annotation, wanted)
    audit = audit_contrast(bulk.samples, NICHE, min_units=limits["min_units"])
    ambient = flag_groups(bulk, wanted)
    for level in ambient:
        ambient[level][list(soup)] = True
    table = compare_responses(bulk, responses, PANEL, [audit], ambient, **limits)
    assert table.columns.tolist() == [*COLUMNS]
    return table


def rows_of(table: pd.DataFrame, name: str = "R0") -> pd.DataFrame:
    rows = table[(table["set"] == name) & (table["level"] == "lineage")]
    return rows.set_index("cell_type")


def test_a_planted_response_is_found_at_its_size():
    table = compare(two_arms(4), effects=dict.fromkeys(SET, 1.0))
    rows = rows_of(table)
    assert set(rows.index) == {"neutrophil", "stroma"}
    assert (rows["status"] == "tested").all()
    assert (rows["q"] < 0.05).all()
    assert rows["effect"].to_numpy() == pytest.approx(1.0, abs=0.4)
    assert (rows["ci_low"] < rows["effect"]).all()
    assert (rows["z_random"] > 3).all()


def test_what_moves_all_genes_alike_is_no_response():
    every = {f"g{i}": 1.0 for i in range(2, 150)}
    rows = rows_of(compare(two_arms(4), effects=every))
    assert rows["effect"].abs().max() < 0.5


def test_weights_turn_a_gene_that_falls_into_evidence():
    effects = {gene: (1.0 if i % 2 else -1.0) for i, gene in enumerate(SET)}
    signs = tuple(1.0 if i % 2 else -1.0 for i in range(len(SET)))
    weighted = rows_of(compare(two_arms(4), responses_of(SET, weights=signs), effects=effects))
    assert (weighted["effect"] > 0.6).all()
    plain = rows_of(compare(two_arms(4), effects=effects))
    assert (plain["effect"].abs() < weighted["effect"] / 2).all()


@pytest.mark.parametrize("paired", [False, True], ids=["unpaired", "paired"])
def test_without_a_difference_p_keeps_its_level(paired):
    sets = [tuple(f"g{i}" for i in range(start, start + 8)) for start in range(2, 146, 8)]
    responses = responses_of(*sets)
    p = []
    settings = {"donor_sd": 0.4 * paired, "lineages": ("stroma",)}
    for seed in range(24):
        table = compare(two_arms(3, paired=paired), responses, seed=seed, **settings)
        p.append(table.loc[table["level"] == "lineage", "p"].dropna())
    p = pd.concat(p)
    assert len(p) > 300
    assert 0.03 <= (p < 0.05).mean() <= 0.07


def test_the_same_seed_gives_the_same_table():
    first, again = compare(two_arms(3)), compare(two_arms(3))
    pd.testing.assert_frame_equal(first, again)
    other = compare(two_arms(3), seed=0, **{"min_cells": 20})
    pd.testing.assert_frame_equal(first, other)


def test_random_sets_are_as_abundant_as_the_set():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 400)) + np.linspace(0, 10, 400)
    genes = np.array([10, 200, 390])
    pool = np.setdiff1d(np.arange(400), genes)
    own, random = activity(values, genes, np.ones(3), pool, [0])
    assert random.shape == (200, 6)
    assert own == pytest.approx(values[:, genes].mean(axis=1))
    assert random.mean() == pytest.approx(own.mean(), abs=0.5)


def test_only_the_lineages_of_a_set_are_read():
    table = compare(two_arms(3), responses_of(SET, lineages=("stroma",)))
    assert rows_of(table).index.tolist() == ["stroma"]


def test_an_axis_without_a_set_says_so():
    rows = compare(two_arms(3)).query("axis == 'Y'")
    assert rows[["set", "level", "cell_type"]].to_numpy().tolist() == [["", "", ""]]
    row = rows.iloc[0]
    assert row["status"] == "not_testable"
    assert row["reason"].startswith("no set of genes that answer to this axis")
    assert np.isnan(row["p"])


def test_a_confounded_contrast_has_neither_p_nor_interval():
    rows = [{**row, "study": row["niche"]} for row in two_arms(3)]
    table = rows_of(compare(rows, effects=dict.fromkeys(SET, 1.0)))
    assert (table["status"] == "not_identifiable").all()
    assert table[["p", "q", "ci_low", "ci_high"]].isna().all().all()
    assert (table["effect"] > 0.5).all()


def test_few_or_unknown_donors_have_an_effect_alone():
    assert (rows_of(compare(two_arms(2)))["status"] == "effect_only").all()
    unknown = [library(f"{n}{i}", "", n) for n in ("extramedullary", "marrow") for i in range(3)]
    rows = rows_of(compare(unknown))
    assert (rows["status"] == "effect_only").all()
    assert rows[["p", "ci_low"]].isna().all().all()


def test_unmeasured_few_counts_and_soup_are_not_testable():
    silent = rows_of(compare(two_arms(3), unmeasured={"d1": SET}))
    assert (silent["status"] == "not_testable").all()
    assert silent["reason"].tolist() == ["0 of its genes have 10 counts, 3 are needed"] * 2
    assert silent[["activity_test", "effect"]].isna().all().all()
    assert (silent["n_measured"] == 0).all()
    few = rows_of(compare(two_arms(3), min_counts=10**6))
    assert (few["status"] == "not_testable").all()
    soup = rows_of(compare(two_arms(3), soup=SET[:5]))
    assert soup["ambient"].all()
    assert (soup["status"] == "not_testable").all()
    part = rows_of(compare(two_arms(3), soup=SET[:3]))
    assert (part["status"] == "tested").all()
    assert (part["n_used"] == 5).all()
    nobody = rows_of(compare(two_arms(3), min_cells=50))
    assert set(nobody["reason"]) == {"no extramedullary donor or library has 50 such cells"}


@pytest.mark.parametrize("beside", [0, 1, 49])
def test_a_background_of_few_genes_is_none(beside):
    """Only the background falls: with one gene of it, that was a response with a p."""
    silent = [f"g{i}" for i in range(150) if f"g{i}" not in SET and i >= 100 + beside]
    silent += [f"g{i}" for i in range(100) if f"g{i}" not in SET]
    falls = dict.fromkeys((f"g{i}" for i in range(100, 100 + beside)), -2.0)
    table = compare(
        two_arms(4), unmeasured={"d1": silent}, effects=falls, min_counts=1, dispersion=0.05
    )
    rows = rows_of(table)
    assert (rows["status"] == "not_testable").all()
    assert rows[["activity_test", "effect", "p", "q", "z_random"]].isna().all().all()
    why = f"{beside} other genes have 1 counts, 50 are needed as background"
    assert set(rows["reason"]) == {why}
    assert (rows["n_used"] == len(SET)).all()


def test_a_background_of_fifty_genes_is_enough():
    silent = [f"g{i}" for i in range(100) if f"g{i}" not in SET]
    rows = rows_of(compare(two_arms(4), unmeasured={"d1": silent}, min_counts=1))
    assert (rows["status"] == "tested").all()


@pytest.mark.parametrize("species", ["mouse", "human"])
def test_shipped_responses_hold_no_gene_of_the_panel(species):
    panel = load_panel(RESOURCES / "panel.tsv", species)
    table = load_responses(RESOURCES / "responses.tsv", species, panel)
    assert not set(table["genes"].explode()) & set(panel["gene"])
    assert {"TNF", "IL-1", "G-CSF", "LIF", "KIT"} <= set(table["axis"])
    assert (table["genes"].map(len) >= 5).all()
    assert (table["genes"].map(len) == table["weights"].map(len)).all()
    assert set(table.loc[table["kind"] == "control", "set"]) == {"IFN_type1", "Immediate_early"}
    assert table[["source", "verification"]].ne("").all().all()


def written(tmp_path: Path, **changes: str) -> Path:
    row = {
        **{"set": "R", "axis": "TNF", "kind": "response", "lineages": "any", "species": "mouse"},
        **{"genes": "Nfkbia;Relb;Rel", "weights": "", "source": "s", "verification": "v"},
        "note": "",
    }
    path = tmp_path / "responses.tsv"
    pd.DataFrame([row | changes]).to_csv(path, sep="\t", index=False)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": "TNFa"}, "axis 'TNFa' is not in the panel; .* or name your own resources.resp"),
        ({"axis": "TNF", "kind": "control"}, "axis 'TNF' of a control; leave it empty"),
        ({"species": "human", "genes": "RELB;REL;TNIP1"}, "no row of mouse, which the samples"),
        ({"genes": "Nfkbia,Relb,Rel"}, "gene 'Nfkbia,Relb,Rel' is no symbol; separate symbols by"),
        ({"genes": "Nfkbia;Relb"}, "2 genes; a set needs 3"),
        ({"genes": "Nfkbia;Relb;Tnf"}, "gene Tnf belongs to the axis TNF itself"),
        ({"genes": "Nfkbia;NFKB1"}, "gene NFKB1 is spelled as in human"),
        ({"genes": "Rel;Rel"}, "gene Rel is there twice"),
        ({"genes": ""}, "gene '' is blank"),
        ({"weights": "1;2"}, "2 weights for 3 genes"),
        ({"weights": "1;2;x"}, "are no numbers"),
        ({"weights": "0;0;0"}, "one not 0"),
        ({"weights": "1;nan;1"}, "must be finite"),
        ({"lineages": "spleen"}, "lineages 'spleen' is unknown"),
        ({"lineages": "any;B"}, "give 'any' alone or name them"),
        ({"kind": "other"}, "kind 'other' is unknown"),
        ({"set": " "}, "set is empty"),
    ],
)
def test_a_bad_row_is_named(tmp_path, changes, message):
    panel = load_panel(RESOURCES / "panel.tsv", "mouse")
    with pytest.raises(InputError, match=message) as error:
        load_responses(written(tmp_path, **changes), "mouse", panel)
    assert str(error.value).startswith(f"{tmp_path / 'responses.tsv'}: ")


def test_weights_of_a_table_of_your_own_are_read(tmp_path):
    panel = load_panel(RESOURCES / "panel.tsv", "mouse")
    table = load_responses(written(tmp_path, weights="2;-1;0.5", lineages="B;T"), "mouse", panel)
    assert table.loc[0, "weights"] == (2.0, -1.0, 0.5)
    assert table.loc[0, "lineages"] == ("B", "T")
