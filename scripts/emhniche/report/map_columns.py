"""By which columns can a reader colour the map of cells?

By all that is known of a cell: what it was called, every column of the sample sheet, also those
that a user added, what quality control measured, scores, and the genes of the panel. A column with
one value for all cells tells nothing and is left out, save for genes and scores, where "none" is an
answer.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from emhniche.io import CELL_ID
from emhniche.report import words
from emhniche.report.atlas import myeloid_columns
from emhniche.report.binned import Bins
from emhniche.report.packed import packed_by_sample, packed_category, packed_value
from emhniche.report.sample_states import PHASE_COLOURS, PHASE_NAMES
from emhniche.report.tables import RunTables
from emhniche.sheet import OF_THE_FILE

SHEET = "Sample sheet"
SHEET_FIRST = (
    *("donor", "condition", "arm", "tissue", "niche", "sex", "age", "dataset", "study"),
    *("chemistry", "enrichment", "batch"),
)
"""Columns of the sample sheet that are offered first; all others follow in the sheet's order."""

KNOWN = (*SHEET_FIRST, "species", "cells_loaded")
"""Columns of the sheet's schema, whose values are names also where they look like numbers."""

FEW_NUMBERS = 8
"""Distinct numbers up to which a user's own column is shown as names."""

QUALITY = {
    "n_counts": "counts",
    "n_genes": "genes",
    "complexity": "complexity (log10 genes / log10 counts)",
    "pct_mito": "mitochondrial counts (%)",
    "pct_ribo": "ribosomal counts (%)",
    "pct_hb": "haemoglobin counts (%)",
    "doublet_score": "doublet score",
    "ambient": "ambient share",
}
STATES = {
    "s_score": "S score",
    "g2m_score": "G2/M score",
    "stress_score": "stress score (dissociation)",
}
"""Column of the cells -> what it is called on the page."""

UNITS = {
    "n_counts": "per cell",
    "n_genes": "per cell",
    "ambient": "of the counts",
    "maturation": "late minus early sets, mean z",
    **dict.fromkeys(("s_score", "g2m_score", "stress_score"), "mean log expression over controls"),
}
"""Column -> what its numbers are, where its name does not say so."""

GENE_UNIT = "log1p of counts per 10,000"
SCORE_UNIT = "UCell score, 0 to 1"
RESIDUAL_UNIT = "SD above what maturation, stress and depth predict"

VERDICT_COLOURS = {"pass": "#0B6B50", "warning": "#E69F00", "fail": "#A4161A"}
AGREEMENT = {True: "same lineage", False: "another lineage"}
AGREEMENT_COLOURS = {"same lineage": "#009E73", "another lineage": "#D55E00"}


def map_columns(
    run: RunTables, frame: pd.DataFrame, expression: pd.DataFrame, bins: Bins | None
) -> list[dict]:
    """Pack every column that the map can be coloured by, in the order of the selection.

    Parameters
    ----------
    run
        Tables of the run.
    frame
        Cells in their drawing order (:func:`emhniche.report.interactive.cell_frame`).
    expression
        Cells x panel genes, in the same order.
    bins
        Squares of the map, or None where cells are drawn one by one.

    Returns
    -------
    list of dict
        ``group``, ``name``, what :mod:`.packed` gives and, where they apply, ``unit`` (of a value)
        and ``places`` (the categories are places on the map, and their names are written on it).
    """
    columns = _cell_columns(frame, bins)
    columns += _sheet_columns(run, frame, bins, at=len(columns))
    columns += _quality_columns(frame, bins)
    columns += _myeloid_columns(run, frame, bins)
    columns += _zoom_columns(run, frame, bins)
    columns += _label_columns(run, frame, bins)
    columns += _score_columns(run, frame.index, bins)
    genes = {gene: gene for gene in expression}
    return columns + _values(
        "Panel genes", genes, expression, bins, constant=True, unit=GENE_UNIT, zero=True
    )


def _cell_columns(frame: pd.DataFrame, bins: Bins | None) -> list[dict]:
    named = [
        _told("Cells", words.name(column), packed_category(frame[column], bins), places=True)
        for column in ("lineage", "cell_type", "cluster")
    ]
    return named + _values("Cells", {"confidence": "confidence of the name"}, frame, bins)


def _sheet_columns(
    run: RunTables, frame: pd.DataFrame, bins: Bins | None, *, at: int
) -> list[dict]:
    """Offer the samples, their verdicts and each column of the sheet in which they differ.

    `at` is the place that the samples take among all columns.
    """
    cells = frame["sample"]
    sample = packed_category(cells, bins, verbatim=True)

    def by_sample(values: pd.Series, **colours: Mapping[str, str]) -> dict:
        packed = packed_by_sample(values, cells, at, sample["names"], **colours)
        return packed or packed_category(values, bins, **colours)

    columns = [_told(SHEET, "sample", sample)]
    for column in _sheet_order(run.samples, frame):
        values = frame[column]
        if not _differs(values):
            continue
        scale = _scale(values) if column not in KNOWN else None
        packed = by_sample(values) if scale is None else packed_value(scale, bins)
        columns.append(_told(SHEET, words.name(column), packed))
    verdicts = {name: words.VERDICTS.get(one["verdict"], "") for name, one in run.qc.items()}
    judged = cells.astype(str).map(verdicts)
    if _differs(judged):
        packed = by_sample(judged, fixed=VERDICT_COLOURS)
        columns.append(_told(SHEET, "verdict of quality control", packed))
    return columns


def _sheet_order(samples: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """Return the columns of the sheet that cells carry, the usual ones first."""
    left_out = {*OF_THE_FILE, "donor_known", "sample"}
    present = [column for column in samples if column in frame and column not in left_out]
    first = [column for column in SHEET_FIRST if column in present]
    return first + [column for column in present if column not in first]


def _scale(values: pd.Series) -> pd.Series | None:
    """Return a user's own column as numbers where it holds so many that they are a scale."""
    text = values.astype(object).where(values.notna(), "").astype(str)
    numbers = pd.to_numeric(text, errors="coerce")
    only_numbers = numbers[text != ""].notna().all()
    return numbers if only_numbers and numbers.nunique() > FEW_NUMBERS else None


def _quality_columns(frame: pd.DataFrame, bins: Bins | None) -> list[dict]:
    if {"n_counts", "n_genes"} <= set(frame):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log10(frame["n_genes"]) / np.log10(frame["n_counts"])
        frame = frame.assign(complexity=ratio.where(frame["n_counts"] > 1))
    columns = _values("Quality control", QUALITY, frame, bins)
    columns += _names(
        "Quality control", "coarse lineage", frame.get("qc_lineage"), bins, places=True
    )
    if "phase" in frame:
        phase = frame["phase"].astype(object).map(PHASE_NAMES)
        colours = {name: PHASE_COLOURS[key] for key, name in PHASE_NAMES.items()}
        columns += _names("State", "phase of the cell cycle", phase, bins, fixed=colours)
    return columns + _values("State", STATES, frame, bins)


def _myeloid_columns(run: RunTables, frame: pd.DataFrame, bins: Bins | None) -> list[dict]:
    group = "Myeloid cells"
    found = myeloid_columns(run["calls"], frame.index)
    residuals = [column for column in found if column.startswith("residual_")]
    names = {one: f"{words.name(one.removeprefix('residual_'))} (residual)" for one in residuals}
    columns = _values(group, {"maturation": "maturation"}, found, bins)
    columns += _values(group, names, found, bins, unit=RESIDUAL_UNIT)
    called = found["pathological"].astype(object).map(words.name)
    looked_at = found.index.isin(run["calls"][CELL_ID])
    return columns + _names(group, "called MDSC-like", called.where(looked_at), bins)


def _zoom_columns(run: RunTables, frame: pd.DataFrame, bins: Bins | None) -> list[dict]:
    columns = []
    for lineage, tables in run.zooms.items():
        clusters = tables["clusters"].set_index(CELL_ID)["cluster"].reindex(frame.index)
        name = f"{words.name(lineage)} by itself"
        columns += _names("Clusters of one lineage", name, clusters, bins, places=True)
    return columns


def _label_columns(run: RunTables, frame: pd.DataFrame, bins: Bins | None) -> list[dict]:
    group = "Published labels (no name rests on them)"
    columns = _names(group, "label", frame.get("label"), bins, places=True)
    if run.transferred is not None:
        found = run.transferred["cells"].set_index(CELL_ID).reindex(frame.index)
        columns += _names(group, "transferred label", found["label"], bins, places=True)
        agrees = found["agrees"].astype(object).map(AGREEMENT)
        name = "lineage against transferred label"
        columns += _names(group, name, agrees, bins, fixed=AGREEMENT_COLOURS)
    if run.celltypist is not None:
        found = run.celltypist["cells"].set_index(CELL_ID)["label"].reindex(frame.index)
        group = "CellTypist (no name rests on it)"
        columns += _names(group, "label of CellTypist", found, bins, places=True)
    return columns


def _score_columns(run: RunTables, cells: pd.Index, bins: Bins | None) -> list[dict]:
    scores = run["scores"].set_index(CELL_ID).reindex(cells)
    kinds = run["null"].drop_duplicates("set").set_index("set")["kind"]
    shown = [column for column in scores.columns if not column.endswith("__z")]
    columns = []
    for kind, group in (("axis", "Panel axes (score)"), ("signature", "Signatures (score)")):
        names = {column: words.set_name(column) for column in shown if kinds.get(column) == kind}
        columns += _values(group, names, scores, bins, constant=True, unit=SCORE_UNIT)
    return columns


def _names(
    group: str,
    name: str,
    values: pd.Series | None,
    bins: Bins | None,
    *,
    fixed: Mapping[str, str] | None = None,
    places: bool = False,
) -> list[dict]:
    """Offer a column of names, unless the cells do not differ in it."""
    if values is None or not _differs(values):
        return []
    return [_told(group, name, packed_category(values, bins, fixed=fixed), places=places)]


def _values(
    group: str,
    columns: Mapping[str, str],
    frame: pd.DataFrame,
    bins: Bins | None,
    *,
    constant: bool = False,
    unit: str = "",
    zero: bool = False,
) -> list[dict]:
    """Offer columns of numbers, those with one number for all cells only where `constant`."""
    offered = []
    for column, name in columns.items():
        if column not in frame:
            continue
        numbers = frame[column].to_numpy(dtype=float)
        known = numbers[np.isfinite(numbers)]
        if len(known) and (constant or len(known) < len(numbers) or known.min() < known.max()):
            packed = packed_value(frame[column], bins, zero=zero)
            offered.append(_told(group, name, packed, unit=unit or UNITS.get(column, "")))
    return offered


def _differs(values: pd.Series) -> bool:
    """Tell whether a column holds two values; not to be given is one, unless nobody has any."""
    return values.astype(object).where(values.notna(), "").nunique() > 1


def _told(group: str, name: str, packed: Mapping, **more: object) -> dict:
    return {"group": group, "name": name, **packed, **{k: v for k, v in more.items() if v}}
