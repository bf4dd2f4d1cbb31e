"""What does the extramedullary niche have that the marrow niche has not, and can these data say so?

The stage asks in this order: what does the design allow (``design``), which panel genes differ
between the arms in which cells (``contrasts``), who makes them (``production``), which cells are
more frequent (``composition``), what expression and abundance supply together (``supply``), and who
could talk to whom (``ligand_receptor``, and between the arms ``pair_contrast``). Donors are the
witnesses; a comparison that could not be told from another one gets no p-value.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anndata as ad
import pandas as pd

from emhniche.ambient import flag_groups
from emhniche.composition import compare_composition
from emhniche.contrast import compare_expression
from emhniche.design import audit_composition, audit_contrast, design_table
from emhniche.ligand_receptor import score_pairs
from emhniche.pair_contrast import compare_pairs
from emhniche.production import describe_production
from emhniche.pseudobulk import sum_cells
from emhniche.resources import check_panel_measured
from emhniche.supply import compare_supply

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NicheTables:
    """The tables of the stage; ``docs/niche.md`` explains their columns."""

    design: pd.DataFrame
    contrasts: pd.DataFrame
    production: pd.DataFrame
    composition: pd.DataFrame
    ligand_receptor: pd.DataFrame
    supply: pd.DataFrame
    ligand_receptor_contrasts: pd.DataFrame


def compare_niches(
    cells: ad.AnnData,
    annotation: pd.DataFrame,
    panel: pd.DataFrame,
    pairs: pd.DataFrame,
    *,
    contrasts: Sequence[Mapping[str, object]],
    min_cells: int,
    min_counts: int,
    min_units: int,
    seed: int = 0,
) -> NicheTables:
    """Compare the arms of every contrast, and describe every niche.

    Parameters
    ----------
    cells
        Cells x genes, raw counts, in memory or backed: ``cells.h5ad``.
    annotation
        ``cell_id``, ``lineage`` and ``cell_type``, one row a cell.
    panel
        The panel of the species; see :func:`emhniche.resources.load_panel`.
    pairs
        Its ligand-receptor pairs; see :func:`emhniche.resources.load_ligand_receptor`.
    contrasts
        ``name``, ``factor``, ``test``, ``reference``, and ``subset`` and ``interaction`` if any, of
        each.
    min_cells
        Cells of a type that a unit needs.
    min_counts
        Counts of a gene below which it is not testable.
    min_units
        Known donors that each arm needs for a p-value.
    seed
        Of the bootstrap over donors.

    Returns
    -------
    NicheTables
        One table a question. The same input and seed give the same tables.

    Raises
    ------
    InputError
        When the data measure no gene of the panel, or a cell has no annotation.
    """
    check_panel_measured(panel, cells.var_names)
    bulk = sum_cells(cells, annotation, panel["gene"])
    ambient = flag_groups(bulk, panel["gene"])
    limits = {"min_cells": min_cells, "min_counts": min_counts}
    tests = {**limits, "min_units": min_units}
    audits = [audit_contrast(bulk.samples, one, min_units=min_units) for one in contrasts]
    frequencies = [audit_composition(bulk.samples, one, min_units=min_units) for one in audits]
    for audit in audits:
        logger.info("%s: %s (%s)", audit.name, audit.verdict, audit.reason)
    return NicheTables(
        design=design_table(audits, frequencies),
        contrasts=compare_expression(bulk, panel, audits, ambient, **tests),
        production=describe_production(bulk, panel, ambient, **limits),
        composition=compare_composition(
            bulk, audits, frequencies, min_cells=min_cells, min_units=min_units
        ),
        ligand_receptor=score_pairs(bulk, pairs, ambient["lineage"], **limits),
        supply=compare_supply(bulk, panel, frequencies, ambient, seed=seed, **tests),
        ligand_receptor_contrasts=compare_pairs(bulk, pairs, audits, ambient["lineage"], **tests),
    )
