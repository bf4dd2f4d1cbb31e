"""How was the run done, in words that a paper can take over?

The text names the settings of this run and the versions recorded in its provenance. A source is
cited by its key where it belongs, as in ``by Harmony [@harmony]``; :func:`cited` numbers the keys
in the order they are met.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from emhniche.celltypist import MIN_PROBABILITY
from emhniche.emh_axes import STRATA
from emhniche.report import words
from emhniche.report.references import REFERENCES
from emhniche.report.sample_checks import call_sentence
from emhniche.response import N_RANDOM

CELL_ESTIMATE = {
    "fdr": "target-decoy over reference donors [@target_decoy]",
    "power": "conformal p-values over pooled reference cells [@conformal], which take no account "
    "of how reference donors differ",
}
"""What estimates the false discovery rate of called cells in each mode."""

_CITED = re.compile(r" ?\[@([\w-]+)\]")

ANSWERED = ("tested", "effect_only", "described", "pass", "fail")
"""Status of a row that says something."""

SIGNALS = {
    "supply": "The supply of a ligand, the transcripts that one kind of cell holds per million of "
    "the tissue, was compared over donors in unsorted libraries, and split into how frequent the "
    "cells are and how much each holds.",
    "ligand_receptor_contrasts": "Pairs of ligand and receptor were compared between arms by the "
    "geometric mean of their levels, on the log scale, over all donors with enough cells of both "
    "lineages.",
    "score_contrasts": "Scores were compared between arms by a linear mixed model with an "
    "intercept for each donor in an arm [@mixed], whose scatter was drawn towards that of all.",
    "responses": "A response is the mean log2 expression of genes that a signal switches on, less "
    f"that of {N_RANDOM} random sets as abundant in the same cells; it was compared over donors.",
    "emh_index": "The EMH index of a donor is the mean of the log2 odds of HSPC, erythroid cells, "
    "megakaryocytes and neutrophil precursors, less those of reference donors of the same tissue "
    "and dataset.",
    "emh_axes": "Axes were ranked by their Spearman correlation with the index within "
    f"{words.join(STRATA)}, with p from permuting donors "
    "within these where their number allows one.",
    "known_answers": "Published facts were asked of the run with rules that were fixed beforehand.",
}
"""Table of the run -> how it was made."""


@dataclass(frozen=True)
class Paragraph:
    """One step of the methods; ``marked`` is its text with its sources where they belong."""

    heading: str
    marked: str

    @property
    def text(self) -> str:
        """The text without its sources."""
        return "".join(text for text, _ in self.parts)

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the sources, each once, in the order they are met."""
        return tuple(dict.fromkeys(key for _, key in self.parts if key))

    @property
    def parts(self) -> list[tuple[str, str]]:
        """The text in pieces, each with the key of the source behind it, if there is one."""
        pieces, start = [], 0
        for found in _CITED.finditer(self.marked):
            if found[1] in REFERENCES:
                pieces.append((self.marked[start : found.start()], found[1]))
                start = found.end()
        return [*pieces, (self.marked[start:], "")]


def methods_text(
    config: Mapping, provenance: Mapping, *, epochs: int, tables: Mapping[str, pd.DataFrame]
) -> list[Paragraph]:
    """Write the methods of a run.

    Parameters
    ----------
    config
        The run's settings.
    provenance
        Its ``provenance.json``.
    epochs
        Passes over the cells that the model made.
    tables
        Tables of the run by name; a method is told where its table has an answer.

    Returns
    -------
    list of Paragraph
        In the order of the analysis.
    """
    tool = _Tools(provenance["packages"])
    paragraphs = [
        _workflow(config, provenance, tool),
        _quality(config["qc"], config["ambient"], tool),
        _cells(config, tool, epochs, provenance.get("accelerator") or {}),
        _names(config, tool),
        _scores(config["score"]),
        _comparison(config["niche"], tool),
        _signals(config["niche"], tables),
        _pathological(config["myeloid"]),
    ]
    return [one for one in paragraphs if one.text]


def cited(
    paragraphs: list[Paragraph], registry: pd.DataFrame
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Give the sources of the text their numbers, then those of the datasets.

    Parameters
    ----------
    paragraphs
        The methods.
    registry
        Rows of the registry that the run used, with ``dataset``, ``citation`` and ``doi``.

    Returns
    -------
    numbers : dict
        Key of a source, or dataset, -> its number.
    references : list of tuple
        ``(citation, doi)`` in that order; the DOI may be empty.
    """
    numbers: dict[str, int] = {}
    references: list[tuple[str, str]] = []
    for paragraph in paragraphs:
        for key in paragraph.sources:
            if key not in numbers:
                references.append(REFERENCES[key])
                numbers[key] = len(references)
    for _, row in registry.drop_duplicates("dataset").iterrows():
        if not words.is_missing(row["citation"]):
            references.append((row["citation"], "" if words.is_missing(row["doi"]) else row["doi"]))
            numbers[row["dataset"]] = len(references)
    return numbers, references


class _Tools:
    """Names a tool with its version, where that is recorded."""

    def __init__(self, packages: Mapping[str, str]):
        self.packages = packages

    def __call__(self, package: str, name: str | None = None) -> str:
        known = self.packages.get(package)
        return f"{name or package} {known}" if known else name or package


def _workflow(config: Mapping, provenance: Mapping, tool: _Tools) -> Paragraph:
    return Paragraph(
        "Workflow",
        f"Counts were processed by emh-niche {provenance['pipeline']['version']}, a workflow "
        f"of {tool('snakemake', 'Snakemake')} [@snakemake], with Python {provenance['python']}, "
        f"{tool('scanpy', 'Scanpy')} [@scanpy], {tool('anndata')}, {tool('numpy', 'NumPy')}, "
        f"{tool('scipy', 'SciPy')} and {tool('pandas')}; every random step had the seed "
        f"{config['seed']}.",
    )


def _quality(qc: Mapping, ambient: Mapping, tool: _Tools) -> Paragraph:
    method = qc["doublets"]["method"]
    by = {
        "scrublet": f"Scrublet [@scrublet] as in {tool('scanpy', 'Scanpy')}",
        "boosted": "gradient boosting on simulated doublets, after the idea of scDblFinder "
        f"[@scdblfinder], by {tool('scikit-learn')}",
    }
    soup, droplets = "the library's average profile, or that of its empty droplets,", ""
    if ambient["method"] == "cellbender":
        soup = "the profile of the empty droplets"
        droplets = (
            f"In files that hold all droplets, {tool('cellbender', 'CellBender')} [@cellbender] "
            f"({ambient['cellbender']['epochs']} epochs) told those without a cell, which were "
            "removed, and estimated the ambient share of every other one. "
        )
    return Paragraph(
        "Quality control",
        f"{droplets}The barcodes of each library were grouped and each group was given a coarse "
        "lineage. Barcodes were removed when their counts or genes lay more than "
        f"{qc['n_mads']:g} median absolute deviations below, or their mitochondrial share as "
        "far above, the median of their lineage in that library; the limits were held between "
        f"{qc['min_counts']['floor']} and {qc['min_counts']['ceiling']} counts, "
        f"{qc['min_genes']['floor']} and {qc['min_genes']['ceiling']} genes, and "
        f"{qc['max_pct_mito']['floor']} % and {qc['max_pct_mito']['ceiling']} %. "
        f"{call_sentence(method, by.get(method, ''))} Libraries that failed (too few or poor "
        "cells, sex genes against the sample sheet, a library entered twice) were left out unless "
        f"the sheet keeps them. A gene was taken as ambient in a lineage when {soup} explained its "
        "counts there, after the idea of SoupX [@soupx]. Cell cycle and stress of dissociation "
        "[@brink] were scored as the mean expression of a set of genes less that of others of like "
        "expression [@tirosh]; both describe cells, and removed none.",
    )


def _cells(config: Mapping, tool: _Tools, epochs: int, device: Mapping) -> Paragraph:
    integrate, cluster = config["integrate"], config["cluster"]
    where = "; searched among all on a GPU" if cluster["accelerator"] == "cuda" else ""
    on_gpu = cluster["layout_accelerator"] == "cuda"
    by = "by RAPIDS cuML [@cuml] on a GPU" if on_gpu else tool("umap-learn")
    return Paragraph(
        "Integration and clusters",
        f"Genes of the samples were joined by {config['merge']['genes']}; a gene that a "
        "dataset does not list is missing there, not zero. "
        f"{_latent_text(integrate, tool, epochs, device)} Clusters were found by the "
        f"Leiden algorithm [@leiden] ({tool('igraph')}) on the neighbour graph of the "
        f"{integrate['primary']} latent space ({cluster['n_neighbors']} neighbours a cell, itself "
        f"included{where}), "
        f"{_resolution(cluster)}; UMAP [@umap] ({by}) lays the graph out for the "
        "eye only.",
    )


def _names(config: Mapping, tool: _Tools) -> Paragraph:
    """Say what named the cells, and what was laid beside the names without changing them."""
    text = (
        "Clusters were named from their pooled counts by marker sets that hold no gene of the "
        "panel; cells of a cluster that quality control took for another lineage within their "
        "library were pooled and named by themselves. Markers of a cluster were ranked over cells "
        "by the area under the curve of the "
        f"rank-sum test ({tool('illico')}), and tested over donors."
    )
    annotate = config["annotate"]
    if config["cluster"]["zoom"]:
        which = words.join(words.cells(one) for one in config["cluster"]["zoom"])
        text += (
            f" Of {which} the cells were clustered once more by themselves, in the same way and "
            "space."
        )
    if annotate["label_samples"]:
        text += (
            f" Published labels of {words.join(annotate['label_samples'])} were carried to all "
            "other cells by their nearest neighbours in the latent space, but not to cells that "
            "lie too far from every labelled one; they stand beside the names."
        )
    if "celltypist" in annotate:
        model = str(annotate["celltypist"]["model"]).split("/")[-1]
        text += (
            f" The CellTypist model {model} [@celltypist] labelled each cell by its most probable "
            f"class, from a probability of {MIN_PROBABILITY:g}, as CellTypist does without "
            "majority voting; its labels stand beside the names and change none."
        )
    return Paragraph("Names of cells", text)


def _scores(score: Mapping) -> Paragraph:
    return Paragraph(
        "Scores",
        "Each axis of the panel [@panel], its ligands, receptors and antagonists apart, and each "
        "signature was scored in every cell by the rank-based UCell statistic [@ucell], over at "
        f"most {words.number(score['max_rank'])} ranks and no more than the median cell of the "
        f"dataset holds genes, and set against {score['n_random']} random gene sets of like "
        "expression. Counts of ambient genes that the soup explains in a lineage were left out.",
    )


def _comparison(niche: Mapping, tool: _Tools) -> Paragraph:
    return Paragraph(
        "Comparison of niches",
        "The unit is the donor [@squair]: counts of a cell type were summed by donor, and donors "
        f"with fewer than {niche['min_cells']} of its cells were left out. A p-value was given "
        f"only where each arm has at least {niche['min_units']} known donors and the factor is not "
        "aliased with study, platform or gate, and only for genes with at least "
        f"{niche['min_counts']} counts. Genes were tested by moderated t tests [@smyth] of log "
        "counts, weighted by counting noise and a variance between donors after voom [@voom]; fold "
        "changes and their intervals are those of a negative binomial model with the dispersions "
        f"of DESeq2 [@deseq2] ({tool('pydeseq2', 'PyDESeq2')} [@pydeseq2]) and a Cauchy prior. "
        "Frequencies were tested alike, as log odds after propeller [@propeller], from unsorted "
        "libraries; the false discovery rate was controlled [@bh] within each contrast and tier of "
        "the panel.",
    )


def _signals(niche: Mapping, tables: Mapping[str, pd.DataFrame]) -> Paragraph:
    used = [
        text
        for name, text in SIGNALS.items()
        if name in tables and tables[name]["status"].isin(ANSWERED).any()
    ]
    if any(one.get("interaction") for one in niche["contrasts"]):
        used.insert(
            0,
            "An interaction is the difference of two differences, of the arms at one place and at "
            "the other; donors found at both are compared with themselves.",
        )
    return Paragraph("Further comparisons", " ".join(used))


def _pathological(myeloid: Mapping) -> Paragraph:
    return Paragraph(
        "MDSC-like cells",
        "Within one lineage of one tissue, a signature's score [@mdsc] was adjusted for maturation "
        "[@neutrotime] on "
        "cells of reference donors. Cells were to be called only where case donors exceed "
        f"reference donors, with at least {myeloid['min_donors']} donors of "
        f"{myeloid['min_cells']} cells in each arm, at a false discovery rate of "
        f"{myeloid['q']:g}, estimated by {CELL_ESTIMATE[myeloid['mode']]}.",
    )


def _resolution(cluster: Mapping) -> str:
    """Say which resolution of the clusters was taken."""
    tried = ", ".join(f"{one:g}" for one in cluster["resolutions"])
    if len(cluster["resolutions"]) == 1:
        return f"at resolution {tried}"
    return (
        f"at that resolution (of {tried}) whose clusters {cluster['n_subsamples']} subsamples of "
        "four fifths of the cells give again, by their Jaccard index after Hennig [@hennig]; "
        "clusters that subsamples trade cells between were joined where a coarser resolution has "
        "them as one"
    )


def _latent_text(integrate: Mapping, tool: _Tools, epochs: int, device: Mapping) -> str:
    """Say how the latent space was made that the clusters were found in."""
    batch = f"the column '{integrate['batch_key']}' of the sample sheet as batch"
    if integrate["primary"] == "pca":
        return "Principal components were taken without correction for batches."
    if integrate["primary"] == "harmony":
        return (
            f"{integrate['n_latent']} principal components of log-normalised counts were corrected "
            f"by Harmony [@harmony] ({tool('harmonypy')}; theta "
            f"{integrate['harmony']['theta']:g}) with {batch}; tissue is never a batch."
        )
    labels = ""
    if integrate["primary"] == "scanvi":
        labels = (
            " scANVI [@scanvi] went on from it with the published labels for "
            f"{integrate['scanvi']['label_epochs']} passes: this latent space is supervised."
        )
    return (
        f"scVI [@scvi] ({tool('scvi-tools')} [@scvi-tools], {tool('torch', 'PyTorch')}) was "
        f"trained on raw counts with {batch} and {integrate['n_latent']} latent "
        f"dimensions, in {words.plural(epochs, 'pass', 'passes')} over the cells with one cycle of "
        f"the learning rate (peak {integrate['scvi']['peak_rate']:g}); tissue is never a batch."
        f"{labels}{_device_text(device)}"
    )


def _device_text(device: Mapping) -> str:
    """Say what trained, where it was no CPU from the beginning."""
    if device.get("fell_back"):
        return f" Warning: the GPU failed ({device['fell_back']}), so a CPU trained the model."
    if device.get("used", "cpu") == "cpu":
        return ""
    bits = ", in 16 and 32 bits" if device.get("precision") == "bf16" else ""
    many = device.get("devices", 1)
    what = "a GPU" if many == 1 else f"{many} GPUs"
    return f" It was trained on {what} ({device.get('name') or device['used']}{bits})."
