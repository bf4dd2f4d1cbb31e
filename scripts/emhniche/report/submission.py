"""What does CELLxGENE want of the atlas, and what is lost on the way?

``atlas.h5ad`` is keyed by gene symbol, as people and gene lists name genes; CELLxGENE wants Ensembl
ids, and only those of the GENCODE release its schema is bound to. So a second file is written,
keyed by id. A gene's id is the one that the file it came from gives, where the reference knows it,
else that of the only gene that bears its symbol there. A gene without an id is not in the second
file; how many are left out, with how many counts, is said. Cells and counts stay as they are.

It runs in the environment of CELLxGENE's validator too, which has an older anndata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem, sparse_dataset, write_elem
from scipy import sparse

from emhniche.io import atomic_path
from emhniche.report.atlas import plain_frame
from emhniche.report.cellxgene import RESERVED

CHUNK = 20_000
"""Cells whose counts are in memory at a time."""


@dataclass(frozen=True)
class Submission:
    """What became of the genes and what is still missing.

    Attributes
    ----------
    genes
        How many genes of the atlas are ``from_file`` (id given by the file), ``by_symbol``,
        ``unknown`` (the reference has no such symbol), ``ambiguous`` (several genes bear it, or
        two symbols lead to one id).
    counts_left_out
        Share of all counts that belong to genes without an id.
    missing
        What the schema wants and the sample sheet does not tell, one line each.
    """

    genes: Mapping[str, int]
    counts_left_out: float
    missing: tuple[str, ...]

    def lines(self) -> list[str]:
        """Say it in lines."""
        left = self.genes["unknown"] + self.genes["ambiguous"]
        return [
            f"{sum(self.genes.values()) - left} of {sum(self.genes.values())} genes have an "
            f"Ensembl id: {self.genes['from_file']} given by the files, {self.genes['by_symbol']} "
            "by their symbol",
            f"{left} genes with {100 * self.counts_left_out:.2f} % of the counts are left out: "
            f"{self.genes['unknown']} symbols are not in the reference, "
            f"{self.genes['ambiguous']} are not of one gene alone",
            *(f"missing: {line}" for line in self.missing),
        ]


def write_submission(atlas: Path, output: Path, *, reference: pd.DataFrame) -> Submission:
    """Write the atlas as CELLxGENE wants it: keyed by Ensembl id, without reserved columns.

    Parameters
    ----------
    atlas
        ``atlas.h5ad`` of a run.
    output
        Where the copy goes.
    reference
        ``gene_id`` and ``symbol`` of every gene of the schema's release.

    Returns
    -------
    Submission
        What was left out and what is missing.
    """
    with (
        h5py.File(atlas, "r") as source,
        atomic_path(output) as temporary,
        h5py.File(temporary, "w") as store,
    ):
        var = read_elem(source["var"])
        table = gene_ids(var, reference)
        kept = np.flatnonzero(table["gene_id"] != "")
        left_out = _copy_counts(source, store, kept)
        names = pd.Index(table["gene_id"].to_numpy()[kept].astype(object), name="gene_id")
        own = var.iloc[kept].drop(columns="gene_id", errors="ignore")
        own = own.assign(symbol=var.index[kept].astype(object), feature_is_filtered=False)
        store.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(store, "var", plain_frame(own.set_axis(names)))
        write_elem(store, "obs", plain_frame(_renamed(read_elem(source["obs"]))))
        for group in ("obsm", "obsp", "layers", "varp"):
            write_elem(store, group, {})
        for key in source["obsm"]:
            write_elem(store["obsm"], key, read_elem(source["obsm"][key]))
        varm = {key: read_elem(source["varm"][key]).iloc[kept] for key in source["varm"]}
        varm = {key: plain_frame(frame.set_axis(names)) for key, frame in varm.items()}
        write_elem(store, "varm", varm)
        uns = read_elem(source["uns"])
        missing = tuple(map(str, uns.pop("cellxgene_missing", ())))
        uns |= {"default_embedding": "X_umap", "X_approximate_distribution": "count"}
        write_elem(store, "uns", uns)
    number = table["rule"].value_counts()
    rules = ("from_file", "by_symbol", "unknown", "ambiguous")
    return Submission({rule: int(number.get(rule, 0)) for rule in rules}, left_out, missing)


def gene_ids(var: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Give each gene its Ensembl id, where that can be done without guessing.

    Parameters
    ----------
    var
        Genes of the atlas, indexed by symbol; ``gene_id`` where files gave one, else empty.
    reference
        ``gene_id`` and ``symbol``.

    Returns
    -------
    pandas.DataFrame
        Indexed as `var`: ``gene_id`` (empty when there is none) and ``rule``: ``from_file``,
        ``by_symbol``, ``unknown`` or ``ambiguous``.
    """
    known = set(reference["gene_id"])
    bearers = reference.groupby("symbol")["gene_id"].agg(list)
    given = var["gene_id"] if "gene_id" in var else pd.Series("", var.index)
    rows = []
    for symbol, own in zip(var.index.astype(str), given.astype(str), strict=True):
        own = own.split(".")[0]
        found = bearers.get(symbol, [])
        if own in known:
            rows.append((own, "from_file"))
        elif len(found) == 1:
            rows.append((found[0], "by_symbol"))
        else:
            rows.append(("", "ambiguous" if found else "unknown"))
    table = pd.DataFrame(rows, columns=["gene_id", "rule"], index=var.index, dtype=object)
    shared = table["gene_id"].duplicated(keep=False) & (table["gene_id"] != "")
    table.loc[shared, ["gene_id", "rule"]] = ["", "ambiguous"]
    return table


def _copy_counts(source: h5py.File, store: h5py.File, kept: np.ndarray) -> float:
    """Copy the counts of some genes; return the share of all counts that the others hold."""
    counts = sparse_dataset(source["X"])
    total = copied = 0.0
    for start in range(0, max(counts.shape[0], 1), CHUNK):
        rows = sparse.csr_matrix(counts[start : start + CHUNK])
        part = rows[:, kept]
        part.sort_indices()
        total += float(rows.sum(dtype=np.float64))
        copied += float(part.sum(dtype=np.float64))
        if start:
            sparse_dataset(store["X"]).append(part)
        else:
            kind = source["X/indptr"].dtype
            part.indices, part.indptr = part.indices.astype(kind), part.indptr.astype(kind)
            settings = {"compression": "gzip", "compression_opts": 1}
            write_elem(store, "X", part, dataset_kwargs=settings)
    return 1 - copied / total if total else 0.0


def _renamed(obs: pd.DataFrame) -> pd.DataFrame:
    """Give columns whose names CELLxGENE keeps for itself a name of their own."""
    obs = obs.rename(columns={name: f"own_{name}" for name in RESERVED})
    for column in obs.columns[obs.dtypes == "category"]:
        obs[column] = obs[column].cat.remove_unused_categories()
    return obs
