"""How well does what the results say of each cell agree with what the cell was simulated as?

Figures of agreement, from the truth (``simulate/cells.parquet``) and one table of the results each.
They are what a single run is judged by and what is averaged over many.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from scipy.stats import rankdata

from emhniche.io import CELL_ID, read_table

SINGLE = "cell"
"""State of a live single cell in ``simulate/cells.parquet``; the others: ``doublet``, ``dying``."""


MIN_GROUP = 10
"""Cells of a group whose share of ambient RNA is compared with its estimate."""


@dataclass(frozen=True)
class Rates:
    """How many cells are called, and how many of them rightly.

    Attributes
    ----------
    called
        Cells that are called.
    false
        Called cells that were not planted.
    planted
        Planted live single cells, those that the results lost included.
    found
        Called cells among them.
    lost
        Those that quality control removed or that were named another lineage.
    """

    called: int
    false: int
    planted: int
    found: int
    lost: int

    @property
    def false_share(self) -> float:
        """Share of the called cells that is false; NaN when none is called."""
        return self.false / self.called if self.called else float("nan")

    @property
    def found_share(self) -> float:
        """Share of the planted cells that is called; NaN when none was planted."""
        return self.found / self.planted if self.planted else float("nan")


def read_barcodes(root: str | Path, samples: Iterable[str]) -> pd.DataFrame:
    """Read what quality control says of every barcode.

    Parameters
    ----------
    root
        Folder of the run.
    samples
        Samples, each with a ``samples/<sample>/qc.parquet``.

    Returns
    -------
    pandas.DataFrame
        ``cell_id``, ``doublet_score`` and ``ambient`` (NaN where there is none) and ``keep``.
    """
    tables = []
    for sample in samples:
        table = read_table(Path(root) / "samples" / sample / "qc.parquet")
        table[CELL_ID] = f"{sample}:" + table["barcode"].astype(str)
        tables.append(table[[CELL_ID, "doublet_score", "ambient", "keep"]])
    return pd.concat(tables, ignore_index=True)


def doublet_auroc(barcodes: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Compare the scores of doublets with those of live single cells, library by library.

    Scores are made within a library, so only cells of the same library are compared.

    Parameters
    ----------
    barcodes
        As :func:`read_barcodes` returns it.
    cells
        The truth.

    Returns
    -------
    pandas.DataFrame
        One row a sample that has scores of both: ``doublets`` (with a score), ``mixed`` (those of
        two lineages), ``auroc`` (area under the ROC curve of all doublets) and ``auroc_mixed``.
        Averages over samples are to be weighted with the number of doublets.
    """
    lineage = cells[cells["doublet_of"] == ""].groupby("cell_type")["lineage"].first()
    table = cells.merge(barcodes, on=CELL_ID).dropna(subset="doublet_score")
    both = table["doublet_of"].str.split("+", expand=True).reindex(columns=[0, 1])
    table["mixed"] = both[0].map(lineage).ne(both[1].map(lineage)) & (table["doublet_of"] != "")
    rows = []
    for sample, part in table.groupby("sample", sort=False, observed=True):
        single = part.loc[part["state"] == SINGLE, "doublet_score"]
        double = part[part["state"] == "doublet"]
        if len(single) and len(double):
            rows.append(
                {
                    "sample": sample,
                    "doublets": len(double),
                    "mixed": int(double["mixed"].sum()),
                    "auroc": _auroc(double["doublet_score"], single),
                    "auroc_mixed": _auroc(double.loc[double["mixed"], "doublet_score"], single),
                }
            )
    return pd.DataFrame(rows, columns=["sample", "doublets", "mixed", "auroc", "auroc_mixed"])


def ambient_shares(barcodes: pd.DataFrame, cells: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Compare the estimated with the planted share of ambient RNA in the kept live single cells.

    Parameters
    ----------
    barcodes
        As :func:`read_barcodes` returns it.
    cells
        The truth.
    by
        Columns of the truth that cells are summed by.

    Returns
    -------
    pandas.DataFrame
        One row a group of :data:`MIN_GROUP` cells or more that have an estimate: `by`, ``cells``,
        ``planted`` and ``estimated`` (share of the group's counts that is soup).
    """
    table = cells[cells["state"] == SINGLE].merge(
        barcodes.loc[barcodes["keep"].astype(bool), [CELL_ID, "ambient"]],
        on=CELL_ID,
        suffixes=("", "_estimated"),
    )
    table = table.dropna(subset="ambient_estimated")
    for name, column in (("planted", "ambient"), ("estimated", "ambient_estimated")):
        table[name] = table[column] * table["counts"]
    groups = table.groupby([*by], observed=True)
    sums = groups[["planted", "estimated", "counts"]].sum().assign(cells=groups.size())
    for name in ("planted", "estimated"):
        sums[name] /= sums["counts"]
    sums = sums[sums["cells"] >= MIN_GROUP].reset_index()
    return sums[[*by, "cells", "planted", "estimated"]]


def lineage_f1(annotation: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Compare the named with the true lineage of the kept live single cells.

    Parameters
    ----------
    annotation
        ``annotate/annotation.parquet``, a row a kept cell.
    cells
        The truth.

    Returns
    -------
    pandas.DataFrame
        Indexed by true lineage: ``cells``, ``unresolved`` (cells without a name, which count as
        missed) and ``f1`` (2 hits over named and true cells). The macro-F1 is the mean of ``f1``.
    """
    table = cells.loc[cells["state"] == SINGLE, [CELL_ID, "lineage"]].merge(
        annotation[[CELL_ID, "lineage"]], on=CELL_ID, suffixes=("_true", "_named")
    )
    true, named = table["lineage_true"].astype(str), table["lineage_named"].astype(str)
    hits = true[true == named].value_counts()
    size, claimed = true.value_counts(), named.value_counts()
    index = pd.Index(sorted(size.index), name="lineage")
    hits, size, claimed = (counts.reindex(index, fill_value=0) for counts in (hits, size, claimed))
    unresolved = true[named == "unresolved"].value_counts().reindex(index, fill_value=0)
    return pd.DataFrame(
        {"cells": size, "unresolved": unresolved, "f1": 2 * hits / (size + claimed)}, index=index
    )


def lost_cells(barcodes: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Count what quality control removes of every state and lineage.

    Parameters
    ----------
    barcodes
        As :func:`read_barcodes` returns it.
    cells
        The truth.

    Returns
    -------
    pandas.DataFrame
        One row a ``state`` and ``lineage``: ``cells`` and ``lost``.
    """
    table = cells.merge(barcodes, on=CELL_ID)
    groups = (~table["keep"].astype(bool)).groupby(
        [table["state"].astype(str), table["lineage"].astype(str)]
    )
    return groups.agg(cells="size", lost="sum").reset_index()


def pathological_rates(
    calls: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    truth: str,
    lineage: str,
    signature: str,
    condition: str,
    tissue: str,
) -> Rates:
    """Compare the called with the planted cells of a state.

    Parameters
    ----------
    calls
        ``myeloid/calls.parquet``.
    cells
        The truth.
    truth
        Id of the truth that planted the state.
    lineage, signature
        Whose calls are looked at.
    condition, tissue
        Which cells are looked at.

    Returns
    -------
    Rates
    """
    here = cells[(cells["condition"] == condition) & (cells["tissue"] == tissue)]
    asked = calls[(calls["lineage"] == lineage) & (calls["signature"] == signature)]
    positive = set(asked.loc[asked["pathological"].fillna(False).astype(bool), CELL_ID])
    called = here[here[CELL_ID].isin(positive)]
    planted = here[(here["planted"] == truth) & (here["state"] == SINGLE)]
    return Rates(
        called=len(called),
        false=int((called["planted"] != truth).sum()),
        planted=len(planted),
        found=int(planted[CELL_ID].isin(positive).sum()),
        lost=int((~planted[CELL_ID].isin(asked[CELL_ID])).sum()),
    )


def _auroc(high: pd.Series, low: pd.Series) -> float:
    """Return the chance that a value of `high` is above one of `low`, ties counting half."""
    if not len(high):
        return float("nan")
    ranks = rankdata(pd.concat([high, low]))[: len(high)]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))
