"""Do cells show that the niche's signals reach them, and does blood get made where they do?

The third reading of an axis. Expression says who makes a ligand and who holds its receptor; here
the cells are asked what they do: whether their scores differ between the arms (``scores``), whether
the genes that answer to a signal move (``responses``), how much blood an extramedullary tissue
makes (``emh_index``, ``emh_contrasts``), and which axes move with that (``emh_axes``). The design
audit of the niche stage binds all of it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anndata as ad
import pandas as pd

from emhniche.ambient import flag_groups
from emhniche.design import audit_composition, audit_contrast
from emhniche.emh_axes import rank_axes
from emhniche.emh_index import compare_index, index_units
from emhniche.pseudobulk import sum_cells
from emhniche.resources import check_panel_measured
from emhniche.response import compare_responses
from emhniche.score import gene_sets
from emhniche.score_contrast import compare_scores, sum_scores

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SignalTables:
    """The tables of the rule; ``docs/signals.md`` explains their columns."""

    scores: pd.DataFrame
    responses: pd.DataFrame
    emh_index: pd.DataFrame
    emh_contrasts: pd.DataFrame
    emh_axes: pd.DataFrame


def read_signals(
    cells: ad.AnnData,
    annotation: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    panel: pd.DataFrame,
    signatures: pd.DataFrame,
    responses: pd.DataFrame,
    contrasts: Sequence[Mapping[str, object]],
    min_cells: int,
    min_counts: int,
    min_units: int,
    seed: int,
) -> SignalTables:
    """Compare scores and responses between the arms of every contrast, and index EMH.

    Parameters
    ----------
    cells
        Cells x genes, raw counts, in memory or backed: ``cells.h5ad``.
    annotation
        ``cell_id``, ``lineage`` and ``cell_type``, one row a cell.
    scores
        ``score/scores.parquet``.
    panel, signatures
        What was scored; see :mod:`emhniche.resources`.
    responses
        See :func:`emhniche.response_sets.load_responses`.
    contrasts
        ``name``, ``factor``, ``test``, ``reference`` and optionally ``subset`` of each. A contrast
        with an ``interaction`` is left out: differences of differences are tested in genes and
        frequencies alone.
    min_cells, min_counts, min_units
        As in :func:`emhniche.niche.compare_niches`.
    seed
        Of the random gene sets of the responses, and of permutations where they are drawn.

    Returns
    -------
    SignalTables
        One table a question. The same input gives the same tables.

    Raises
    ------
    InputError
        When the data measure no gene of the panel, or a cell has no annotation or no score.
    """
    check_panel_measured(panel, cells.var_names)
    sets = gene_sets(panel, signatures)
    wanted = [*panel["gene"], *(gene for genes in responses["genes"] for gene in genes)]
    wanted += [gene for one in sets for gene in one.genes]
    bulk = sum_cells(cells, annotation, list(dict.fromkeys(wanted)))
    ambient = flag_groups(bulk, bulk.detected.columns)
    plain = [one for one in contrasts if not one.get("interaction")]
    audits = [audit_contrast(bulk.samples, one, min_units=min_units) for one in plain]
    frequencies = [audit_composition(bulk.samples, one, min_units=min_units) for one in audits]
    limits = {"min_cells": min_cells, "min_counts": min_counts}
    sums = sum_scores(bulk, cells.obs, annotation, scores, panel, signatures)
    logger.info("%d sets scored in %d groups of cells", len(sums.sets), len(bulk.groups))
    units = index_units(
        bulk, cells.obs, annotation, scores, min_cells=min_cells, min_units=min_units
    )
    return SignalTables(
        scores=compare_scores(bulk, sums, audits, ambient, min_units=min_units, **limits),
        responses=compare_responses(
            bulk, responses, panel, audits, ambient, min_units=min_units, seed=seed, **limits
        ),
        emh_index=units,
        emh_contrasts=compare_index(units, audits, frequencies, min_units=min_units),
        emh_axes=rank_axes(bulk, units, panel, ambient, seed=seed, **limits),
    )
