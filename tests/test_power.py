"""Figures of a trial are those of known tables; trials repeat, resume and plant what they say."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from emhniche import io, power
from emhniche.effects import (
    Effect,
    arms,
    classify_calls,
    is_found,
    like_with_like,
    planted_effects,
)
from emhniche.errors import InputError
from emhniche.power_summary import Bound, interval, summarise
from emhniche.report.power_figure import draw_summary
from emhniche.trial_metrics import Outcome, calls_of, pathological, silence, verdicts
from emhniche.truths import Truth

ROOT = Path(__file__).resolve().parents[1]
SPLEEN = {
    **{"name": "spleen", "factor": "condition", "test": "tumour", "reference": "naive"},
    "subset": {"tissue": "spleen"},
}
MARROW = {**SPLEEN, "name": "marrow", "subset": {"tissue": "bone marrow"}}
NICHE = {
    **{"name": "niche", "factor": "niche", "test": "extramedullary", "reference": "marrow"},
    "subset": {"condition": "naive"},
}


@pytest.fixture
def samples():
    rows = [
        (f"{c}{n}_{t.split()[-1]}", c, t, "marrow" if t == "bone marrow" else "extramedullary")
        for c in ("naive", "tumour")
        for n in (1, 2)
        for t in ("spleen", "bone marrow")
    ]
    columns = ["sample", "condition", "tissue", "niche"]
    return pd.DataFrame(rows, columns=columns).set_index("sample")


@pytest.fixture
def cell_types():
    table = pd.DataFrame(
        {
            "lineage": ["endothelium", "endothelium", "stroma", "monocyte", "monocyte"],
            "named": [("EC",), ("EC",), ("stroma", "Tcf21"), ("cMono",), ("RPM",)],
            "marrow": [0.5, 0.0, 0.0, 0.5, 0.0],
            "spleen": [0.0, 0.3, 0.3, 0.2, 0.2],
        },
        index=["EC_marrow", "EC_spleen", "Tcf21", "cMono", "RPM"],
    )
    return table


def truth(*plants, name="planted"):
    return Truth(name, "claim", "source", tuple(plants), ())


def expression(genes, cell_types, log2_fold=1.0, **where):
    plant = {"kind": "expression", "genes": genes, "cell_types": cell_types}
    return plant | {"log2_fold": log2_fold, "where": where}


# --- what is planted


def test_only_contrasts_of_like_with_like_are_judged(samples):
    assert like_with_like([SPLEEN, MARROW, NICHE], samples) == [SPLEEN, MARROW]
    test, reference = arms(MARROW, samples)
    assert list(test.index) == ["tumour1_marrow", "tumour2_marrow"]
    assert list(reference.index) == ["naive1_marrow", "naive2_marrow"]


def test_effects_are_those_that_the_arms_differ_by(samples, cell_types):
    truths = [
        truth(expression(["Kitl"], ["EC_spleen", "Tcf21"], condition="tumour", tissue="spleen")),
        truth(expression(["Il1b"], ["cMono", "RPM"], -2.0, condition="tumour")),
        truth(expression(["Everywhere"], ["cMono"])),
        truth(expression(["Tnf"], ["cMono"], condition="naive", tissue="spleen")),
        truth({"kind": "abundance", "cell_types": ["Tcf21"], "fold": 0.5, "where": {}}),
    ]
    place = ([SPLEEN, MARROW], samples, cell_types)
    found = planted_effects(truths, ("expression",), *place)
    assert [(one.name, one.cell_types, one.sign) for one in found] == [
        ("spleen:endothelium:Kitl", ("EC_spleen",), 1),
        ("spleen:stroma:Kitl", ("Tcf21",), 1),
        ("spleen:monocyte:Il1b", ("cMono", "RPM"), -1),
        ("spleen:monocyte:Tnf", ("cMono",), -1),
        # the marrow holds no RPM
        ("marrow:monocyte:Il1b", ("cMono",), -1),
    ]
    assert found[1].names == ("Tcf21", "stroma")
    assert planted_effects(truths, ("abundance",), *place) == []
    fewer = {"kind": "abundance", "cell_types": ["Tcf21"], "fold": 0.5}
    lost = planted_effects(
        [truth({**fewer, "where": {"condition": "tumour"}})], ("abundance",), *place
    )
    assert [(one.name, one.sign) for one in lost] == [("spleen:stroma", -1)]


# --- what a row is worth


def row(gene, cell_type, effect, q, *, level="lineage", contrast="spleen", **more):
    given = {"contrast": contrast, "gene": gene, "cell_type": cell_type, "level": level}
    given |= {"effect": effect, "q": q, "p": q / 10, "ambient": False, "status": "tested"}
    return given | {"tier": "core"} | more


def test_an_effect_is_found_by_its_own_row_and_sign():
    effect = Effect("spleen", "monocyte", ("cMono",), ("cMono",), "Il1b", 1)
    up = row("Il1b", "monocyte", 1.0, 0.01)
    fine = row("Il1b", "cMono", 1.0, 0.05, level="cell_type")
    assert is_found(effect, pd.DataFrame([up]))
    assert is_found(effect, pd.DataFrame([{**up, "q": 0.2}, fine]))
    for wrong in (
        {**up, "q": 0.051},
        {**up, "effect": -1.0},
        {**up, "gene": "Tnf"},
        {**up, "contrast": "marrow"},
        {**up, "cell_type": "B"},
        {**up, "q": np.nan},
    ):
        assert not is_found(effect, pd.DataFrame([wrong])), wrong
    assert not is_found(effect, pd.DataFrame([up, {**fine, "effect": -1.0}]))


def test_every_call_gets_its_class(samples):
    """Of each arm 100 stroma cells, 100 B cells, 40 cMono and RPM, which double in the tumour."""
    kinds = {"Tcf21": ("stroma", 100), "B": ("B", 100), "cMono": ("mono", 40), "RPM": ("mono", 40)}
    rows, held = [], []
    for sample, condition in (("naive1_spleen", 1), ("tumour1_spleen", 2)):
        for kind, (lineage, number) in kinds.items():
            for _ in range(number * (condition if kind == "RPM" else 1)):
                rows.append((sample, 1000, kind, lineage, lineage))
                # stroma alone makes Kitl and RPM alone makes Vcam1 and Ccr2
                held.append((kind == "Tcf21", *[kind == "RPM"] * 2, 1, 0))
        # one droplet of B and another cell holds all S100a9 of the tumour's B cells
        rows.append((sample, 1000, "doublet", "B", "B"))
        held.append((0, 0, 0, 1, 20 * (condition - 1)))
    columns = ["sample", "counts", "true_type", "lineage", "cell_type"]
    cells = pd.DataFrame(rows, columns=columns)
    counts = pd.DataFrame(held, columns=["Kitl", "Vcam1", "Ccr2", "Itga4", "S100a9"], dtype=float)
    table = pd.DataFrame(
        [
            row("Kitl", "stroma", 1.0, 0.01),
            row("Kitl", "stroma", -1.0, 0.01, level="cell_type"),
            row("Kitl", "B", 1.0, 0.01, ambient=True),
            row("Kitl", "B", 1.0, 0.01, level="cell_type"),
            row("Kitl", "B", -1.0, 0.01, level="cell_type"),
            row("Vcam1", "mono", 0.5, 0.01),
            row("Vcam1", "mono", -0.5, 0.01),
            row("Vcam1", "B", 0.5, 0.01),
            row("Itga4", "B", 0.5, 0.01),
            row("S100a9", "B", 2.0, 0.01),
            row("Itga4", "stroma", 0.5, 0.2),
            row("Itga4", "B", 0.5, 0.01, contrast="marrow"),
            row("Itga4", "B", 0.5, 0.01, contrast="niche"),
        ]
    )
    worth = classify_calls(
        table,
        [Effect("spleen", "stroma", ("Tcf21",), ("stroma",), "Kitl", 1)],
        [Effect("spleen", "mono", ("RPM",), ("RPM",), "", 1)],
        cells,
        counts,
        [SPLEEN],
        samples,
    )
    assert worth.to_dict() == {
        0: "right",
        1: "wrong_sign",
        2: "spillover",
        3: "spillover",
        4: "unexplained",
        5: "mixture",
        6: "unexplained",
        7: "spillover",
        8: "unexplained",
        9: "doublets",
    }


def test_calls_are_counted_by_family():
    table = pd.DataFrame(
        [
            row("a", "B", 1, 0.01, ambient=True),
            row("b", "B", 1, 0.2),
            row("a", "B", 1, 0.6, tier="extended"),
            row("a", "B", 1, 0.04, contrast="marrow"),
            row("a", "B", 1, np.nan, contrast="marrow", status="not_testable"),
            row("a", "B", 1, 0.01, contrast="other"),
        ]
    )
    found = dict(
        (name, (value, n))
        for name, value, n in calls_of("x", table, ["spleen", "marrow"], family="tier")
    )
    assert found == {
        "x_families_with_a_call": (2 / 3, 3),
        "x_rows_called": (0.5, 4),
        "x_p_below_0.05": (0.75, 4),
        "x_any_call": (1.0, 1),
    }


def test_silenced_genes_must_not_be_testable():
    plant = {"kind": "silence", "genes": ["Csf3", "Lif"]}
    rows = [row("Csf3", "B", np.nan, np.nan, status="not_testable"), row("Lif", "B", 1, 0.5)]
    assert list(silence([truth(plant)], pd.DataFrame(rows))) == [("silent_not_testable", 0.5, 2)]


def test_pathological_calls_are_compared_with_the_planted_cells():
    """20 planted, 2 of them lost and 2 misnamed; 12 of 16 called, and 3 others."""
    names = [f"s:{number}" for number in range(40)]
    cells = pd.DataFrame({"cell_id": names, "sample": "s", "tissue": "spleen", "state": "cell"})
    cells = cells.assign(condition="tumour", cell_type="matNeu", lineage="neutrophil", planted="")
    cells.loc[:19, "planted"] = "state"
    annotation = pd.DataFrame({"cell_id": names[2:], "lineage": "neutrophil"})
    annotation.loc[:1, "lineage"] = "DC"
    calls = pd.DataFrame({"cell_id": names[4:], "signature": "A", "pathological": False})
    calls.loc[:11, "pathological"] = True
    calls.loc[30:32, "pathological"] = True
    calls = pd.concat([calls, calls.iloc[:2].assign(signature="B")]).astype(
        {"pathological": "boolean"}
    )
    gates = pd.DataFrame(
        [
            ("neutrophil", "spleen", "A", 15),
            ("neutrophil", "spleen", "B", 2),
            ("DC", "spleen", "A", 0),
        ],
        columns=["lineage", "tissue", "signature", "called"],
    )
    empty = pd.DataFrame()
    outcome = Outcome(cells, empty, annotation, empty, empty, gates, calls, empty)
    plant = {
        "kind": "state",
        "cell_types": ["matNeu"],
        "genes": ["x"],
        "where": {"tissue": "spleen"},
    }
    found = {name: (value, n) for name, value, n in pathological(outcome, [truth(plant)])}
    assert found["pathological_fdr"] == (pytest.approx(3 / 15), 15)
    assert found["pathological_power"] == (12 / 16, 16)
    assert found["pathological_fdr:B"] == (0.0, 2)
    assert found["pathological_power:B"] == (2 / 16, 16)
    assert found["pathological_gate_called"] == (1.0, 1)
    assert found["pathological_any_call_elsewhere"] == (0.0, 1)
    nothing = {name for name, *_ in pathological(outcome, [])}
    assert nothing == {"pathological_gates_called_elsewhere", "pathological_any_call_elsewhere"}


def test_a_truth_is_right_when_all_that_was_asked_is():
    rows = [("a", "right"), ("a", "wrong"), ("b", "right"), ("b", "not asked"), ("c", "not asked")]
    table = verdicts(pd.DataFrame(rows, columns=["truth", "verdict"]))
    assert table.set_index("metric")["value"].to_dict() == {"truth:a": 0.0, "truth:b": 1.0}


# --- many trials


def trials_table(metrics):
    """Return trials of 4 seeds with one value a seed and `n` of each metric."""
    rows = [
        (seed, arm, "4", "pca", metric, value, n, "sha256:0")
        for (arm, metric), (n, values) in metrics.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=power.COLUMNS)


def test_the_summary_has_mean_interval_and_bound():
    shares = [0.0, 0.0, 0.25, 0.25]
    given = {
        ("planted", "found:x"): (1, [1, 1, 1, 0]),
        ("planted", "expression_power"): (6, [1.0, 1.0, 0.5, 0.5]),
        ("null", "expression_families_with_a_call"): (4, shares),
        ("planted", "pathological_fdr"): (50, [0.0] * 4),
    }
    table = summarise(trials_table(given)).set_index("metric")
    assert list(table.index) == [
        *("expression_families_with_a_call", "expression_power", "pathological_fdr", "found:x"),
    ]
    one = table.loc["found:x"]
    assert (one["mean"], one["interval"], one["n"], one["bound"]) == (
        0.75,
        "clopper_pearson",
        4,
        "",
    )
    assert (round(one["low"], 3), round(one["high"], 3)) == (0.194, 0.994)
    share = table.loc["expression_power"]
    assert (share["mean"], share["met"], share["bound"]) == (0.75, "no", ">= 0.8")
    # 4 seeds: 3.182 standard errors of 0.1443
    assert share["low"] == pytest.approx(0.75 - 3.1824 * 0.1443, abs=1e-3)
    assert share["high"] == 1.0
    false = table.loc["expression_families_with_a_call"]
    assert (false["mean"], false["met"]) == (0.125, "yes")
    assert false["bound"] == "<= 0.05 + sampling error"
    # no false call in 4 seeds is no proof of none in all
    assert table.loc["pathological_fdr", "high"] == pytest.approx(0.602, abs=1e-3)


def test_a_bound_forgives_sampling_error_only_where_it_says_so():
    assert Bound(0.05, False, sampling_error=True).met(0.2, 0.04, 0.3)
    assert not Bound(0.05, False, sampling_error=True).met(0.2, 0.06, 0.3)
    assert not Bound(0.8, True).met(0.79, 0.7, 0.9)
    assert Bound(0.8, True).met(0.8, 0.7, 0.9)
    low, high, kind = interval(np.array([0.3]), np.array([10]))
    assert (low, round(high, 3), kind) == (0.0, 0.975, "clopper_pearson")


@pytest.mark.parametrize("sizes", [["4"], ["3", "4", "8"]])
@pytest.mark.parametrize("kept", ["seed >= 0", "seed == 0", "arm == 'null'"])
def test_the_figure_is_drawn(tmp_path, sizes, kept):
    given = {
        ("planted", "found:tumour_vs_naive_spleen:stroma:Kitl"): (1, [1, 1, 1, 0]),
        ("planted", "expression_power"): (6, [1.0, 1.0, 0.5, 0.5]),
        ("planted", "pathological_power"): (60, [0.7, 0.8, 0.7, 0.8]),
        ("null", "expression_families_with_a_call"): (4, [0, 0, 0.25, 0.5]),
        ("planted", "pathological_fdr"): (50, [0.0, 0.1, 0.05, 0.02]),
    }
    table = pd.concat([trials_table(given).assign(mice=size) for size in sizes])
    draw_summary(table.query(kept), tmp_path / "power.png")
    assert (tmp_path / "power.png").read_bytes()[:4] == b"\x89PNG"


# --- real trials


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Return the demo, cut to two mice an arm, spleen and 90 cells a library."""
    folder = tmp_path_factory.mktemp("tiny")
    study = {
        "arms": [
            {"condition": "naive", "arm": "reference", "mice": 2},
            {"condition": "tumour", "arm": "case", "mice": 2},
        ],
        "tissues": ["spleen"],
        "cells_per_library": 90,
        "chemistries": [{"name": "10x 3' v3"}],
    }
    contrast = {**SPLEEN, "name": "tumour_vs_naive_spleen"}
    config = {"run": "tiny", "simulate": str(folder / "study.yaml")}
    config |= {"niche": {"contrasts": [contrast], "min_units": 2, "min_cells": 15}}
    config |= {"annotate": {"n_resamples": 20}, "merge": {"n_hvg": 500}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return power.load_study_run(folder / "config.yaml", ROOT)


@pytest.fixture(scope="module")
def planted(tiny):
    return power.run_trial(tiny, ROOT, power.Trial(1, "planted", "2", "pca"))[0]


def test_a_trial_goes_through_all_stages(planted):
    values = planted.set_index("metric")["value"]
    assert not planted["metric"].duplicated().any()
    assert values.between(0, 1).all()
    assert values["lineage_macro_f1"] > 0.5
    assert values["silent_not_testable"] == 1.0
    assert planted.set_index("metric").at["expression_rows_called", "n"] > 0
    assert {"pathological_power", "composition_power", "truth:vcam1_axis_is_unchanged"} <= {
        *values.index
    }


def test_a_trial_repeats_in_a_process_of_its_own(tiny, planted, tmp_path):
    said = []
    trials = power.list_trials(tiny, seeds=[1], arms=["planted"], mice=[], method="pca")
    table = power.judge_trials(tiny, ROOT, trials, tmp_path / "t.tsv", cores=1, say=said.append)
    io.write_table(planted, tmp_path / "here.tsv")
    pd.testing.assert_frame_equal(
        table[["metric", "value", "n"]], io.read_table(tmp_path / "here.tsv")
    )
    assert len(said) == 1
    assert said[0].startswith("1 of 1: seed 1, planted, 2 mice an arm, 360 barcodes")


def test_nothing_is_planted_in_a_null_trial(tiny):
    found = power.run_trial(tiny, ROOT, power.Trial(1, "null", "2", "pca"))[0]
    names = set(found["metric"])
    assert not [name for name in names if name.startswith(("found:", "truth:"))]
    assert not names & {"expression_power", "composition_power", "pathological_power"}
    assert found.set_index("metric").at["silent_not_testable", "value"] == 1.0


def test_the_number_of_mice_is_changed_and_nothing_else(tiny):
    more = power.with_mice(tiny, ROOT, 3)
    assert len(more.samples) == 6
    pd.testing.assert_frame_equal(more.samples.loc[tiny.samples.index], tiny.samples)
    assert len(tiny.samples) == 4
    assert power.digest(more) == power.digest(tiny)


# --- going on, and what is refused


def test_an_interrupted_run_goes_on(tiny, tmp_path, monkeypatch):
    asked = []

    def finished(run, root, trials, cores):
        for trial in trials:
            asked.append(trial.key)
            if trial.seed == 2:
                raise KeyboardInterrupt
            yield (
                trial,
                pd.DataFrame([("lineage_macro_f1", 0.5, 3)], columns=["metric", "value", "n"]),
                "",
            )

    monkeypatch.setattr(power, "_finished", finished)
    wanted = {"arms": ["planted"], "mice": [3], "method": "pca"}
    trials = power.list_trials(tiny, seeds=range(4), **wanted)
    out = tmp_path / "trials.tsv"
    with pytest.raises(KeyboardInterrupt):
        power.judge_trials(tiny, ROOT, trials, out, cores=1)
    assert list(io.read_table(out)["seed"]) == [0, 1]
    asked.clear()
    with pytest.raises(KeyboardInterrupt):
        power.judge_trials(tiny, ROOT, trials, out, cores=1)
    assert asked == [(2, "planted", "3", "pca")]
    later = power.list_trials(tiny, seeds=[0, 1, 3], **wanted)
    table = power.judge_trials(tiny, ROOT, later, out, cores=1)
    assert list(table["seed"]) == [0, 1, 3]
    changed = io.read_table(out).assign(inputs="sha256:other")
    io.write_table(changed, out)
    with pytest.raises(InputError, match="made from other inputs"):
        power.judge_trials(tiny, ROOT, trials, out, cores=1)


def test_every_trial_is_judged_once(tiny):
    wanted = {"arms": ["null", "null"], "mice": [3, 4, 3], "method": "pca"}
    trials = power.list_trials(tiny, seeds=range(1), **wanted)
    assert [trial.mice for trial in trials] == ["3", "4"]


def test_the_digest_follows_settings_but_not_the_seed(tiny):
    from dataclasses import replace

    changed = replace(tiny, config=tiny.config | {"seed": 5})
    assert power.digest(changed) == power.digest(tiny)
    stricter = {"qc": tiny.config["qc"] | {"n_mads": 3.0}}
    assert power.digest(replace(tiny, config=tiny.config | stricter)) != power.digest(tiny)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--method", "umap"], "--method: 'umap' is not among integrate.methods"),
        (["--seeds", "0"], "--seeds: 0 cohorts"),
        (["--seeds", "many"], "argument --seeds: invalid int value: 'many'"),
        (["--mice", "0"], "--mice: 0 mice an arm"),
        (["--first-seed", "-3"], "--first-seed: -3 is no seed"),
        (["--cores", "0"], "--cores: 0 processes"),
        (["--out", "config/README.md"], "config/README.md: not a table of trials"),
        (["--out", "docs"], "docs: not a table of trials"),
        (["--config", "nowhere.yaml"], "--config: 'nowhere.yaml' does not exist"),
        (["--config", "config/public.yaml"], "simulate: missing"),
        (["--arms", "other"], "argument --arms: invalid choice"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_ends_in_one_line(given, message, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["power.py", "--out", str(tmp_path / "t.tsv"), *given])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("scripts/power.py", run_name="__main__")
    said = capfd.readouterr()
    assert ended.value.code not in (0, None)
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
