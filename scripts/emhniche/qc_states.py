"""Which barcodes are cycling, and which were stressed by the handling?

These scores describe cells. They are no reason to drop one: a progenitor that divides and a
macrophage that was warm for an hour are both cells of the tissue.
"""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

MIN_CONTROLS = 100
"""Fewest other genes to draw control genes from: a gene panel of a hundred has none to spare."""

SCORES = {
    "stress_score": "Dissociation_IEG",
    "s_score": "CellCycle_S",
    "g2m_score": "CellCycle_G2M",
}
"""Score -> the set of ``signatures.tsv`` that it is made of."""

PHASES = ("G1", "S", "G2M")

MIN_GENES = 5
"""A set with fewer measured genes is not scored."""

MIN_SEEN = 2
"""Genes of a phase's set of which a barcode must hold counts to be put in that phase."""


def cell_states(
    counts: ad.AnnData, signatures: pd.DataFrame, usable: np.ndarray, *, seed: int
) -> pd.DataFrame:
    """Score stress of dissociation and cell cycle of each usable barcode of one library.

    A score is the mean log-normalised expression of a set's measured genes minus that of control
    genes of like expression (Tirosh 2016, doi 10.1126/science.aad0501). The phase is that of the
    higher of the two cycle scores where that is above 0 and the barcode holds counts of at least
    :data:`MIN_SEEN` genes of the set, else G1: in shallow data one stray count lifts a score above
    0. The stress set rests on van den Brink 2017 (doi 10.1038/nmeth.4437).

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.
    signatures
        Gene sets of the species (:func:`emhniche.resources.load_signatures`).
    usable
        One bool a barcode; the others are not scored.
    seed
        Seed of the choice of control genes.

    Returns
    -------
    pandas.DataFrame
        One row a barcode: ``stress_score``, ``s_score``, ``g2m_score`` (no unit; NaN where not
        scored or fewer than :data:`MIN_GENES` of the set's genes are measured) and ``phase``
        (``G1``, ``S``, ``G2M``, or None where a cycle score is missing).
    """
    table = pd.DataFrame(np.nan, index=range(counts.n_obs), columns=list(SCORES))
    table["phase"] = np.full(counts.n_obs, None, dtype=object)
    if not usable.any():
        return table
    import scanpy as sc  # here, for the report reads this module's names without it

    positive = signatures[signatures["polarity"] == "positive"].set_index("set")["genes"]
    measured = {
        score: [gene for gene in positive.get(name, ()) if gene in counts.var_names]
        for score, name in SCORES.items()
    }
    raw = sparse.csr_matrix(counts.X[usable])
    library = ad.AnnData(raw.astype(np.float32), var=pd.DataFrame(index=counts.var_names))
    sc.pp.normalize_total(library, target_sum=1e4)
    sc.pp.log1p(library)
    for score, genes in measured.items():
        if len(genes) >= MIN_GENES and library.n_vars - len(genes) >= MIN_CONTROLS:
            sc.tl.score_genes(library, genes, score_name=score, random_state=seed, use_raw=False)
            table.loc[usable, score] = library.obs[score].to_numpy(dtype=float)
    seen = {
        score: raw[:, counts.var_names.get_indexer(measured[score])].getnnz(axis=1)
        for score in ("s_score", "g2m_score")
    }
    table.loc[usable, "phase"] = _phase(table[usable], seen)
    return table


def describe_states(table: pd.DataFrame) -> dict:
    """Sum up the states of the kept cells, for ``qc.json``.

    Parameters
    ----------
    table
        Kept cells with ``lineage`` and the columns of :func:`cell_states`.

    Returns
    -------
    dict
        ``stress_score`` (median; NaN where not scored), ``phases`` (phase -> cells) and
        ``lineages``: a row a lineage with ``n`` (cells with a phase), ``cycling`` (of them in S or
        G2M) and ``stress_score`` (median).
    """
    rows = [
        {
            "lineage": lineage,
            "n": int(part["phase"].notna().sum()),
            "cycling": int(part["phase"].isin(["S", "G2M"]).sum()),
            "stress_score": float(part["stress_score"].median()),
        }
        for lineage, part in table.groupby("lineage", sort=True)
    ]
    return {
        "stress_score": float(table["stress_score"].median()),
        "phases": {phase: int((table["phase"] == phase).sum()) for phase in PHASES},
        "lineages": rows,
    }


def _phase(table: pd.DataFrame, seen: dict[str, np.ndarray]) -> np.ndarray:
    """Return the phase of each scored barcode; None where a cycle score is missing."""
    s_score, g2m_score = table["s_score"].to_numpy(), table["g2m_score"].to_numpy()
    in_s = np.where((s_score > 0) & (seen["s_score"] >= MIN_SEEN), s_score, 0.0)
    in_g2m = np.where((g2m_score > 0) & (seen["g2m_score"] >= MIN_SEEN), g2m_score, 0.0)
    phase = np.full(len(table), "G1", dtype=object)
    phase[in_s > 0] = "S"
    phase[in_g2m > in_s] = "G2M"
    phase[np.isnan(s_score) | np.isnan(g2m_score)] = None
    return phase
