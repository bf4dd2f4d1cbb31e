"""Which barcodes hold two cells?

Scrublet (Wolock, Lopez & Klein 2019, doi 10.1016/j.cels.2018.11.005) scores each barcode by how
many simulated pairs of cells lie near it. It needs a library with enough cells and with droplets or
microwells that can take up two; sorted plates do not.
"""

import logging
import re
from dataclasses import dataclass

import anndata as ad
import numpy as np
import scanpy as sc

PLATE_CHEMISTRIES = ("marsseq", "smartseq", "celseq", "flashseq", "quartzseq")
"""One sorted cell a well: no doublets by chance loading, so none are looked for. Letters only."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doublets:
    """Scores of one library's barcodes and what they mean.

    Attributes
    ----------
    scores
        Scrublet's score a barcode in [0, 1]; NaN where it was not run.
    called
        Whether the barcode is called a doublet; all False where it was not run.
    status
        ``scored``, ``no_threshold`` (scores, but no valley to cut at) or ``not_run``.
    reason
        Why there are no scores or no calls; empty otherwise.
    threshold
        Score at and above which a barcode is called; NaN where none is.
    """

    scores: np.ndarray
    called: np.ndarray
    status: str
    reason: str
    threshold: float


def find_doublets(
    counts: ad.AnnData,
    usable: np.ndarray,
    *,
    chemistry: str,
    method: str,
    min_cells: int,
    expected_rate: float,
    seed: int,
) -> Doublets:
    """Score the usable barcodes of one library for being two cells.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts of one library.
    usable
        One bool a barcode: passed the count thresholds. The others are not scored.
    chemistry
        Library chemistry from the sample sheet.
    method
        ``scrublet`` or ``none``.
    min_cells
        Fewest usable barcodes to score.
    expected_rate
        Share of doublets expected from the loading.
    seed
        Seed of the simulated pairs.

    Returns
    -------
    Doublets
        Scores and calls in the order of the barcodes.
    """
    reason = _why_not(method, chemistry, int(usable.sum()), min_cells)
    scores = np.full(counts.n_obs, np.nan)
    called = np.zeros(counts.n_obs, dtype=bool)
    if reason:
        return Doublets(scores, called, "not_run", reason, float("nan"))
    library = ad.AnnData(counts.X[usable].copy())
    sc.pp.filter_genes(library, min_cells=3)
    sc.pp.scrublet(
        library,
        expected_doublet_rate=expected_rate,
        random_state=seed,
        verbose=False,
        n_prin_comps=20,
    )
    scores[usable] = library.obs["doublet_score"].to_numpy()
    threshold = library.uns["scrublet"].get("threshold", float("nan"))
    if "predicted_doublet" not in library.obs or not np.isfinite(threshold):
        return Doublets(
            scores, called, "no_threshold", "the scores have no valley to cut at", float("nan")
        )
    called[usable] = library.obs["predicted_doublet"].to_numpy(dtype=bool)
    return Doublets(scores, called, "scored", "", float(threshold))


def _why_not(method: str, chemistry: str, n_usable: int, min_cells: int) -> str:
    if method == "none":
        return "switched off in the config"
    if re.sub(r"[^a-z0-9]", "", chemistry.lower()).startswith(PLATE_CHEMISTRIES):
        return f"{chemistry} sorts one cell a well"
    if n_usable < min_cells:
        return f"{n_usable} usable barcodes, fewer than {min_cells}"
    return ""
