"""Which tables does a finished run hold, and are they what the pages expect?

:func:`read_run` reads every table the index page is made from, once, and checks that each has the
columns the page states. A table may have no rows; it may not lack a column.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import pandas as pd
from anndata.io import read_elem

from emhniche.io import CELL_ID, read_json, read_table
from emhniche.report import words

CONTRAST = ("contrast", "cell_type", "units_test", "units_reference", "effect", "ci_low", "ci_high")
GATE = ("lineage", "tissue", "dataset", "signature")

TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "libraries": (
        "samples.tsv",
        (
            *("sample", "verdict", "verdict_reason", "kept", "n_in", "n_kept", "share_kept"),
            *("median_counts", "median_genes", "kept_pct_mito", "share_doublets", "ambient"),
            *("sex_observed", "sex_status", "duplicate_of"),
        ),
    ),
    "metrics": ("integration/metrics.tsv", ("method", "metric", "value", "floor", "ceiling")),
    "mixing": (
        "integration/mixing.tsv",
        (
            *("method", "dataset", "compared", "within", "cell_type", "status", "n_cells"),
            *("n_groups", "mixing", "ceiling", "uneven"),
        ),
    ),
    "verdict": ("integration/verdict.tsv", ("method", "check", "code", "sentence")),
    "clusters": ("cluster/clusters.parquet", (CELL_ID, "cluster")),
    "resolutions": (
        "cluster/resolutions.tsv",
        ("resolution", "n_clusters", "n_stable", "found_again", "score", "verdict", "chosen"),
    ),
    "found_again": (
        "cluster/found_again.tsv",
        ("resolution", "chosen", "cluster", "n_cells", "n_joined", "found_again", "jaccard"),
    ),
    "cluster_tree": (
        "cluster/tree.tsv",
        ("resolution", "cluster", "next_resolution", "next_cluster", "n_cells"),
    ),
    "umap": ("cluster/umap.parquet", (CELL_ID, "umap_1", "umap_2")),
    "annotation": (
        "annotate/annotation.parquet",
        (CELL_ID, "lineage", "cell_type", "confidence"),
    ),
    "cluster_types": (
        "annotate/clusters.tsv",
        (
            *("cluster", "dataset", "qc_lineage", "n_cells", "lineage", "cell_type", "confidence"),
            *("cell_type_confidence", "found_again", "runner_up", "margin", "agreement"),
        ),
    ),
    "markers": (
        "annotate/markers.tsv",
        (
            *("cluster", "lineage", "cell_type", "gene", "log2_fold_change", "pct_in", "pct_out"),
            *("auroc", "donors", "donors_higher", "donor_log2_fold_change", "q", "status"),
            "ambient",
        ),
    ),
    "marker_levels": (
        "annotate/marker_levels.tsv",
        ("cluster", "gene", "marker_of", "n_cells", "pct_cells", "mean_level"),
    ),
    "scores": ("score/scores.parquet", (CELL_ID,)),
    "null": ("score/null.tsv", ("set", "kind", "dataset", "n_genes", "n_measured", "status")),
    "design": (
        "niche/design.tsv",
        ("contrast", "verdict", "reason", "composition_verdict", "composition_reason"),
    ),
    "contrasts": (
        "niche/contrasts.tsv",
        (
            *(*CONTRAST, "level", "tier", "axis", "role", "gene", "p", "q", "status", "ambient"),
            "reason",
        ),
    ),
    "production": (
        "niche/production.tsv",
        (
            *("axis", "role", "tier", "gene", "niche", "dataset", "condition", "cell_type"),
            *("n_cells", "detection", "share_of_tissue", "status", "ambient"),
        ),
    ),
    "composition": (
        "niche/composition.tsv",
        (*CONTRAST, "level", "lineage", "status", "reason"),
    ),
    "ligand_receptor": (
        "niche/ligand_receptor.tsv",
        (
            *("niche", "unit", "ligand", "receptor", "axis", "sign", "sender", "receiver"),
            *("score", "status", "ambient"),
        ),
    ),
    "score_contrasts": (
        "niche/scores.tsv",
        (*CONTRAST, "set", "tier", "level", "effect_z", "p", "q", "status"),
    ),
    "responses": (
        "niche/responses.tsv",
        (*CONTRAST, "set", "axis", "kind", "level", "q", "status"),
    ),
    "axes": (
        "niche/axes.tsv",
        (
            *("contrast", "axis", "tier", "reading", "n_rows", "n_tested", "n_up", "n_down"),
            *("direction", "name", "cell_type", "effect", "status", "reason", "caution"),
        ),
    ),
    "emh_index": (
        "niche/emh_index.tsv",
        (
            *("condition", "tissue", "dataset", "emh_index", "log2_hspc", "log2_erythroid"),
            *("log2_megakaryocyte", "log2_neutrophil_precursor", "status"),
        ),
    ),
    "emh_contrasts": (
        "niche/emh_contrasts.tsv",
        ("contrast", "measure", "effect", "ci_low", "ci_high", "q", "status"),
    ),
    "emh_axes": (
        "niche/emh_axes.tsv",
        (
            *("rank", "axis", "side", "lineage", "genes", "rho", "units", "min_attainable_p"),
            *("p", "q", "status"),
        ),
    ),
    "supply": (
        "niche/supply.tsv",
        (*CONTRAST, "level", "gene", "effect_abundance", "effect_expression", "p", "q", "status"),
    ),
    "ligand_receptor_contrasts": (
        "niche/ligand_receptor_contrasts.tsv",
        (
            *("contrast", "ligand", "receptor", "axis", "sign", "sender", "receiver", "effect"),
            *("ci_low", "ci_high", "p", "q", "status", "ambient"),
        ),
    ),
    "calls": (
        "myeloid/calls.parquet",
        (
            *(CELL_ID, "lineage", "signature", "maturation", "score", "residual", "pathological"),
            "status",
        ),
    ),
    "donors": (
        "myeloid/donors.tsv",
        (*GATE, "donor", "role", "exceedance"),
    ),
    "gates": (
        "myeloid/gates.tsv",
        (
            *(*GATE, "status", "code", "reason", "label", "cells", "n_genes", "reference_donors"),
            *("case_donors", "p", "q", "called", "threshold", "naive_limit", "excess"),
            *("excess_low", "excess_high"),
        ),
    ),
    "subsets": ("myeloid/subsets.tsv", ("subset", "lineage", "tissue", "cells", "status")),
    "myeloid_clusters": (
        "myeloid/clusters.tsv",
        (
            *(*GATE, "cluster", "cells", "share_reference", "share_case", "composition_q"),
            *("signature_effect", "signature_q", "status", "code", "reason", "label", "markers"),
        ),
    ),
    "known_answers": (
        "known_answers.tsv",
        ("check", "scope", "status", "observed", "datasets", "claim", "pass_rule", "source"),
    ),
}
"""Name of a table -> its path below the results folder and the columns the pages lean on."""

ZOOM: Mapping[str, tuple[str, ...]] = {
    "clusters.parquet": (CELL_ID, "cluster"),
    "resolutions.tsv": ("resolution", "n_clusters", "found_again", "verdict", "chosen"),
    "found_again.tsv": ("chosen", "cluster", "n_cells", "found_again"),
    "markers.tsv": ("cluster", "cell_type", "gene", "log2_fold_change", "ambient"),
}
"""Table of ``cluster/zoom/<lineage>/`` -> the columns the pages lean on."""

TRANSFERRED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cells": (
        "annotate/transferred.parquet",
        (CELL_ID, "label", "in_reference", "usual_lineage", "agrees"),
    ),
    "labels": (
        "annotate/transferred.tsv",
        (
            *("label", "n_labelled", "usual_lineage", "labelled_agree", "n_cells", "agree"),
            "other_lineage",
        ),
    ),
}
"""Tables of the labels that went from some samples to all other cells."""

CELLTYPIST: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cells": ("annotate/celltypist.parquet", (CELL_ID, "label", "usual_lineage", "agrees")),
    "clusters": (
        "annotate/celltypist.tsv",
        (
            *("cluster", "n_cells", "lineage", "cell_type", "label", "share", "second_label"),
            *("second_share", "probability", "agree"),
        ),
    ),
}
"""Tables of what a model of CellTypist says."""


@dataclass(frozen=True)
class RunTables:
    """Everything a page may state about a run.

    Attributes
    ----------
    root
        Results folder of the run.
    config
        The run's settings, with defaults.
    samples
        The sample sheet, indexed by sample.
    registry
        Rows of the dataset registry.
    qc
        Sample -> its ``qc.json``, with the run's verdict on it (``samples.tsv``) in place of that
        on the library by itself, and ``kept``.
    cells
        ``obs`` of ``cells.h5ad``, one row a kept cell, indexed by cell_id.
    history
        Training history of the primary integration method; empty when it has none.
    tables
        Name in :data:`TABLES` -> table.
    zooms
        Lineage that was clustered by itself -> ``clusters``, ``resolutions``, ``found_again`` and
        ``markers``; empty where the settings ask for none.
    transferred
        ``cells`` and ``labels`` of :data:`TRANSFERRED`; None where no sample lends its labels.
    celltypist
        ``cells`` and ``clusters`` of :data:`CELLTYPIST`; None where no model is asked.
    """

    root: Path
    config: Mapping
    samples: pd.DataFrame
    registry: pd.DataFrame
    qc: Mapping[str, dict]
    cells: pd.DataFrame
    history: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    zooms: Mapping[str, Mapping[str, pd.DataFrame]] = field(default_factory=dict)
    transferred: Mapping[str, pd.DataFrame] | None = None
    celltypist: Mapping[str, pd.DataFrame] | None = None

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a table by its name."""
        return self.tables[name]


def read_run(
    root: Path, *, config: Mapping, samples: pd.DataFrame, registry: pd.DataFrame
) -> RunTables:
    """Read the tables of a finished run.

    Parameters
    ----------
    root
        Results folder of the run.
    config
        The run's settings.
    samples
        The sample sheet, indexed by sample.
    registry
        The dataset registry.

    Returns
    -------
    RunTables
        With every table of :data:`TABLES`, and those that the settings ask for.

    Raises
    ------
    ValueError
        When a table lacks a column that the page states.
    """
    root = Path(root)
    history = root / "integration" / config["integrate"]["primary"] / "history.tsv"
    tables = {name: _checked(root / path, columns) for name, (path, columns) in TABLES.items()}
    return RunTables(
        root=root,
        config=config,
        samples=samples,
        registry=registry,
        qc=_judged(root, samples.index, tables["libraries"]),
        cells=read_obs(root / "cells.h5ad"),
        history=read_table(history) if history.exists() else pd.DataFrame(),
        tables=tables,
        zooms={lineage: _zoom(root, lineage) for lineage in config["cluster"]["zoom"]},
        transferred=_asked(root, TRANSFERRED, config["annotate"]["label_samples"]),
        celltypist=_asked(root, CELLTYPIST, "celltypist" in config["annotate"]),
    )


def _asked(
    root: Path, tables: Mapping[str, tuple[str, tuple[str, ...]]], asked: object
) -> dict[str, pd.DataFrame] | None:
    """Return tables that a run has only where it is asked for them."""
    if not asked:
        return None
    return {name: _checked(root / path, columns) for name, (path, columns) in tables.items()}


def _zoom(root: Path, lineage: str) -> dict[str, pd.DataFrame]:
    folder = root / "cluster" / "zoom" / lineage
    return {Path(name).stem: _checked(folder / name, columns) for name, columns in ZOOM.items()}


def _judged(root: Path, samples: pd.Index, libraries: pd.DataFrame) -> dict[str, dict]:
    """Return what quality control found of each sample, with the run's verdict on it."""
    table = libraries.set_index("sample")[["verdict", "verdict_reason", "kept"]]
    table["verdict_reason"] = table["verdict_reason"].astype(object).fillna("")
    return {
        sample: read_json(root / "samples" / sample / "qc.json") | table.loc[sample].to_dict()
        for sample in samples
    }


def read_obs(path: Path) -> pd.DataFrame:
    """Read ``obs`` of an ``.h5ad`` file, and nothing else of it."""
    with h5py.File(path, "r") as file:
        return read_elem(file["obs"])


def _places(contrast: Mapping) -> str:
    """Say between which places an interaction compares the change; empty of a plain contrast."""
    second = contrast.get("interaction")
    if not second:
        return ""
    test, reference = (words.name(second[level]) for level in ("test", "reference"))
    return f", change in {test} against change in {reference}"


def contrast_titles(run: RunTables) -> dict[str, str]:
    """Return what each contrast is called on the page, such as ``LPS against control``.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    dict
        Name of the contrast -> title; where two would read alike, what each is cut to is added,
        and where that does not tell them apart, the name.
    """
    contrasts = run.config["niche"]["contrasts"]
    plain = {one["name"]: _title(one) for one in contrasts}
    titles = dict(plain)
    for one in contrasts:
        subset = (one.get("subset") or {}).values()
        if _repeated(plain, one["name"]) and subset:
            titles[one["name"]] = f"{_title(one)}, {', '.join(map(words.name, subset))}"
    return {
        name: f"{title} ({words.name(name)})" if _repeated(titles, name) else title
        for name, title in titles.items()
    }


def _title(contrast: Mapping) -> str:
    arms = f"{words.name(contrast['test'])} against {words.name(contrast['reference'])}"
    return words.capital(f"{arms}{_places(contrast)}")


def _repeated(titles: Mapping[str, str], name: str) -> bool:
    return list(titles.values()).count(titles[name]) > 1


def _checked(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_table(path)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"{path}: column {missing[0]!r} is missing; it holds {list(table.columns)}"
        )
    return table
