"""What can the data of a run not show?

What holds of every run comes last; before it stands what this one's sheet, designs and tables tell.
"""

from collections.abc import Iterator

import pandas as pd

from emhniche.report import words
from emhniche.report.tables import RunTables

BRANCHES = {
    "log2_hspc": "HSPC",
    "log2_erythroid": "erythroid cells",
    "log2_megakaryocyte": "megakaryocytes",
    "log2_neutrophil_precursor": "neutrophil precursors",
}
"""Branch of the EMH index -> the cells that it is read from."""

NAMED = 8
"""Genes named in a sentence."""


def limits(run: RunTables) -> list[str]:
    """Say what these data cannot show.

    Parameters
    ----------
    run
        Tables of the run.

    Returns
    -------
    list of str
        One sentence or two each.
    """
    return [
        *_samples(run.samples, run["design"]),
        *_tissues(run),
        *_branches(run["emh_index"]),
        *_inflamed(run),
        *_soup(run),
        *_genes(run["contrasts"]),
        "Transcripts are not protein: chemokines bind to cells that do not make them, and soluble "
        "and membrane-bound KIT ligand are splice forms that 3-prime counts do not tell apart.",
        "A signature of suppressor cells is a pattern of RNA; it cannot show that they suppress.",
    ]


def _samples(samples: pd.DataFrame, design: pd.DataFrame) -> Iterator[str]:
    """Say what the sheet and the designs rule out."""
    unknown = samples.index[~samples["donor_known"].astype(bool)]
    if len(unknown):
        yield (
            f"{words.number(len(unknown))} of {words.plural(len(samples), 'sample')} come from a "
            "donor that is not known. They are shown, but never count as replicates."
        )
    gated = samples[samples["enrichment"].fillna("none") != "none"]
    if len(gated):
        yield (
            f"{words.number(len(gated))} of {words.plural(len(samples), 'sample')} were sorted or "
            "enriched: how frequent a cell type is in them was set by the gate."
        )
    untested = design[design["verdict"] != "tested"]
    if len(untested):
        yield (
            f"{words.number(len(untested))} of {words.plural(len(design), 'contrast')} cannot be "
            "tested on these samples, whatever the method: no statistics can replace the missing "
            "donors. A difference without a p-value is a description of these samples only."
        )


def _tissues(run: RunTables) -> Iterator[str]:
    """Say that the latent space cannot compare tissues where each batch is of one."""
    said = run["verdict"]
    own = said[(said["method"] == run.config["integrate"]["primary"]) & (said["code"] == "aliased")]
    if len(own):
        yield (
            "Tissue is aliased with batch: what all cells of a tissue share may have been taken "
            "out of the latent space with the batch. Map and clusters cannot tell how far tissues "
            "differ; contrasts go back to the counts."
        )


def _branches(index: pd.DataFrame) -> Iterator[str]:
    """Name the kinds of cells that the EMH index had to do without."""
    index = index[index["emh_index"].notna()]
    lost = [name for column, name in BRANCHES.items() if index[column].isna().all()]
    if len(index) and lost:
        held = [name for name in BRANCHES.values() if name not in lost]
        yield (
            f"Too few {words.join(lost)} were found to read them, so the EMH index is that of "
            f"{words.join(held)} alone. Few of them in a dissociated tissue is no evidence that "
            "none are made: large and fragile cells are lost."
        )


def _inflamed(run: RunTables) -> Iterator[str]:
    """Say that a myeloid call cannot tell a tumour from inflammation without inflamed donors."""
    gates = run["gates"]
    arms = run.samples["arm"] if "arm" in run.samples else pd.Series(dtype=object)
    if (gates["status"] == "tested").any() and not (arms == "inflammation_control").any():
        yield (
            "No inflamed donors without a tumour were compared: MDSC-like cells may be those of "
            "any inflammation, and are called reactive."
        )


def _soup(run: RunTables) -> Iterator[str]:
    """Say where the profile of the soup had to be guessed."""
    guessed = sum(qc.get("soup") == "library" for qc in run.qc.values())
    if guessed:
        yield (
            f"The files of {words.number(guessed)} of {words.plural(len(run.qc), 'sample')} hold "
            "no empty droplets, so their ambient RNA is taken to be the library's average; RNA of "
            "cells that broke before they were loaded is not in it."
        )


def _genes(contrasts: pd.DataFrame) -> Iterator[str]:
    """Name the core ligands that no contrast could test in any cell type."""
    core = contrasts[(contrasts["tier"] == "core") & (contrasts["role"] == "ligand")]
    tested = set(core.loc[core["status"] == "tested", "gene"])
    never = [gene for gene in dict.fromkeys(core["gene"].astype(str)) if gene not in tested]
    if never:
        more = len(never) - NAMED
        named = never[:NAMED] + ([f"{words.number(more)} more"] if more > 0 else [])
        yield (
            f"No contrast could test {words.join(named)} in any cell type. They may be made "
            "nonetheless: such ligands are rare transcripts, and whole-tissue suspensions hold few "
            "of the stromal and endothelial cells that make many of them."
        )
