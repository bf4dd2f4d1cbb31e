"""Which differences between the arms of a contrast are planted, and what is a call worth?

A plant makes a row of the results true when it changes the cells that the row is about. Other rows
can differ as well without being chance findings, and each is told apart:

- *mixture*: cell types that the row lumps together (a lineage of several types, or misnamed cells)
  changed in number, so their mean changed although no cell did;
- *spillover*: the change is real, but in other cells of the same libraries, and reaches the row
  through doublets, a few misnamed cells, or ambient RNA that the ``ambient`` flag did not catch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emhniche.evidence import ALPHA
from emhniche.planting import matches

MAIN_SHARE = 0.1
"""A true cell type with this share of a row's cells is one that the row is about."""

MIXTURE_CHANGE = np.log2(1.2)
"""Smallest change of a mean by mixture alone that explains a call."""

SOURCE_SHARE = 0.5
"""Cell types that hold this share of a gene's transcripts decide how much of it is ambient."""

DOUBLET, DOUBLET_SHARE = "doublet", 0.5
"""True type of two cells in a droplet, and the share of a row's counts by which they explain it."""

CLASSES = ("right", "wrong_sign", "mixture", "spillover", "doublets", "unexplained")
"""What a call can be worth, see :func:`classify_calls`."""

FALSE = ("wrong_sign", "spillover", "doublets", "unexplained")
"""Classes that count as false discoveries: the table says of cells what is not so."""


@dataclass(frozen=True)
class Effect:
    """A planted difference as one row of the results can show it.

    Attributes
    ----------
    contrast
        Name of the contrast.
    lineage
        Lineage of the changed cells.
    cell_types
        Changed cell types of this lineage.
    names
        Names of ``lineages.tsv`` that these cell types may go by.
    gene
        Gene that changes; empty where the number of cells does.
    sign
        1 where it is higher in the test arm, -1 where lower.
    """

    contrast: str
    lineage: str
    cell_types: tuple[str, ...]
    names: tuple[str, ...]
    gene: str
    sign: int

    @property
    def name(self) -> str:
        """The effect in one word."""
        return ":".join(filter(None, (self.contrast, self.lineage, self.gene)))


def arms(contrast: Mapping, samples: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the samples of the test and of the reference arm of a contrast."""
    chosen = samples
    for column, level in contrast.get("subset", {}).items():
        chosen = chosen[chosen[column].astype(str) == level]
    levels = chosen[contrast["factor"]].astype(str)
    return chosen[levels == contrast["test"]], chosen[levels == contrast["reference"]]


def like_with_like(contrasts: Iterable[Mapping], samples: pd.DataFrame) -> list[Mapping]:
    """Return the contrasts whose arms hold the same tissues: there only plants make a difference.

    Parameters
    ----------
    contrasts
        ``niche.contrasts`` of the run.
    samples
        The run's samples.

    Returns
    -------
    list of Mapping
        A contrast between tissues compares cells that differ without any plant, and is left out;
        so is an interaction, whose effect is no difference of two arms.
    """
    return [
        one
        for one in contrasts
        if not one.get("interaction")
        and len({frozenset(arm["tissue"]) for arm in arms(one, samples)}) == 1
    ]


def planted_effects(
    truths: Iterable,
    kinds: Sequence[str],
    contrasts: Iterable[Mapping],
    samples: pd.DataFrame,
    cell_types: pd.DataFrame,
) -> list[Effect]:
    """List what the arms of each contrast differ by.

    Parameters
    ----------
    truths
        Truths with ``plant``.
    kinds
        ``expression`` and ``state`` for genes, or ``abundance`` for numbers of cells.
    contrasts
        Contrasts from :func:`like_with_like`.
    samples
        The run's samples.
    cell_types
        Indexed by cell type: ``lineage``, ``named`` (tuple), and a column of shares for each
        of ``marrow`` and ``spleen``.

    Returns
    -------
    list of Effect
        One for each contrast, lineage and gene, in the order of the plants. Cell types that the
        tissues of the contrast do not hold are left out.
    """
    found: dict[tuple, dict[str, float]] = {}
    plants = [plant for truth in truths for plant in truth.plant if plant["kind"] in kinds]
    for contrast in contrasts:
        test, reference = arms(contrast, samples)
        present = _present(cell_types, {*test["tissue"], *reference["tissue"]})
        for plant in plants:
            where = plant.get("where", {})
            sign = np.sign(_share(test, where) - _share(reference, where))
            change = sign * plant.get("log2_fold", np.log2(plant.get("fold", 1.0)))
            for gene in plant.get("genes", [""]):
                for cell_type in plant["cell_types"]:
                    if change and cell_type in present:
                        key = (contrast["name"], cell_types.at[cell_type, "lineage"], gene)
                        changes = found.setdefault(key, {})
                        changes[cell_type] = changes.get(cell_type, 0.0) + change
    return [
        Effect(
            *key[:2],
            tuple(changes),
            tuple(sorted({name for one in changes for name in cell_types.at[one, "named"]})),
            key[2],
            int(np.sign(sum(changes.values()))),
        )
        for key, changes in found.items()
    ]


def rows_of(effect: Effect, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``contrasts.tsv`` or ``composition.tsv`` that can show an effect."""
    lineage = (table["level"] == "lineage") & (table["cell_type"] == effect.lineage)
    named = (table["level"] == "cell_type") & table["cell_type"].isin(effect.names)
    rows = table[(table["contrast"] == effect.contrast) & (lineage | named)]
    return rows[rows["gene"] == effect.gene] if effect.gene else rows


def is_found(effect: Effect, table: pd.DataFrame) -> bool:
    """Tell whether an effect is called with its sign in some row, and in none with the other."""
    rows = rows_of(effect, table)
    signs = set(np.sign(rows.loc[rows["q"] <= ALPHA, "effect"]))
    return signs == {effect.sign}


def classify_calls(
    table: pd.DataFrame,
    expression: Sequence[Effect],
    abundance: Sequence[Effect],
    cells: pd.DataFrame,
    counts: pd.DataFrame,
    contrasts: Iterable[Mapping],
    samples: pd.DataFrame,
) -> pd.Series:
    """Say what every called row of ``contrasts.tsv`` is worth.

    Parameters
    ----------
    table
        ``contrasts.tsv``.
    expression, abundance
        What is planted (:func:`planted_effects`).
    cells
        Kept cells, indexed by ``cell_id``: ``sample``, ``counts`` (all genes), the true
        ``true_type`` (``doublet`` for two cells) and the given ``lineage`` and ``cell_type``.
    counts
        The same cells x panel genes.
    contrasts
        Contrasts from :func:`like_with_like`; rows of others are not looked at.
    samples
        The run's samples.

    Returns
    -------
    pandas.Series
        Row of `table` -> one of :data:`CLASSES`, called rows only. In this order: ``right`` and
        ``wrong_sign``, where the gene is planted in a main cell type of the row; ``mixture``, where
        a cell type that changes in number is among the row's and the types' own rates predict
        the change; ``spillover``, where the gene is planted in other cells, or most of its
        transcripts come from cells that change in number; ``doublets``, where two cells in a
        droplet hold half of the counts of the higher arm; else ``unexplained``.
    """
    called = {}
    for contrast in contrasts:
        rows = table[(table["contrast"] == contrast["name"]) & (table["q"] <= ALPHA)]
        if rows.empty:
            continue
        test, reference = arms(contrast, samples)
        here = cells[cells["sample"].isin([*test.index, *reference.index])]
        scene = _Scene(
            [one for one in expression if one.contrast == contrast["name"]],
            [one for one in abundance if one.contrast == contrast["name"]],
            here.assign(test=here["sample"].isin(test.index)),
            counts.loc[here.index],
        )
        called |= {row.Index: scene.worth(row) for row in rows.itertuples()}
    return pd.Series(called, dtype=object)


class _Scene:
    """The true cells of one contrast, by which its rows are explained."""

    def __init__(
        self,
        expression: list[Effect],
        abundance: list[Effect],
        cells: pd.DataFrame,
        counts: pd.DataFrame,
    ) -> None:
        self.expression, self.abundance = expression, abundance
        self.cells, self.counts = cells, counts
        naive = ~cells["test"]
        of_type = cells.loc[naive, "true_type"]
        self.sums = counts[naive].groupby(of_type).sum()
        self.rates = self.sums.div(cells.loc[naive, "counts"].groupby(of_type).sum(), axis=0)

    def worth(self, row: tuple) -> str:
        """Return the class of one called row."""
        own = self.cells[self.cells[row.level] == row.cell_type]
        share = own["true_type"].value_counts(normalize=True)
        main = set(share.index[share >= MAIN_SHARE])
        sign = int(np.sign(row.effect))
        planted = [one for one in self.expression if one.gene == row.gene]
        mine = [one for one in planted if main & set(one.cell_types)]
        if mine:
            return "right" if sign in {one.sign for one in mine} else "wrong_sign"
        if self._mixes(own, row.gene, sign):
            return "mixture"
        if sign in {one.sign for one in planted} or self._source_changes(row.gene, sign):
            return "spillover"
        higher = own[own["test"] == (sign > 0)]
        held = self.counts.loc[higher.index, row.gene]
        doubles = held[higher["true_type"] == DOUBLET].sum()
        return "doublets" if 0 < DOUBLET_SHARE * held.sum() <= doubles else "unexplained"

    def _mixes(self, own: pd.DataFrame, gene: str, sign: int) -> bool:
        """Tell whether changed numbers of the row's cell types predict its change."""
        changed = {name for one in self.abundance for name in one.cell_types}
        if not changed & set(own["true_type"]):
            return False
        weight = own.groupby(["test", "true_type"])["counts"].sum().unstack(fill_value=0.0)
        rates = self.rates[gene].reindex(weight.columns, fill_value=0.0)
        mean = (weight * rates).sum(axis=1) / weight.sum(axis=1)
        if len(mean) < 2 or not (mean > 0).all():
            return False
        change = np.log2(mean[True] / mean[False])
        return abs(change) >= MIXTURE_CHANGE and np.sign(change) == sign

    def _source_changes(self, gene: str, sign: int) -> bool:
        """Tell whether the cells that make most of a gene become more, or fewer."""
        held = self.sums[gene] / max(self.sums[gene].sum(), 1.0)
        names = {n for one in self.abundance if one.sign == sign for n in one.cell_types}
        return held[held.index.isin(names)].sum() >= SOURCE_SHARE


def _present(cell_types: pd.DataFrame, tissues: Iterable[str]) -> set[str]:
    columns = [tissue.split()[-1] for tissue in tissues]
    return set(cell_types.index[(cell_types[columns] > 0).any(axis=1)])


def _share(samples: pd.DataFrame, where: Mapping[str, str]) -> float:
    """Return the share of libraries in which a plant acts."""
    return float(np.mean([matches(where, row) for row in samples.to_dict("records")] or [0.0]))
