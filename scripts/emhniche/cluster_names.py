"""What is each part of a cluster called?

Integration can lay unlike cells on top of each other, and a cluster can hold two kinds that no
resolution tells apart without cutting others into pieces. So names are given to the whole cluster,
to its part in each dataset and tissue, and to what quality control, which looked at each library by
itself, took for another lineage than the rest of such a part.
"""

from functools import reduce

import anndata as ad
import numpy as np
import pandas as pd

from emhniche.lineage import (
    UNRESOLVED,
    can_be_told,
    group_rates,
    marker_sets,
    most_frequent,
    name_groups,
)

MIN_PART_CELLS = 10
"""A smaller part of a cluster takes the lineage of the whole cluster, and no cell type."""

FINE_MIN_SCORE = 0.4
"""A cell type's set must score this to name a group; the lineage is known by then. Ours."""

SET_APART_CONFIDENCE = 0.7
"""Confidence from which cells may get another name than the part of the cluster that they lie in,
even where it is surer of its own. Ours: more than a name needs, since two groupings contradict."""

PART_COLUMNS = ["cluster", "dataset", "tissue", "qc_lineage"]
"""What tells the groups of :func:`name_parts` apart."""

_SETS_OF = {"bone marrow": "marrow", "spleen": "spleen"}
"""Marker sets that the cells of a tissue are offered beside those of any tissue."""


def name_parts(
    cells: ad.AnnData,
    obs: pd.DataFrame,
    lineages: pd.DataFrame,
    *,
    min_score: float,
    min_confidence: float,
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Give each cluster and each part of it a lineage, and where one fits a cell type.

    Parameters
    ----------
    cells
        Cells x genes, raw counts.
    obs
        One row a cell: :data:`PART_COLUMNS`, text.
    lineages
        Rows of ``lineages.tsv``.
    min_score, min_confidence, n_resamples, seed
        As in :func:`emhniche.lineage.name_groups`.

    Returns
    -------
    pandas.DataFrame
        By cluster, one row a cluster (``dataset``, ``tissue`` and ``qc_lineage`` are empty), one a
        part of it in a dataset and tissue (``qc_lineage`` is empty), and one for the cells of such
        a part that are set apart (:func:`_set_apart`): :data:`PART_COLUMNS`, ``n_cells``,
        ``lineage``, ``cell_type``, ``confidence``, ``cell_type_confidence``, ``score``,
        ``runner_up`` and ``margin``.
    """
    limits = {"min_confidence": min_confidence, "n_resamples": n_resamples, "seed": seed}
    coarse, fine = marker_sets(lineages, finer=False), marker_sets(lineages, finer=True)
    sets = pd.concat([coarse, fine])
    genes = pd.concat([sets["positive"], sets["negative"]]).explode().dropna().unique()
    groups = [_keys(obs, columns) for columns in _GROUPINGS]
    described = zip(groups, _GROUPINGS, strict=True)
    keys = pd.concat([_describe(obs, own, columns) for own, columns in described])
    rates = pd.concat([group_rates(cells, own, genes) for own in groups]).loc[keys.index]
    whole = keys["qc_lineage"] == ""
    highest = rates[whole].max()
    named = name_groups(rates.clip(upper=highest, axis=1), coarse, min_score=min_score, **limits)
    named = keys.join(named.rename(columns={"best": "lineage"}))
    named = named[whole | _set_apart(named)].copy()
    named["cell_type"], named["cell_type_confidence"] = named["lineage"], named["confidence"]
    _name_types(named, rates, fine, **limits)
    by = [named[name] for name in reversed(PART_COLUMNS[1:])]
    order = np.lexsort((*by, named["cluster"].astype(int)))
    columns = [*PART_COLUMNS, "n_cells", "lineage", "cell_type", "confidence"]
    columns += ["cell_type_confidence", "score", "runner_up", "margin"]
    return named.iloc[order][columns].reset_index(drop=True)


_GROUPINGS = [PART_COLUMNS[:1], PART_COLUMNS[:3], PART_COLUMNS]
"""Columns by which cells are grouped: each grouping divides the groups of the one before."""


def _keys(obs: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Return the name of the group of each row; what the grouping leaves out is empty."""
    empty = pd.Series("", index=obs.index)
    texts = [obs[name].astype(str) if name in columns else empty for name in PART_COLUMNS]
    return reduce(lambda left, right: left + "|" + right, texts)


def _describe(obs: pd.DataFrame, groups: pd.Series, columns: list[str]) -> pd.DataFrame:
    """Say of each group what it is of, its size and main tissue; small parts are left out."""
    table = obs.groupby(groups).agg(
        **{name: (name, "first") for name in columns},
        n_cells=("cluster", "size"),
        main_tissue=("tissue", most_frequent),
    )
    table = table.assign(**dict.fromkeys(PART_COLUMNS[len(columns) :], ""))
    return table[(table["dataset"] == "") | (table["n_cells"] >= MIN_PART_CELLS)]


def _set_apart(named: pd.DataFrame) -> pd.Series:
    """Tell which groups by quality control's lineage keep a name of their own.

    Where their part has another name, those whose pooled counts get the very lineage that quality
    control gave them, as surely as the part gets its own or surely enough
    (:data:`SET_APART_CONFIDENCE`). Where it has none, also those that get a lineage which cells
    pass into from that of quality control (:func:`emhniche.lineage.can_be_told`).
    """
    of_part = named.reindex(_keys(named, PART_COLUMNS[:3])).set_axis(named.index)
    other = (named["lineage"] != of_part["lineage"]) & (named["lineage"] != UNRESOLVED)
    lineage, seen = named["lineage"].to_numpy(str), named["qc_lineage"].to_numpy(str)
    asked = of_part["confidence"].clip(upper=SET_APART_CONFIDENCE)
    sure = (lineage == seen) & (named["confidence"] >= asked)
    alike = ~can_be_told(lineage, seen) & (of_part["lineage"] == UNRESOLVED)
    return other & (alike | sure)


def _name_types(
    named: pd.DataFrame, rates: pd.DataFrame, fine: pd.DataFrame, **limits: float | int
) -> None:
    """Write the cell type of each group into `named`, where a set of its lineage fits."""
    for (lineage, tissue), rows in named.groupby(["lineage", "main_tissue"]):
        offered = fine["tissue"].isin(["any", "both", _SETS_OF.get(tissue)])
        own = fine[(fine["lineage"] == lineage) & offered]
        if own.empty or lineage == UNRESOLVED:
            continue
        among = rates.loc[named.index[named["lineage"] == lineage]]
        parts = among[named.loc[among.index, "qc_lineage"] == ""]
        among = among.clip(upper=parts.max(), axis=1)  # what is set apart changes no other name
        finer = name_groups(among, own, min_score=FINE_MIN_SCORE, **limits).loc[rows.index]
        fits = finer.index[finer["best"] != UNRESOLVED]
        named.loc[fits, "cell_type"] = finer.loc[fits, "best"]
        named.loc[fits, "cell_type_confidence"] = finer.loc[fits, "confidence"]


def own_names(obs: pd.DataFrame, named: pd.DataFrame) -> pd.DataFrame:
    """Return the row of `named` that holds for each cell: of the smallest group that has one.

    From its whole cluster a cell takes the lineage only: the cell type may be of another tissue.

    Parameters
    ----------
    obs
        One row a cell: :data:`PART_COLUMNS`, text.
    named
        Table of :func:`name_parts`.

    Returns
    -------
    pandas.DataFrame
        One row a cell, in their order: the columns of `named`.
    """
    rows = named.set_index(_keys(named, PART_COLUMNS))
    whole, part, apart = (_keys(obs, columns) for columns in _GROUPINGS)
    name = apart.where(apart.isin(rows.index), part.where(part.isin(rows.index), whole))
    own = rows.loc[name].reset_index(drop=True)
    own["cell_type"] = own["cell_type"].where(own["dataset"] != "", own["lineage"])
    return own
