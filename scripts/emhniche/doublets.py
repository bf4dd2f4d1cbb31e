"""Which barcodes hold two cells, and how many of them are to be expected?

A library needs enough cells to simulate doublets from, and droplets or microwells that can take up
two; sorted plates do not. Barcodes are scored by their likeness to simulated doublets
(:mod:`emhniche.doublet_scores`, or Scrublet: Wolock, Lopez & Klein 2019, doi
10.1016/j.cels.2018.11.005) and called from the top down, no more than the loading lets expect.

Which pairs are simulated is chance, and what one seed puts at the top another may not. So a barcode
is called only if three seeds put it there. A cell between two stages looks like two cells too:
pairs of lineages that cells pass between are not expected to be found (nor simulated, where we
simulate), and in a sorted library, which is one such passage as a rule, none is called.
"""

import re
from dataclasses import dataclass

import anndata as ad
import numpy as np
import scanpy as sc
from scipy import sparse

from emhniche.doublet_scores import boosted_scores
from emhniche.lineage import UNRESOLVED, can_be_told
from emhniche.loading import expected_rate

PLATE_CHEMISTRIES = (
    *("marsseq", "smartseq", "smarter", "celseq", "flashseq", "quartzseq", "sortseq", "strt"),
    *("scrbseq", "mcscrbseq", "fluidigm"),
)
"""One sorted cell a well: no doublets by chance loading, so none are looked for. Letters only."""

MIN_BOOSTED = 0.5
"""A barcode that is more alike to real barcodes than to simulated doublets is not called."""

N_COMPONENTS = 20
"""Principal components of Scrublet, and genes that must vary among the barcodes, beside one more:
on a panel of a few dozen genes two cells are not told from one, and Scrublet fails."""

N_SEEDS = 3
"""Seeds at which a barcode must be at the top to be called."""


@dataclass(frozen=True)
class Doublets:
    """Scores of one library's barcodes and what they mean.

    Attributes
    ----------
    scores
        Score a barcode in [0, 1], mean of :data:`N_SEEDS`; NaN where it was not scored.
    called
        Whether the barcode is called a doublet; all False where none was scored.
    status
        ``scored`` or ``not_run``.
    reason
        Why there are no scores or no calls; empty otherwise.
    method
        What the scores are made by.
    threshold
        Lowest score of a called barcode; NaN where none is.
    expected_rate
        Share of the usable barcodes expected to be doublets.
    expected_from
        What that rests on: ``cells_loaded``, ``recovered`` or ``config``; empty where not run.
    n_expected
        How many of them hold cells of two lineages, which is what can be found.
    """

    scores: np.ndarray
    called: np.ndarray
    status: str
    reason: str
    method: str
    threshold: float
    expected_rate: float
    expected_from: str
    n_expected: int


def find_doublets(
    counts: ad.AnnData,
    usable: np.ndarray,
    lineage: np.ndarray,
    *,
    chemistry: str,
    cells_loaded: str,
    enrichment: str,
    method: str,
    min_cells: int,
    fallback_rate: float,
    seed: int,
) -> Doublets:
    """Score the usable barcodes of one library for being two cells.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts of one library.
    usable
        One bool a barcode: passed the count thresholds. The others are not scored.
    lineage
        Coarse lineage of each barcode.
    chemistry, cells_loaded, enrichment
        From the sample sheet.
    method
        ``boosted``, ``scrublet`` or ``none``.
    min_cells
        Fewest usable barcodes to score.
    fallback_rate
        Share of doublets expected where :func:`emhniche.loading.expected_rate` cannot tell.
    seed
        Seed of the simulated pairs.

    Returns
    -------
    Doublets
        Scores and calls in the order of the barcodes.
    """
    reason = _why_not(method, chemistry, int(usable.sum()), min_cells)
    matrix = counts.X[usable].tocsr()
    if not reason and (varying := _n_varying(matrix)) <= N_COMPONENTS:
        reason = f"{varying} genes vary among the usable barcodes, {N_COMPONENTS + 1} are needed"
    scores = np.full(counts.n_obs, np.nan)
    called = np.zeros(counts.n_obs, dtype=bool)
    nothing = float("nan")
    if reason:
        return Doublets(scores, called, "not_run", reason, method, nothing, nothing, "", 0)
    rate, basis = expected_rate(chemistry, cells_loaded, int(usable.sum()), fallback_rate)
    number = round(rate * usable.sum() * different_share(lineage[usable]))
    seeds = range(seed, seed + N_SEEDS)
    if method == "boosted":
        own = np.array([boosted_scores(matrix, lineage[usable], rate=rate, seed=s) for s in seeds])
        lowest = MIN_BOOSTED
    else:
        own, lowest = np.array([_scrublet(matrix, rate, s) for s in seeds]), 0.0
    found = scores[usable] = own.mean(axis=0)
    why_none = _why_none(number, enrichment)
    if why_none:
        return Doublets(scores, called, "scored", why_none, method, nothing, rate, basis, number)
    top = own >= np.sort(own, axis=1)[:, [-number]]
    agreed = top.all(axis=0) & (found >= lowest)
    if agreed.sum() > number:  # scores that are equal
        agreed &= found >= _cut(found[agreed], number)
    called[usable] = agreed
    threshold = float(found[agreed].min()) if agreed.any() else nothing
    return Doublets(scores, called, "scored", "", method, threshold, rate, basis, number)


def _why_none(number: int, enrichment: str) -> str:
    """Say why no barcode is called though all are scored, empty where some may be."""
    if not number:
        return "none expected that holds cells of two lineages"
    if enrichment not in ("", "none"):
        return f"cells sorted by {enrichment} pass into each other, which looks like two in one"
    return ""


def _cut(scores: np.ndarray, number: int) -> float:
    """Return the lowest score that at most `number` barcodes reach, or the top one if more do."""
    levels, counts = np.unique(scores, return_counts=True)
    fits = counts[::-1].cumsum()[::-1] <= number
    return float(levels[fits][0] if fits.any() else levels[-1])


def different_share(lineage: np.ndarray) -> float:
    """Return the share of random pairs of cells that could be told from one cell.

    Parameters
    ----------
    lineage
        Lineage of each barcode; those without one have no say.

    Returns
    -------
    float
        In [0, 1]; 0 where no two lineages can be told: see
        :func:`emhniche.lineage.can_be_told`.
    """
    names, sizes = np.unique(lineage[lineage != UNRESOLVED], return_counts=True)
    share = sizes / max(sizes.sum(), 1)
    told = can_be_told(*map(np.ravel, np.meshgrid(names, names)))
    return float(np.outer(share, share).ravel()[told].sum())


def _scrublet(matrix: sparse.csr_matrix, rate: float, seed: int) -> np.ndarray:
    """Return Scrublet's scores. Its own cut, a valley between two peaks, misses most doublets."""
    library = ad.AnnData(matrix.copy())
    sc.pp.filter_genes(library, min_cells=3)
    sc.pp.scrublet(
        library,
        expected_doublet_rate=rate,
        random_state=seed,
        verbose=False,
        n_prin_comps=min(N_COMPONENTS, library.n_obs - 1),
    )
    return library.obs["doublet_score"].to_numpy()


def _n_varying(matrix: sparse.csr_matrix) -> int:
    """Count the genes that Scrublet would go by: those that vary, of those in three barcodes."""
    library = ad.AnnData(matrix.copy())
    sc.pp.filter_genes(library, min_cells=3)
    if not library.n_vars:
        return 0
    sc.pp.normalize_total(library)
    sc.pp.log1p(library)
    sc.pp.highly_variable_genes(library)
    return int(library.var["highly_variable"].sum())


def _why_not(method: str, chemistry: str, n_usable: int, min_cells: int) -> str:
    if method == "none":
        return "switched off in the config"
    if re.sub(r"[^a-z0-9]", "", chemistry.lower()).startswith(PLATE_CHEMISTRIES):
        return f"{chemistry} sorts one cell a well"
    if n_usable < min_cells:
        return f"{n_usable} usable barcodes, fewer than {min_cells}"
    return ""
