"""Which fields of the CELLxGENE schema can be filled from the sample sheet?

The schema (version 7.1.0) wants ontology terms. Those that follow from the sheet are filled in; a
sheet column that bears the schema's own name is taken as it is; the rest is listed as missing, so
that an author knows what to add before submitting.
"""

from collections.abc import Mapping

import pandas as pd

from emhniche.io import CELL_ID

ORGANISMS = {"mouse": "NCBITaxon:10090", "human": "NCBITaxon:9606"}
TISSUES = {
    "spleen": "UBERON:0002106",
    "bone marrow": "UBERON:0002371",
    "liver": "UBERON:0002107",
    "blood": "UBERON:0000178",
    "lung": "UBERON:0002048",
    "lymph node": "UBERON:0000029",
}
SEXES = {"male": "PATO:0000384", "female": "PATO:0000383"}
ASSAYS = {
    "10x 3' v1": "EFO:0009901",
    "10x 3' v2": "EFO:0009899",
    "10x 3' v3": "EFO:0009922",
    "10x 3'": "EFO:0030003",
    "10x 5' v1": "EFO:0011025",
    "10x 5' v2": "EFO:0009900",
    "10x 5'": "EFO:0030004",
    "10x": "EFO:0008995",
    "CEL-Seq2": "EFO:0010010",
    "Drop-seq": "EFO:0008722",
    "inDrops": "EFO:0008780",
    "MARS-seq": "EFO:0008796",
    "Microwell-seq": "EFO:0030002",
    "Smart-seq2": "EFO:0008931",
}
CELL_TYPES = {
    "B": "CL:0000236",
    "plasma": "CL:0000786",
    "T": "CL:0000084",
    "NK": "CL:0000623",
    "DC": "CL:0000451",
    "monocyte_macrophage": "CL:0000766",
    "neutrophil": "CL:0000775",
    "mast_basophil": "CL:0000766",
    "eosinophil": "CL:0000771",
    "erythroid": "CL:0000764",
    "megakaryocyte": "CL:0000556",
    "HSPC": "CL:0008001",
    "stroma": "CL:0000499",
    "endothelium": "CL:0000115",
    "glia": "CL:0000125",
    "mesothelium": "CL:0000077",
    "unresolved": "unknown",
}
"""Terms of the lineages; a lineage of two kinds of cell has the term that covers both."""

FROM_SHEET_ONLY = ("development_stage_ontology_term_id", "disease_ontology_term_id")
RESERVED = (
    *("assay", "cell_type", "development_stage", "disease", "organism", "sex", "tissue"),
    *("self_reported_ethnicity", "observation_joinid"),
)
"""Columns that CELLxGENE writes itself and refuses in a submission."""


def cellxgene_fields(
    obs: pd.DataFrame, *, published: set[str]
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """Fill the schema's fields from what is known of the cells.

    Parameters
    ----------
    obs
        Cells with sample-sheet columns and ``lineage``.
    published
        Datasets taken from the registry of public files.

    Returns
    -------
    fields : pandas.DataFrame
        Columns for ``obs`` that are known for every cell.
    dataset_fields : dict
        Entries for ``uns``.
    missing : list of str
        What the schema wants and the sheet does not tell, one line each.

    References
    ----------
    CELLxGENE dataset schema 7.1.0, chanzuckerberg/single-cell-curation.
    """
    species = str(obs["species"].iloc[0])
    known: dict[str, pd.Series] = {
        "tissue_ontology_term_id": _terms(obs["tissue"], TISSUES),
        "assay_ontology_term_id": _terms(obs["chemistry"], ASSAYS),
        "cell_type_ontology_term_id": _terms(obs["lineage"], CELL_TYPES),
        "sex_ontology_term_id": _terms(obs["sex"], SEXES).fillna("unknown"),
        "donor_id": obs["donor"].astype(str),
        "suspension_type": pd.Series("cell", obs.index),
        "tissue_type": pd.Series("tissue", obs.index),
        "self_reported_ethnicity_ontology_term_id": pd.Series(
            "unknown" if species == "human" else "na", obs.index
        ),
        "is_primary_data": ~obs["dataset"].astype(str).isin(published),
    }
    fields, missing = {}, []
    for name in (*known, *FROM_SHEET_ONLY):
        column = obs[name] if name in obs else known.get(name)
        if column is None:
            missing.append(f"obs {name}: add a column of this name to the sample sheet")
        elif column.isna().any() or (column.astype(str) == "").any():
            missing.append(f"obs {name}: not known for {_samples(obs, column)}")
        else:
            fields[name] = column if column.dtype == bool else column.astype("category")
    return (
        pd.DataFrame(fields, index=obs.index),
        {"organism_ontology_term_id": ORGANISMS[species]},
        missing,
    )


def lacking(obs: pd.DataFrame, annotation: pd.DataFrame) -> list[str]:
    """Name the fields of the schema that the atlas of a run does not have.

    Parameters
    ----------
    obs
        Cells with sample-sheet columns, indexed by cell_id: ``obs`` of ``cells.h5ad``.
    annotation
        ``cell_id`` and ``lineage``, one row a cell.

    Returns
    -------
    list of str
        What ``uns["cellxgene_missing"]`` of the atlas has a line about, in its order.
    """
    lineage = annotation.set_index(CELL_ID)["lineage"].reindex(obs.index)
    missing = cellxgene_fields(obs.assign(lineage=lineage), published=set())[2]
    return [line.removeprefix("obs ").partition(":")[0] for line in missing]


def _terms(values: pd.Series, terms: Mapping[str, str]) -> pd.Series:
    return values.astype(str).map(terms)


def _samples(obs: pd.DataFrame, column: pd.Series) -> str:
    gone = column.isna() | (column.astype(str) == "")
    return ", ".join(sorted(obs.loc[gone, "sample"].astype(str).unique()))
