"""Which genes stand for what?

The gene tables of ``resources/`` say which genes make the cytokine panel, the signatures, the
lineages and the ligand-receptor pairs. The readers here check a table row by row before a stage
leans on it, and hand out the rows of one species. ``resources/README.md`` explains the columns.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from emhniche.errors import InputError
from emhniche.gene_tables import (
    SPECIES,
    check_choice,
    check_filled,
    check_gene,
    check_genes,
    check_species,
    check_unique,
    read_rows,
    rows_of_species,
)

LINEAGES = (
    *("B", "plasma", "T", "NK", "DC", "monocyte_macrophage", "neutrophil", "mast_basophil"),
    *("eosinophil", "erythroid", "megakaryocyte", "HSPC", "stroma", "endothelium", "glia"),
    *("mesothelium", "unresolved"),
)
"""The lineages a cell can be given; the last one has no markers."""

SIDES = {
    "agonist": ("ligand", "adhesion_ligand"),
    "receptor": ("receptor", "coreceptor", "adhesion_receptor"),
    "antagonist": ("antagonist", "decoy", "decoy_receptor", "inhibitory_receptor"),
}
"""The three sides of an axis and the panel roles each one holds. They are never summed."""

_TIERS = ("core", "extended")
_TISSUES = ("any", "marrow", "spleen", "both")
_POLARITIES = ("positive", "negative")
_SIGNS = {
    "agonist": (SIDES["agonist"], ("receptor", "adhesion_receptor")),
    "antagonist": (("antagonist",), ("receptor",)),
    "decoy": (SIDES["agonist"], ("decoy", "decoy_receptor")),
}
_SOURCES = ("source", "verification", "note")
_GENES = ("species", "tissue", "polarity", "genes", "source", "verification")
_PANEL_COLUMNS = (
    *("axis", "role", "tier", "human_symbol", "mouse_symbol", "human_ensembl", "mouse_ensembl"),
    *("ortholog_in_ensembl", "source_doi", "evidence", "verification", "note"),
)
_SIGNATURE_COLUMNS = ("set", "class", *_GENES, "note")
_LINEAGE_COLUMNS = ("lineage", "cell_type", *_GENES)
_AMBIENT_COLUMNS = ("kind", "species", "genes", "lineages", *_SOURCES)
_PAIR_COLUMNS = ("axis", "ligand", "receptor", "coreceptor", "sign", "species", *_SOURCES)


def load_panel(path: str | Path, species: str) -> pd.DataFrame:
    """Read the cytokine panel and keep the genes of one species.

    Parameters
    ----------
    path
        ``panel.tsv``: one row a gene (an orthologous pair where there is one).
    species
        ``mouse`` or ``human``.

    Returns
    -------
    pandas.DataFrame
        One row a gene in file order: ``axis``, ``role``, ``tier``, ``gene`` (symbol of `species`),
        ``gene_id`` (Ensembl), then the other columns of the file.

    Raises
    ------
    InputError
        When a column is missing or a row breaks the rules: unknown role or tier, a gene twice, a
        symbol written as the other species writes it, a gene that the species has not, an axis
        written in two ways, no gene of `species`.
    """
    check_species(species)
    table = read_rows(path, _PANEL_COLUMNS)
    for row in table.itertuples():
        where = f"{path}: row {row.Index}"
        check_choice(where, "role", row.role, [role for side in SIDES.values() for role in side])
        check_choice(where, "tier", row.tier, _TIERS)
        check_filled(where, "axis", row.axis)
        _check_orthologs(where, row)
    _check_axes(path, table["axis"])
    for one in SPECIES:
        check_unique(path, table[table[f"{one}_symbol"] != ""], [f"{one}_symbol"])
    kept = table[table[f"{species}_symbol"] != ""]
    if kept.empty:
        raise InputError(f"{path}: no row has a {species}_symbol, but the samples are of {species}")
    gene = kept[f"{species}_symbol"].rename("gene")
    gene_id = kept[f"{species}_ensembl"].rename("gene_id")
    rest = kept.drop(columns=["axis", "role", "tier"])
    return pd.concat([kept[["axis", "role", "tier"]], gene, gene_id, rest], axis=1).reset_index(
        drop=True
    )


def load_signatures(path: str | Path, species: str) -> pd.DataFrame:
    """Read the signatures and keep those of one species.

    Parameters
    ----------
    path
        ``signatures.tsv``: one row a set and polarity.
    species
        ``mouse`` or ``human``.

    Returns
    -------
    pandas.DataFrame
        One row a ``set`` and ``polarity``, in file order. ``genes`` is a tuple of symbols.

    Raises
    ------
    InputError
        When a column is missing, a set and polarity come twice, a choice is unknown, or a gene
        is empty, repeated, of the other species or not a marker in this one, or when no row is of
        `species`.
    """
    check_species(species)
    table = read_rows(path, _SIGNATURE_COLUMNS)
    for row in table.itertuples():
        where = f"{path}: row {row.Index} ({row.set})"
        _check_gene_row(where, row)
        check_filled(where, "set", row.set)
        # `class` is a Python word, so itertuples renames the column
        kind = table.at[row.Index, "class"]
        check_filled(where, "class", kind)
        if kind.startswith("pathological") and row.species == "mouse" and "Olr1" in row.genes:
            raise InputError(
                f"{where}: gene Olr1 marks pathological neutrophils in human only "
                "(doi 10.1126/sciimmunol.aaf8943); leave it out of mouse sets"
            )
    check_unique(path, table, ["set", "species", "polarity"])
    return _of_species(path, table, species)


def load_lineages(path: str | Path, species: str) -> pd.DataFrame:
    """Read the marker genes of lineages and cell types and keep those of one species.

    Parameters
    ----------
    path
        ``lineages.tsv``: one row a lineage, cell type, tissue and polarity.
    species
        ``mouse`` or ``human``.

    Returns
    -------
    pandas.DataFrame
        One row a ``lineage``, ``cell_type``, ``tissue`` and ``polarity``, in file order. ``genes``
        is a tuple of symbols.

    Raises
    ------
    InputError
        When a column is missing, a lineage is unknown, a row comes twice, or
        a gene is empty, repeated or of the other species, or no row is of `species`.
    """
    check_species(species)
    table = read_rows(path, _LINEAGE_COLUMNS)
    for row in table.itertuples():
        where = f"{path}: row {row.Index} ({row.lineage})"
        check_choice(where, "lineage", row.lineage, LINEAGES[:-1])
        check_filled(where, "cell_type", row.cell_type)
        _check_gene_row(where, row)
    check_unique(path, table, ["lineage", "cell_type", "species", "tissue", "polarity"])
    return _of_species(path, table, species)


def load_ambient(path: str | Path, species: str) -> pd.DataFrame:
    """Read the genes that ambient RNA is full of and keep those of one species.

    Parameters
    ----------
    path
        ``ambient.tsv``: one row a kind of gene and species.
    species
        ``mouse`` or ``human``.

    Returns
    -------
    pandas.DataFrame
        One row a gene, in file order: ``gene``, ``kind`` and ``lineages``, a tuple of those that
        make it themselves.

    Raises
    ------
    InputError
        When a column is missing, a lineage is unknown, a gene is empty, there twice or of the other
        species, or no row is of `species`.
    """
    check_species(species)
    table = read_rows(path, _AMBIENT_COLUMNS)
    for row in table.itertuples():
        where = f"{path}: row {row.Index} ({row.kind})"
        check_filled(where, "kind", row.kind)
        check_choice(where, "species", row.species, SPECIES)
        check_genes(where, row.genes, row.species)
        for lineage in row.lineages.split(";"):
            check_choice(where, "lineages", lineage, LINEAGES[:-1])
    kept = rows_of_species(path, table, species)
    kept["lineages"] = [tuple(text.split(";")) for text in kept["lineages"]]
    kept = kept.assign(gene=kept["genes"].str.split(";")).explode("gene")
    twice = kept["gene"].duplicated()
    if twice.any():
        row, gene = kept.index[twice][0], kept.loc[twice, "gene"].iloc[0]
        raise InputError(
            f"{path}: row {row}: gene {gene} is in another {species} row too; name each gene once"
        )
    return kept[["gene", "kind", "lineages"]].reset_index(drop=True)


def load_ligand_receptor(path: str | Path, species: str, panel: pd.DataFrame) -> pd.DataFrame:
    """Read the ligand-receptor pairs of one species and check them against the panel.

    Parameters
    ----------
    path
        ``ligand_receptor.tsv``: one row a pair and species.
    species
        ``mouse`` or ``human``.
    panel
        The panel of the same species, as :func:`load_panel` returns it.

    Returns
    -------
    pandas.DataFrame
        One row a pair, in file order. ``coreceptor`` is a tuple of symbols, empty for none.

    Raises
    ------
    InputError
        When a column is missing, a pair comes twice, a gene is not in the panel, the axis is not
        the ligand's, the panel's roles do not fit the sign (an antagonist as an agonist), or no row
        is of `species`.
    """
    check_species(species)
    table = read_rows(path, _PAIR_COLUMNS)
    for row in table.itertuples():
        where = f"{path}: row {row.Index} ({row.ligand}-{row.receptor})"
        check_choice(where, "species", row.species, SPECIES)
        check_choice(where, "sign", row.sign, _SIGNS)
        chains = f";{row.coreceptor}" if row.coreceptor else ""
        check_genes(where, f"{row.ligand};{row.receptor}{chains}", row.species)
    check_unique(path, table, ["ligand", "receptor", "coreceptor", "species"])
    kept = rows_of_species(path, table, species)
    genes = panel.set_index("gene")
    for row in kept.itertuples():
        _check_pair(f"{path}: row {row.Index} ({row.ligand}-{row.receptor})", row, genes)
    kept["coreceptor"] = [tuple(text.split(";")) if text else () for text in kept["coreceptor"]]
    return kept.reset_index(drop=True)


def without_panel(lineages: pd.DataFrame, panel: pd.DataFrame) -> pd.DataFrame:
    """Leave the panel's genes out of the markers that name cells.

    A cell type that was found by its Cxcl12 cannot then be shown to express Cxcl12.

    Parameters
    ----------
    lineages
        As :func:`load_lineages` returns it.
    panel
        As :func:`load_panel` returns it.

    Returns
    -------
    pandas.DataFrame
        The rows of `lineages`, their ``genes`` without those of `panel`; rows left empty are gone.
    """
    tested = set(panel["gene"])
    kept = lineages["genes"].map(lambda genes: tuple(gene for gene in genes if gene not in tested))
    return lineages.assign(genes=kept)[kept.map(len) > 0].reset_index(drop=True)


def check_panel_measured(panel: pd.DataFrame, genes: Iterable[str]) -> None:
    """Refuse data that measure no gene of the panel.

    Parameters
    ----------
    panel
        As :func:`load_panel` returns it.
    genes
        Gene symbols of the data.

    Raises
    ------
    InputError
        When no panel gene is among them: the data then are of another species, or their genes are
        not named by symbol.
    """
    genes = list(genes)
    if set(panel["gene"]).isdisjoint(genes):
        species = "mouse" if (panel["gene"] == panel["mouse_symbol"]).all() else "human"
        example = panel["gene"].iloc[0] if len(panel) else "none"
        seen = genes[0] if genes else "no gene at all"
        raise InputError(
            f"panel.tsv: none of its {len(panel)} {species} genes is in the data; the data must "
            f"name genes by {species} symbol (like {example}), their first is {seen}"
        )


def _of_species(path: str | Path, table: pd.DataFrame, species: str) -> pd.DataFrame:
    kept = rows_of_species(path, table, species)
    kept["genes"] = [tuple(text.split(";")) for text in kept["genes"]]
    return kept.reset_index(drop=True)


def _check_axes(path: str | Path, axes: pd.Series) -> None:
    """Refuse an axis that is written in two ways."""
    first: dict[str, str] = {}
    for row, axis in axes.items():
        known = first.setdefault(axis.strip().casefold(), axis)
        if axis != known:
            raise InputError(
                f"{path}: row {row}: axis {axis!r} is written {known!r} further up; write one axis "
                "in one way"
            )


def _check_gene_row(where: str, row: tuple) -> None:
    """Check the columns that every table of gene sets shares."""
    check_choice(where, "species", row.species, SPECIES)
    check_choice(where, "tissue", row.tissue, _TISSUES)
    check_choice(where, "polarity", row.polarity, _POLARITIES)
    check_genes(where, row.genes, row.species)


def _check_orthologs(where: str, row: tuple) -> None:
    """Check the two symbols of a panel row against what it says of orthology."""
    if not row.human_symbol and not row.mouse_symbol:
        raise InputError(f"{where}: it names no gene; give human_symbol, mouse_symbol or both")
    for species in SPECIES:
        symbol, gene_id = getattr(row, f"{species}_symbol"), getattr(row, f"{species}_ensembl")
        if symbol:
            check_gene(where, symbol, species)
        if gene_id and not symbol:
            raise InputError(f"{where}: {species}_ensembl {gene_id} has no symbol; give both")
    alone = not (row.human_symbol and row.mouse_symbol)
    if alone != (row.ortholog_in_ensembl == "none"):
        raise InputError(
            f"{where}: ortholog_in_ensembl is {row.ortholog_in_ensembl!r} for human "
            f"{row.human_symbol or '(empty)'} and mouse {row.mouse_symbol or '(empty)'}; it is "
            "'none' exactly where one symbol is empty"
        )


def _check_pair(where: str, row: tuple, panel: pd.DataFrame) -> None:
    """Check that panel roles and axis allow what a ligand-receptor row claims."""
    genes = [row.ligand, row.receptor, *filter(None, row.coreceptor.split(";"))]
    for gene in genes:
        if gene not in panel.index:
            raise InputError(
                f"{where}: gene {gene} is not in the {row.species} panel; add it there, or name "
                "your own resources.ligand_receptor"
            )
    if panel.at[row.ligand, "axis"] != row.axis:
        raise InputError(
            f"{where}: axis {row.axis!r} is not the ligand's; it would be "
            f"{panel.at[row.ligand, 'axis']!r}"
        )
    for gene, allowed in zip(genes[:2], _SIGNS[row.sign], strict=True):
        role = panel.at[gene, "role"]
        if role not in allowed:
            raise InputError(
                f"{where}: {gene} is {role!r} in the panel, which does not fit sign {row.sign!r}; "
                f"it would be one of {', '.join(allowed)}"
            )
