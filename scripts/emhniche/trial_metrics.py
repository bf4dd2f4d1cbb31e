"""What did the pipeline get right in one simulated cohort, and what did it get wrong?

Every figure is a row ``metric``, ``value``, ``n``: `value` is a share of `n` things, and 0 or 1
where `n` is 1. A figure that rests on nothing is not there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emhniche import io
from emhniche.effects import (
    CLASSES,
    DOUBLET,
    FALSE,
    Effect,
    classify_calls,
    is_found,
    like_with_like,
    planted_effects,
    rows_of,
)
from emhniche.evidence import ALPHA, MIN_CELLS
from emhniche.planting import matches
from emhniche.settings import Run
from emhniche.truth_cells import (
    SINGLE,
    doublet_auroc,
    lineage_f1,
    lost_cells,
    read_barcodes,
)
from emhniche.truths import Truth

Figures = Iterator[tuple[str, float, int]]


@dataclass(frozen=True)
class Outcome:
    """The tables of a run beside the truth.

    Attributes
    ----------
    cells
        The truth of every barcode (``simulate/cells.parquet``).
    barcodes
        What qc says of each; see :func:`emhniche.truth_cells.read_barcodes`.
    annotation, contrasts, composition, gates, calls
        Tables of the run.
    panel_counts
        Kept cells x measured panel genes, counts.
    """

    cells: pd.DataFrame
    barcodes: pd.DataFrame
    annotation: pd.DataFrame
    contrasts: pd.DataFrame
    composition: pd.DataFrame
    gates: pd.DataFrame
    calls: pd.DataFrame
    panel_counts: pd.DataFrame


def read_outcome(folder: Path) -> Outcome:
    """Read the tables of a finished run.

    Parameters
    ----------
    folder
        Folder of the run.

    Returns
    -------
    Outcome
    """
    cells = io.read_table(folder / "simulate" / "cells.parquet")
    kept = io.read_h5ad(folder / "cells.h5ad")
    genes = kept.var_names[kept.var["panel"]]
    return Outcome(
        cells=cells,
        barcodes=read_barcodes(folder, sorted(set(cells["sample"]))),
        annotation=io.read_table(folder / "annotate" / "annotation.parquet"),
        contrasts=io.read_table(folder / "niche" / "contrasts.tsv"),
        composition=io.read_table(folder / "niche" / "composition.tsv"),
        gates=io.read_table(folder / "myeloid" / "gates.tsv"),
        calls=io.read_table(folder / "myeloid" / "calls.parquet"),
        panel_counts=pd.DataFrame(kept[:, genes].X.toarray(), kept.obs_names.astype(str), genes),
    )


def measure(
    outcome: Outcome, run: Run, truths: Sequence[Truth], cell_types: pd.DataFrame
) -> pd.DataFrame:
    """Measure one trial.

    Parameters
    ----------
    outcome
        Its tables.
    run
        Its run.
    truths
        What was planted in it, without what was left out.
    cell_types
        The simulated cell types, see :func:`emhniche.effects.planted_effects`.

    Returns
    -------
    pandas.DataFrame
        ``metric``, ``value``, ``n``; ``docs/power.md`` explains every metric.
    """
    contrasts = like_with_like(run.config["niche"]["contrasts"], run.samples)
    names = [one["name"] for one in contrasts]
    place = (contrasts, run.samples, cell_types)
    expression = [
        one
        for one in planted_effects(truths, ("expression", "state"), *place)
        if one.gene in set(outcome.contrasts["gene"])
    ]
    abundance = planted_effects(truths, ("abundance",), *place)
    worth = classify_calls(
        outcome.contrasts,
        expression,
        abundance,
        _kept(outcome),
        outcome.panel_counts,
        contrasts,
        run.samples,
    )
    figures = [
        *calls_of("expression", outcome.contrasts, names, family="tier"),
        *calls_of("composition", outcome.composition, names, family="level"),
        *power("expression", expression, outcome.contrasts),
        *power("composition", abundance, outcome.composition),
        *false_calls(worth),
        *silence(truths, outcome.contrasts),
        *doublets(outcome),
        *losses(outcome),
        *naming(outcome),
        *pathological(outcome, truths),
    ]
    return pd.DataFrame(figures, columns=["metric", "value", "n"])


def verdicts(recovered: pd.DataFrame) -> pd.DataFrame:
    """Turn the verdicts on the planted truths into figures.

    Parameters
    ----------
    recovered
        As :func:`emhniche.judging.judge` returns it.

    Returns
    -------
    pandas.DataFrame
        ``truth:<id>`` of each truth that was asked: 1 where every expectation is right.
    """
    asked = recovered[recovered["verdict"] != "not asked"]
    right = asked["verdict"].eq("right").groupby(asked["truth"], sort=False).all()
    metrics = [f"truth:{name}" for name in right.index]
    return pd.DataFrame({"metric": metrics, "value": right.to_numpy(dtype=float), "n": 1})


def calls_of(name: str, table: pd.DataFrame, contrasts: Sequence[str], *, family: str) -> Figures:
    """Yield how many tested rows are called, and how many families of tests hold a call.

    A family is what Benjamini-Hochberg adjusts over: the rows of a contrast and `family`. Where
    nothing is planted every call is false, so that the share of families with any is their false
    discovery rate.
    """
    tested = table[table["contrast"].isin(contrasts) & (table["status"] == "tested")]
    if tested.empty:
        return
    called = tested["q"] <= ALPHA
    keys = [tested["contrast"], tested[family]]
    families = called.groupby(keys).any()
    yield f"{name}_families_with_a_call", families.mean(), len(families)
    yield f"{name}_rows_called", called.mean(), len(tested)
    yield f"{name}_p_below_0.05", (tested["p"] <= 0.05).mean(), len(tested)
    yield f"{name}_any_call", float(called.any()), 1


def power(name: str, effects: Sequence[Effect], table: pd.DataFrame) -> Figures:
    """Yield the share of planted effects that are called with the right sign, and each of them."""
    if not effects:
        return
    found = [is_found(effect, table) for effect in effects]
    tested = [rows_of(effect, table)["status"].eq("tested").any() for effect in effects]
    yield f"{name}_power", np.mean(found), len(effects)
    yield f"{name}_effects_tested", np.mean(tested), len(effects)
    for effect, right in zip(effects, found, strict=True):
        yield f"found:{effect.name}", float(right), 1


def false_calls(worth: pd.Series) -> Figures:
    """Yield the share of calls of ``contrasts.tsv`` that are false, and of each class."""
    number = len(worth)
    yield "expression_false_discoveries", worth.isin(FALSE).mean() if number else 0.0, number
    for name in CLASSES:
        if number:
            yield f"calls:{name}", (worth == name).mean(), number


def silence(truths: Sequence[Truth], contrasts: pd.DataFrame) -> Figures:
    """Yield the share of rows of silenced genes that are not testable."""
    plants = [plant for truth in truths for plant in truth.plant if plant["kind"] == "silence"]
    rows = contrasts[contrasts["gene"].isin([gene for one in plants for gene in one["genes"]])]
    if len(rows):
        yield "silent_not_testable", (rows["status"] == "not_testable").mean(), len(rows)


def doublets(outcome: Outcome) -> Figures:
    """Yield the AUROC of the doublet score, the mean of the libraries by number of doublets.

    Two cells of one lineage look like one, so doublets of two lineages are also measured alone.
    """
    table = doublet_auroc(outcome.barcodes, outcome.cells)
    for name, column, number in (
        ("doublet_auroc", "auroc", "doublets"),
        ("doublet_auroc_of_two_lineages", "auroc_mixed", "mixed"),
    ):
        rows = table[table[number] > 0]
        if len(rows):
            yield name, np.average(rows[column], weights=rows[number]), int(rows[number].sum())


def losses(outcome: Outcome) -> Figures:
    """Yield the share of live single cells that qc drops, by true lineage, and of the others."""
    table = lost_cells(outcome.barcodes, outcome.cells)
    live = table["state"] == SINGLE
    for row in table[live].itertuples():
        yield f"qc_lost:{row.lineage}", row.lost / row.cells, row.cells
    for state, rows in table[~live].groupby("state"):
        yield f"qc_removed:{state}", rows["lost"].sum() / rows["cells"].sum(), rows["cells"].sum()


def naming(outcome: Outcome) -> Figures:
    """Yield the F1 score of each true lineage and their mean; ``unresolved`` counts as wrong."""
    table = lineage_f1(outcome.annotation, outcome.cells)
    table = table[table["cells"] >= MIN_CELLS]
    if len(table):
        yield "lineage_macro_f1", table["f1"].mean(), len(table)
    for lineage, row in table.iterrows():
        yield f"lineage_f1:{lineage}", row["f1"], int(row["cells"])


def pathological(outcome: Outcome, truths: Sequence[Truth]) -> Figures:
    """Yield what the calls of MDSC-like cells are worth, all signatures together and each.

    Power is the share of planted cells called, of those that qc kept and whose lineage is right.
    """
    cells = outcome.cells.set_index(io.CELL_ID)
    states = [plant for truth in truths for plant in truth.plant if plant["kind"] == "state"]
    calls = outcome.calls
    called = calls[calls["pathological"].fillna(False).astype(bool)]
    given = outcome.annotation.set_index(io.CELL_ID)["lineage"].reindex(cells.index)
    carries = (cells["planted"] != "") & (cells["state"] == SINGLE) & (given == cells["lineage"])
    carriers = cells.index[carries]
    right = {place for plant in states for place in _places(plant, cells)}
    gates = outcome.gates.assign(called=outcome.gates["called"].fillna(0) > 0)
    in_place = pd.Series(
        [place in right for place in zip(gates["lineage"], gates["tissue"], strict=True)],
        index=gates.index,
        dtype=bool,
    )
    elsewhere = gates.loc[~in_place, "called"]
    if len(elsewhere):
        yield "pathological_gates_called_elsewhere", elsewhere.mean(), len(elsewhere)
        yield "pathological_any_call_elsewhere", float(elsewhere.any()), 1
    if not states:
        return
    yield "pathological_gate_called", float(gates.loc[in_place, "called"].any()), 1
    signatures = sorted(set(gates["signature"]))
    groups = {"": called} | {f":{s}": called[called["signature"] == s] for s in signatures}
    for name, group in groups.items():
        found = pd.Index(group["cell_id"].unique())
        true = cells.loc[found, "planted"] != ""
        yield f"pathological_fdr{name}", 1 - true.mean() if len(found) else 0.0, len(found)
        if len(carriers):
            yield f"pathological_power{name}", carriers.isin(found).mean(), len(carriers)


def _places(plant: dict, cells: pd.DataFrame) -> set[tuple[str, str]]:
    """Return the lineages and tissues in which a state is planted."""
    libraries = cells.drop_duplicates("sample")
    there = [matches(plant.get("where", {}), row) for row in libraries.to_dict("records")]
    tissues = libraries.loc[there, "tissue"].unique()
    lineages = cells.loc[cells["cell_type"].isin(plant["cell_types"]), "lineage"].unique()
    return {(lineage, tissue) for lineage in lineages for tissue in tissues}


def _kept(outcome: Outcome) -> pd.DataFrame:
    """Return the kept cells as :func:`emhniche.effects.classify_calls` wants them."""
    given = outcome.annotation.set_index(io.CELL_ID)[["lineage", "cell_type"]]
    truth = outcome.cells.set_index(io.CELL_ID).loc[given.index]
    true_type = truth["cell_type"].mask(truth["state"] == "doublet", DOUBLET)
    return truth[["sample", "counts"]].assign(true_type=true_type).join(given)
