"""Who could talk to whom over the panel's axes, in each donor?

A pair is scored in one donor (or library of an unknown donor) at a time, between the lineages that
hold enough transcripts of the ligand and those that hold enough of the receptor and all of its
co-receptors. The score says that both sides are there, not that a signal passes. Antagonists and
decoys are pairs of their own sign and never add to an agonist.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from emhniche.production import DESCRIBED
from emhniche.pseudobulk import UNRESOLVED, Pseudobulk

COLUMNS = (
    *("niche", "dataset", "condition", "unit", "ligand", "receptor", "axis", "sign", "sender"),
    *("receiver", "ligand_detection", "receptor_detection", "score", "status", "ambient"),
    "reason",
)

_PLACE = ["niche", "dataset", "condition", "donor"]


def score_pairs(
    bulk: Pseudobulk,
    pairs: pd.DataFrame,
    ambient: pd.DataFrame,
    *,
    min_cells: int,
    min_counts: int,
) -> pd.DataFrame:
    """Score ligand-receptor pairs between lineages, donor by donor.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    pairs
        ``axis``, ``ligand``, ``receptor``, ``coreceptor`` (tuple) and ``sign``, one row a pair;
        all genes are counted in `bulk`.
    ambient
        Groups of `bulk` x panel genes: ambient RNA explains the lineage's counts (bool).
    min_cells
        Cells that a lineage needs in the donor.
    min_counts
        Counts of a gene that a lineage needs in the donor to be sender or receiver.

    Returns
    -------
    pandas.DataFrame
        ``niche/ligand_receptor.tsv``: one row a donor, pair, sender and receiver, or one row that
        says why a pair has none. ``score`` is the geometric mean of the log2(1 + CPM) of ligand
        and receptor, the receptor being the lowest of its parts.
    """
    sheet = bulk.samples.reindex(columns=_PLACE).astype(object).fillna("").astype(str)
    groups = bulk.groups.join(sheet, on="sample")
    groups = groups[groups["lineage"] != UNRESOLVED]
    held = bulk.dense(list(bulk.detected.columns))
    soup = held.where(ambient, 0.0)
    total = pd.Series(bulk.counts.sum(axis=1).A1, bulk.groups.index)
    rows = []
    for place, here in groups.groupby(_PLACE):
        where = dict(zip(["niche", "dataset", "condition", "unit"], place, strict=True))
        lineage = here["lineage"]
        cells = here["n_cells"].groupby(lineage).sum()
        counts, dirty, seen, depth = (
            table.loc[here.index].groupby(lineage).sum()[cells >= min_cells]
            for table in (held, soup, bulk.detected, total)
        )
        side = _Side(
            counts=counts,
            level=np.log2(1 + counts.div(depth, axis=0) * 1e6),
            detection=seen.div(cells[counts.index], axis=0),
            ambient=(dirty >= 0.5 * counts) & (counts > 0),
            measured={gene for gene in counts if bulk.measured.at[gene, where["dataset"]]},
        )
        for pair in pairs.itertuples():
            names = {name: getattr(pair, name) for name in ("ligand", "receptor", "axis", "sign")}
            parts = [pair.receptor, *pair.coreceptor]
            why_not = _missing(side, pair.ligand, parts, min_cells, min_counts)
            if why_not:
                found = [{"status": "not_testable", "reason": why_not}]
            else:
                found = _score(side, pair.ligand, parts, min_counts)
            rows += [{**where, **names, **row} for row in found]
    table = pd.DataFrame(rows, columns=[*COLUMNS])
    table["ambient"] = table["ambient"].astype("boolean").fillna(False).astype(bool)
    order = [*COLUMNS[: COLUMNS.index("receiver") + 1]]
    return table.sort_values(order, ignore_index=True, na_position="first")


@dataclass(frozen=True)
class _Side:
    """What the lineages of one donor hold of each gene: lineages x genes, and what is measured."""

    counts: pd.DataFrame
    level: pd.DataFrame
    detection: pd.DataFrame
    ambient: pd.DataFrame
    measured: set[str]


def _score(side: _Side, ligand: str, parts: list[str], min_counts: int) -> list[dict[str, object]]:
    """Return one row for each sender and receiver of a pair."""
    senders = side.counts.index[side.counts[ligand] >= min_counts]
    receivers = side.counts.index[(side.counts[parts] >= min_counts).all(axis=1)]
    weakest, seen = side.level[parts].min(axis=1), side.detection[parts].min(axis=1)
    dirty = side.ambient[parts].any(axis=1)
    return [
        {
            "sender": sender,
            "receiver": receiver,
            "ligand_detection": side.detection.at[sender, ligand],
            "receptor_detection": seen[receiver],
            "score": np.sqrt(side.level.at[sender, ligand] * weakest[receiver]),
            "status": DESCRIBED,
            "ambient": bool(side.ambient.at[sender, ligand] or dirty[receiver]),
            "reason": "",
        }
        for sender, receiver in product(senders, receivers)
    ]


def _missing(side: _Side, ligand: str, parts: list[str], min_cells: int, min_counts: int) -> str:
    """Say why a pair has no sender or no receiver, empty where it has both."""
    absent = [gene for gene in (ligand, *parts) if gene not in side.measured]
    if absent:
        return f"the dataset does not measure {', '.join(absent)}"
    if side.counts.empty:
        return f"no lineage has {min_cells} cells"
    enough = side.counts >= min_counts
    for names in ([ligand], parts):
        if not enough[names].all(axis=1).any():
            genes = " and ".join(names)
            return f"no lineage of {min_cells} cells holds {min_counts} counts of {genes}"
    return ""
