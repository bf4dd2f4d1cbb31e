"""Which genes answer to a signal?

``resources/responses.tsv`` lists, for the axes of the panel, genes that a cell switches on when the
signal reaches it, and two controls. What binds and what answers are kept apart: no set holds a
panel gene of its own axis. A table of the same columns, with weights (PROGENy's, for example),
takes its place in ``resources.responses``.
"""

from pathlib import Path

import pandas as pd

from emhniche import gene_tables, resources
from emhniche.errors import InputError

KINDS = ("response", "control")
"""A response stands for an axis; a control says what else could have moved it."""

MIN_GENES = 3
"""Genes that a set needs, in the table and with enough counts; fewer are a few genes' noise."""

_COLUMNS = (
    *("set", "axis", "kind", "lineages", "species", "genes", "weights", "source"),
    *("verification", "note"),
)
_ANY = "any"


def load_responses(path: str | Path, species: str, panel: pd.DataFrame) -> pd.DataFrame:
    """Read the response sets of one species and check them against the panel.

    Parameters
    ----------
    path
        ``responses.tsv``: one row a set and species.
    species
        ``mouse`` or ``human``.
    panel
        The panel of the same species; see :func:`emhniche.resources.load_panel`.

    Returns
    -------
    pandas.DataFrame
        One row a ``set``, in file order. ``genes`` is a tuple of symbols, ``weights`` one of
        numbers of the same length (1 where the file gives none), ``lineages`` one of names, empty
        for any.

    Raises
    ------
    InputError
        When a column is missing, a set comes twice, a choice, axis or lineage is unknown, a gene
        is empty, repeated, of the other species or a panel gene of the set's own axis, a set has
        fewer than :data:`MIN_GENES`, the weights do not fit the genes, a control has an axis, or no
        row is of `species`.
    """
    gene_tables.check_species(species)
    table = gene_tables.read_rows(path, _COLUMNS)
    for row in table.itertuples():
        where = f"{path}: row {row.Index} ({row.set})"
        _check_row(where, row)
    gene_tables.check_unique(path, table, ["set", "species"])
    kept = gene_tables.rows_of_species(path, table, species)
    for row in kept.itertuples():
        _check_axis(f"{path}: row {row.Index} ({row.set})", row, panel)
    kept["genes"] = [tuple(text.split(";")) for text in kept["genes"]]
    kept["weights"] = [
        tuple(map(float, text.split(";"))) if text else (1.0,) * len(genes)
        for text, genes in zip(kept["weights"], kept["genes"], strict=True)
    ]
    kept["lineages"] = [() if text == _ANY else tuple(text.split(";")) for text in kept["lineages"]]
    return kept.reset_index(drop=True)


def _check_row(where: str, row: tuple) -> None:
    """Check what can be told from a row alone."""
    gene_tables.check_filled(where, "set", row.set)
    gene_tables.check_choice(where, "kind", row.kind, KINDS)
    gene_tables.check_choice(where, "species", row.species, gene_tables.SPECIES)
    for name in row.lineages.split(";"):
        gene_tables.check_choice(where, "lineages", name, (_ANY, *resources.LINEAGES[:-1]))
    if _ANY in row.lineages.split(";") and row.lineages != _ANY:
        raise InputError(f"{where}: lineages {row.lineages!r}; give 'any' alone or name them")
    gene_tables.check_genes(where, row.genes, row.species)
    n_genes = len(row.genes.split(";"))
    if n_genes < MIN_GENES:
        raise InputError(f"{where}: {n_genes} genes; a set needs {MIN_GENES} to be read")
    _check_weights(where, row.weights, n_genes)
    if row.kind == "control" and row.axis:
        raise InputError(
            f"{where}: axis {row.axis!r} of a control; leave it empty, or call the set a response"
        )


def _check_weights(where: str, text: str, n_genes: int) -> None:
    """Refuse weights that are no numbers, all zero, or not one a gene."""
    if not text:
        return
    try:
        weights = [float(part) for part in text.split(";")]
    except ValueError:
        raise InputError(
            f"{where}: weights {text!r} are no numbers; separate numbers by ';', or leave it empty"
        ) from None
    if len(weights) != n_genes:
        raise InputError(
            f"{where}: {len(weights)} weights for {n_genes} genes; give one a gene, or none"
        )
    if not sum(map(abs, weights)) < float("inf") or not any(weights):
        raise InputError(f"{where}: weights {text!r}; they must be finite, and one not 0")


def _check_axis(where: str, row: tuple, panel: pd.DataFrame) -> None:
    """Check that a response names an axis of the panel, and none of that axis' genes."""
    if row.kind == "control":
        return
    axes = panel["axis"].unique()
    if row.axis not in axes:
        raise InputError(
            f"{where}: axis {row.axis!r} is not in the panel; it would be one of "
            f"{', '.join(axes)}, or name your own resources.responses"
        )
    own = set(panel.loc[panel["axis"] == row.axis, "gene"])
    circular = [gene for gene in row.genes.split(";") if gene in own]
    if circular:
        raise InputError(
            f"{where}: gene {circular[0]} belongs to the axis {row.axis} itself; a response that "
            "holds the signal proves itself, so leave it out"
        )
