"""What was planted in a simulated cohort, and what did the pipeline say of it?

:func:`build_planted` writes ``report/planted.html`` from ``simulate/recovered.tsv``, the truths and
the study.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from emhniche.evidence import CANNOT_TELL, NOT_ASKED, RIGHT, WRONG, Evidence
from emhniche.io import read_table, write_text
from emhniche.report import planted_figures, words
from emhniche.report.render import Picture, picture, render
from emhniche.study import Study
from emhniche.truths import Truth


def build_planted(
    root: Path, *, truths: Sequence[Truth], study: Study, run_name: str, title: str
) -> None:
    """Write the page Planted and recovered.

    Parameters
    ----------
    root
        Folder of the run, with ``simulate/recovered.tsv`` and the tables that it was judged by.
    truths
        The planted truths.
    study
        The simulated study.
    run_name, title
        Name of the run and title of its report.
    """
    root = Path(root)
    recovered = read_table(root / "simulate" / "recovered.tsv")
    page = render(
        "planted.html.j2",
        scripts=["report.js"],
        context={
            "simulated": True,
            "planted_link": "",
            "run_name": run_name,
            "title": title,
            "summary": summarise(recovered),
            "wrong": [
                row
                for row in recovered.to_dict("records")
                if row["verdict"] in (WRONG, CANNOT_TELL)
            ],
            "truths": truth_rows(truths, recovered),
            "judgements": words.JUDGEMENTS,
            "pictures": draw(truths, Evidence(root, study)),
            "simulation": simulation_text(study),
            "facts": simulation_facts(study),
        },
    )
    write_text(page, root / "report" / "planted.html")


def summarise(recovered: pd.DataFrame) -> str:
    """Say in a line how much was recovered.

    Parameters
    ----------
    recovered
        ``simulate/recovered.tsv``.

    Returns
    -------
    str
    """
    number = recovered["verdict"].value_counts()
    right, wrong, unasked, unknown = (
        int(number.get(verdict, 0)) for verdict in (RIGHT, WRONG, NOT_ASKED, CANNOT_TELL)
    )
    asked = recovered[recovered["verdict"] != NOT_ASKED]
    text = f"{words.number(right)} of {words.plural(len(asked), 'expectation')} "
    text += f"from {words.plural(asked['truth'].nunique(), 'truth')} are right"
    if wrong:
        text += f", {words.number(wrong)} wrong"
    if unknown:
        text += f", {words.number(unknown)} cannot be told"
    if unasked:
        was = "was" if unasked == 1 else "were"
        text += f"; {words.number(unasked)} {was} not asked of this study"
    return f"{text}."


def truth_rows(truths: Sequence[Truth], recovered: pd.DataFrame) -> list[dict]:
    """Return one entry a truth for the page, with a row for each of its expectations."""
    entries = []
    for truth in truths:
        rows = recovered[recovered["truth"] == truth.id].to_dict("records")
        for row in rows:
            linked = "*" not in row["table"] and row["verdict"] != NOT_ASKED
            row["link"] = f"../{row['table']}" if linked else ""
        plant = [describe_plant(one) for one in truth.plant]
        if rows:
            entries.append(
                {"id": truth.id, "claim": truth.claim, "source": truth.source, "plant": plant}
                | {"rows": rows}
            )
    return entries


def describe_plant(plant: Mapping) -> str:
    """Put what is changed in the cells in a sentence.

    Parameters
    ----------
    plant
        An entry of a truth's ``plant``.

    Returns
    -------
    str
    """
    genes = words.join(plant.get("genes", ()))
    cells = words.join(map(words.name, plant.get("cell_types", ())))
    where = plant.get("where", {})
    place = ", ".join(where[key] for key in ("condition", "tissue") if key in where)
    place = f" ({place})" if place else ""
    if plant["kind"] == "expression":
        return f"{genes} {words.fold(plant['log2_fold'])} in {cells}{place}."
    if plant["kind"] == "abundance":
        return f"{cells} {words.significant(plant['fold'], 2)} times as frequent{place}."
    if plant["kind"] == "state":
        share = words.percent(plant["share"])
        return f"{genes} {words.fold(plant['log2_fold'])} in {share} of {cells}{place}."
    return f"{genes} in no cell{place}."


def draw(truths: Sequence[Truth], evidence: Evidence) -> dict[str, Picture]:
    """Draw every figure of the page.

    Parameters
    ----------
    truths
        The planted truths.
    evidence
        The tables of the run.

    Returns
    -------
    dict
        Name -> figure.
    """
    drawn = [
        picture(
            "effects",
            planted_figures.effects(planted_figures.planted_rows(truths, evidence)),
            caption="Planted differences (diamonds) and what the tables say of them, with 95 % "
            "intervals. Found differences scatter around the planted ones, a little nearer to "
            "zero: the count model shrinks them, and ambient RNA, doublets and misnamed cells make "
            "the arms alike. Of frequencies the planted value is the factor on a cell type's "
            "weight; where several types expand, the odds of each rise by less.",
            tables=["../niche/contrasts.tsv", "../niche/composition.tsv"],
            nothing="No planted difference has a row with an effect.",
        )
    ]
    for truth in truths:
        for expected in truth.expect:
            if expected["table"] == "myeloid" and expected["finding"] == "called":
                drawn.append(_state(truth, expected, evidence))
    return {one.name: one for one in drawn}


def simulation_text(study: Study) -> list[str]:
    """Say how the counts were drawn.

    Parameters
    ----------
    study
        The simulated study.

    Returns
    -------
    list of str
        Paragraphs.
    """
    settings = study.settings
    by = settings["chemistry_by"]
    names = [one["name"] for one in settings["chemistries"]]
    if len(names) < 2:
        protocol = f"All libraries are {words.join(names)}."
    elif by == "mouse":
        protocol = f"The mice of each arm were given {words.join(names)} in turn."
    else:
        protocol = (
            f"Each tissue has a chemistry of its own ({words.join(names)}), so that tissues and "
            "chemistries cannot be told apart."
        )
    return [
        "Each cell belongs to a cell type, whose rate of every gene was computed from public data "
        "of real cells, or, where no such data were at hand, from the nearest real profile and "
        "published marker genes. Each mouse, library and chemistry shifts the rate of every gene. "
        "The counts of a cell are drawn from a negative binomial around its rates. On top come "
        "ambient RNA of the library, droplets that hold two cells, and dying cells that have lost "
        "most of their RNA but little of that in their mitochondria.",
        f"{protocol} Neither the cell types nor what was planted is in the files that the stages "
        "of the pipeline read; the lineage goes along as a label for the integration metrics.",
    ]


def simulation_facts(study: Study) -> list[tuple[str, str]]:
    """Return the settings of the study as terms and values."""
    settings = study.settings
    spread = settings["gene_sd"]
    by = [f"{words.significant(spread[key], 2)} by {words.name(key)}" for key in spread]
    arms = [
        f"{words.plural(one['mice'], 'mouse', 'mice')} {one['condition']}"
        + (f" ({words.name(one['arm'])})" if one["arm"] else "")
        for one in settings["arms"]
    ]
    libraries = len(study.rows(file=""))
    return [
        ("Arms", words.join(arms)),
        ("Tissues of each mouse", words.join(settings["tissues"])),
        (
            "Libraries",
            f"{words.number(libraries)}, of {words.number(settings['cells_per_library'])} "
            "barcodes each",
        ),
        (
            "Chemistries",
            words.join(
                f"{one['name']} (depth × {words.significant(one['depth'], 2)})"
                for one in settings["chemistries"]
            ),
        ),
        ("Natural log SD of a gene's rate", words.join(by)),
        (
            "Natural log SD of a library",
            f"{words.significant(settings['share_sd'], 2)} of shares of cell types, "
            f"{words.significant(settings['depth_sd'], 2)} of depth",
        ),
        (
            "Ambient RNA",
            f"{words.percent(settings['ambient']['share'])} of a library's median cell",
        ),
        ("Doublets", f"{words.percent(settings['doublets'])} of the barcodes"),
        ("Dying cells", f"{words.percent(settings['dying'])} of the barcodes"),
    ]


def _state(truth: Truth, expected: Mapping, evidence: Evidence) -> Picture:
    """Draw the cells among which a state was planted."""
    gates = evidence.gates
    keys = ["lineage", "tissue", "signature"]
    gate = gates[(gates[keys] == [expected[key] for key in keys]).all(axis=1)]
    threshold = gate["threshold"].iloc[0] if len(gate) else None
    rows = evidence.study.rows(file="")
    cells = planted_figures.state_cells(truth.id, expected, evidence)
    what = f"{words.name(expected['lineage'])} cells of the {expected['tissue']}"
    return picture(
        f"state-{truth.id}",
        planted_figures.state(
            cells,
            list(dict.fromkeys(row["donor"] for row in rows)),
            None if words.is_missing(threshold) else float(threshold),
        ),
        caption=f"{words.capital(what)} by donor: how far each lies above the score of "
        f"{words.name(expected['signature'])} that its maturation, stress and depth lead to "
        "expect. A cell above the line that is not called is more or less mature than naive "
        "cells are.",
        tables=["../myeloid/calls.parquet", "../myeloid/gates.tsv"],
        nothing=f"No {what} have a score of {words.name(expected['signature'])}.",
    )
