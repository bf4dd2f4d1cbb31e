"""The tables of the rule agree with each other and with the audit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.ambient_genes import COLUMNS
from emhniche.errors import InputError
from emhniche.resources import load_panel, load_signatures
from emhniche.response_sets import load_responses
from emhniche.score import score_cells
from emhniche.signals import SignalTables, read_signals
from niche_cohort import LINEAGES, cohort, library, panel_of, two_arms

ROOT = Path(__file__).parents[1]
NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
TUMOUR = {"name": "t", "factor": "condition", "test": "tumour", "reference": "naive"}
LIMITS = {"min_cells": 20, "min_counts": 10, "min_units": 3, "seed": 0}
SIGNATURES = pd.DataFrame(
    {
        "set": ["CellCycle_S", "up"],
        "class": ["negative_control", "pathological"],
        "polarity": "positive",
        "genes": [("g10", "g11", "g12"), ("g20", "g21", "g22", "g23")],
    }
)
RESPONSES = pd.DataFrame(
    {
        "set": ["R"],
        "axis": ["X"],
        "kind": ["response"],
        "lineages": [()],
        "genes": [("g30", "g31", "g32", "g33", "g34")],
        "weights": [(1.0,) * 5],
    }
)
PANEL = panel_of(["g0", "g1", "g2"])


def signals(
    libraries, contrasts=(NICHE,), lineages=LINEAGES, seed=0, **effects: float
) -> SignalTables:
    cells, annotation = cohort(
        libraries, seed=seed, n_genes=200, effects=effects, lineages=lineages
    )
    if "arm" not in cells.obs:
        cells.obs["arm"] = "reference"
    cells.obs["qc_lineage"] = annotation["lineage"].to_numpy()
    scores, _ = score_cells(
        cells,
        panel=PANEL,
        signatures=SIGNATURES,
        ambient=pd.DataFrame(columns=COLUMNS),
        **{"n_random": 20, "max_rank": 100, "n_bins": 5, "seed": 0},
    )
    return read_signals(
        cells,
        annotation,
        scores,
        panel=PANEL,
        signatures=SIGNATURES,
        responses=RESPONSES,
        contrasts=contrasts,
        **LIMITS,
    )


def test_planted_signals_are_read_from_counts_to_tables():
    up = dict.fromkeys(["g20", "g21", "g22", "g23"], 2.0)
    answer = dict.fromkeys(["g30", "g31", "g32", "g33", "g34"], 1.5)
    wrong = 0
    for seed in range(6):
        tables = signals(two_arms(4), seed=seed, **up, **answer)
        called = tables.scores[tables.scores["q"] < 0.05]
        planted = called[called["set"] == "up"]
        assert len(planted) >= 2
        assert (planted["effect"] > 0).all()
        assert (planted["effect_z"] > 0).all()
        wrong += set(called["set"]) != {"up"}
    # a family in which nothing differs has a finding in one cohort of twenty
    assert wrong <= 1
    tables = signals(two_arms(4), **up, **answer)
    moved = tables.responses[tables.responses["q"] < 0.05]
    assert set(moved["cell_type"]) == {"neutrophil", "stroma"}
    assert moved["effect"].to_numpy() == pytest.approx(1.5, abs=0.6)
    assert len(tables.emh_index) == 4
    assert tables.emh_contrasts.empty


def spleens(**study: str) -> list[dict]:
    """Return eight spleens, of four tumour-bearing mice and four naive ones."""
    rows = []
    for condition, arm in (("tumour", "case"), ("naive", "reference")):
        for i in range(4):
            name = f"{condition}{i}"
            given = {"condition": condition, "arm": arm, "study": study.get(condition, "A")}
            rows.append(library(name, name, "extramedullary", **given))
    return rows


def test_the_audit_binds_every_table():
    lineages = ("HSPC", "stroma")
    bound = signals(spleens(tumour="B"), contrasts=(TUMOUR,), lineages=lineages)
    free = signals(spleens(), contrasts=(TUMOUR,), lineages=lineages)
    numbers = ["p", "q", "ci_low", "ci_high"]
    for name in ("scores", "responses", "emh_contrasts"):
        table = getattr(bound, name)
        assert table[numbers].isna().all().all(), name
        assert set(table["status"]) <= {"not_identifiable", "not_testable"}
        shown = table[table["status"] == "not_identifiable"]
        assert len(shown), name
        assert shown["effect"].notna().all()
        # the same rows have numbers where the audit allows them
        same = getattr(free, name).loc[shown.index]
        assert (same["status"] == "tested").all(), name
        assert same[numbers].notna().all().all(), name


def test_the_same_input_gives_the_same_tables():
    first, again = signals(two_arms(3)), signals(two_arms(3))
    for name in SignalTables.__annotations__:
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))


def test_without_contrasts_the_index_is_still_there():
    tables = signals(two_arms(3), contrasts=())
    assert tables.scores.empty
    assert tables.responses.empty
    assert tables.emh_contrasts.empty
    assert len(tables.emh_index) == 3


def test_a_run_of_marrow_alone_has_no_index():
    rows = [{**row, "niche": "marrow"} for row in two_arms(3)]
    tables = signals(
        rows,
        contrasts=[{**NICHE, "factor": "tissue", "test": "spleen", "reference": "bone marrow"}],
    )
    assert tables.emh_index.empty
    assert tables.emh_contrasts.empty
    assert tables.emh_axes.empty
    assert set(tables.scores["status"]) == {"tested"}


def test_differences_of_differences_are_left_to_genes():
    more = {"factor": "condition", "test": "a", "reference": "b"}
    tables = signals(two_arms(3), contrasts=[{**NICHE, "interaction": more}])
    assert tables.scores.empty


def test_data_without_a_panel_gene_are_refused():
    cells, annotation = cohort(two_arms(1), seed=0, n_genes=20)
    panel = load_panel(ROOT / "resources/panel.tsv", "mouse")
    with pytest.raises(InputError, match=r"panel\.tsv: none of its"):
        read_signals(
            cells,
            annotation,
            pd.DataFrame({"cell_id": cells.obs_names}),
            panel=panel,
            signatures=load_signatures(ROOT / "resources/signatures.tsv", "mouse"),
            responses=load_responses(ROOT / "resources/responses.tsv", "mouse", panel),
            contrasts=[NICHE],
            **LIMITS,
        )


def test_numbers_are_missing_where_nothing_may_be_said():
    tables = signals(two_arms(3))
    for table in (tables.scores, tables.responses):
        silent = table[table["status"] == "not_testable"]
        assert silent[["effect", "p"]].isna().all().all()
        assert silent["reason"].ne("").all()
        tested = table[table["status"] == "tested"]
        assert (
            np.isfinite(tested[["effect", "ci_low", "ci_high", "p", "q"]].astype(float)).all().all()
        )
