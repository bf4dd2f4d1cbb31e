"""How strongly does each cell express each axis of the panel and each signature?

The score is UCell: within a cell, genes are ranked by count, and a set scores 1 when its genes are
the cell's top genes and 0 when none is among the first `max_rank`. A score says little by itself,
because a set of abundant genes scores high in every cell. So each set is compared, cell by cell,
with random sets of genes that are as abundant in the same dataset. Datasets are scored one by one:
they measure different genes, and a gene that was not measured is left out, never taken for absent.
Counts that ambient RNA explains in a lineage are left out before genes are ranked.

Agonists, receptors and antagonists of an axis are three sets that are never added up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import CELL_ID, as_counts
from emhniche.random_sets import Members, draw_sets, sum_sets
from emhniche.resources import SIDES

READ_CELLS = 500
"""Cells read at once: memory follows this, not the number of cells."""

WHOLE_BYTES = 1e9
"""Counts up to this size are read at once; larger ones are read in parts, three times."""

CHUNK_CELLS = 64
"""Cells ranked and summed at once: their weights then stay in the processor's cache."""

ALPHA = 0.05
"""A cell is above its null when this share of the random sets or less do as well as the set."""


NULL_COLUMNS = (
    *("set", "kind", "role", "dataset", "n_genes", "n_measured", "n_detected", "genes_missing"),
    *("status", "score_mean", "null_mean", "null_sd", "share_above_null95", "n_random", "max_rank"),
    "ambient_share",
)


@dataclass(frozen=True)
class GeneSet:
    """Genes that are scored together."""

    name: str
    kind: str
    role: str
    genes: tuple[str, ...]


@dataclass(frozen=True)
class _Dataset:
    """The cells (rows) and measured genes (columns) of one dataset.

    `ambient` says which genes are left out (lineages x genes, bool) in which cells (`lineage`, the
    lineage's place for each row), and `left_out` how many counts of each gene these are.
    """

    name: str
    rows: np.ndarray
    columns: np.ndarray
    genes: pd.Index
    lineage: np.ndarray
    ambient: np.ndarray
    left_out: np.ndarray


def score_cells(
    cells: ad.AnnData,
    *,
    panel: pd.DataFrame,
    signatures: pd.DataFrame,
    ambient: pd.DataFrame,
    n_random: int,
    max_rank: int,
    n_bins: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score every cell for every signature and every axis, and say how far above chance.

    Parameters
    ----------
    cells
        Cells x genes with raw counts in ``X`` (may be backed by its file), ``obs`` with ``dataset``
        and ``qc_lineage``, and ``varm["measured"]``: genes x datasets, True where the dataset's
        matrix holds the gene.
    panel
        As :func:`emhniche.resources.load_panel` returns it.
    signatures
        As :func:`emhniche.resources.load_signatures` returns them; positive genes are scored.
    ambient
        As :func:`emhniche.ambient_genes.ambient_genes` returns it, of ``qc_lineage``: counts of a
        gene in the cells of a lineage and dataset where ``ambient`` holds are left out.
    n_random
        Random gene sets for each set and dataset.
    max_rank
        Genes ranked below this in a cell count as not expressed there. In a dataset whose median
        cell holds fewer genes, that median is used instead.
    n_bins
        Expression bins that random genes are drawn from.
    seed
        Seed of the random sets. The draws of a set hang on the seed, its name and its dataset, not
        on the order of cells, genes or sets.

    Returns
    -------
    scores : pandas.DataFrame
        One row a cell, in the order of `cells`: ``cell_id``, then for each set ``<set>`` (0 to 1)
        and ``<set>__z`` (standard deviations above its random sets), float32. NaN where fewer than
        two genes of the set are measured; z also where the random sets do not vary.
    null : pandas.DataFrame
        One row a set and dataset: what was measured, and how the random sets scored.

    Raises
    ------
    InputError
        When a dataset measures too few genes to draw random sets from.

    References
    ----------
    Andreatta M, Carmona SJ. UCell: robust and scalable single-cell gene signature scoring. Comput
    Struct Biotechnol J 2021, doi 10.1016/j.csbj.2021.06.043.
    """
    cells = _at_hand(cells)
    sets = gene_sets(panel, signatures)
    columns = pd.Index([column for one in sets for column in (one.name, f"{one.name}__z")])
    values = np.full((cells.n_obs, len(columns)), np.nan, dtype=np.float32)
    null = []
    for dataset in _datasets(cells, ambient):
        measured = {one.name: dataset.genes.intersection(one.genes) for one in sets}
        scored = {name: genes for name, genes in measured.items() if len(genes) > 1}
        limit = _rank_limit(cells, dataset, scored, max_rank)
        expression, held = _expression(cells, dataset, limit)
        members = draw_sets(
            dataset.name,
            dataset.genes,
            scored,
            expression,
            n_random=n_random,
            n_bins=n_bins,
            seed=seed,
        )
        places = columns.get_indexer(members.names)
        figures = _score_dataset(cells, dataset, members, limit, values, places)
        for one in sets:
            row = _coverage(one, dataset, measured[one.name], held)
            null.append(row | {"n_random": 0, "max_rank": limit} | figures.get(one.name, {}))
    scores = pd.DataFrame(values, columns=columns)
    scores.insert(0, CELL_ID, cells.obs_names.to_numpy())
    return scores, pd.DataFrame(null, columns=NULL_COLUMNS)


def gene_sets(panel: pd.DataFrame, signatures: pd.DataFrame) -> list[GeneSet]:
    """Say which genes are scored together.

    Parameters
    ----------
    panel, signatures
        As :func:`score_cells` takes them.

    Returns
    -------
    list of GeneSet
        The positive genes of every signature (role: its class), then the sides of every axis
        (named ``<axis>.<side>``). The core axes hold genes of the core tier only.
    """
    positive = signatures[signatures["polarity"] == "positive"]
    names, kinds, genes = (positive[column] for column in ("set", "class", "genes"))
    sets = [
        GeneSet(name, "signature", kind, tuple(members))
        for name, kind, members in zip(names, kinds, genes, strict=True)
    ]
    core = panel.loc[panel["tier"] == "core", "axis"].unique()
    counted = panel[(panel["tier"] == "core") | ~panel["axis"].isin(core)]
    for axis, rows in counted.groupby("axis", sort=False):
        for side, roles in SIDES.items():
            members = tuple(rows["gene"][rows["role"].isin(roles)])
            if members:
                sets.append(GeneSet(f"{axis}.{side}", "axis", side, members))
    return sets


def rank_weights(counts: sparse.csr_matrix, max_rank: int) -> sparse.csr_matrix:
    """Turn counts into ``max_rank`` minus the gene's rank in its cell, or 0 below that rank.

    Parameters
    ----------
    counts
        Cells x genes, whole counts without stored zeros.
    max_rank
        Rank at which a gene's weight reaches 0.

    Returns
    -------
    scipy.sparse.csr_matrix
        Same shape, float32. The cell's highest gene has rank 1, ties share their mean rank, and
        genes without a count have no rank: as in pyUCell.
    """
    n_cells = counts.shape[0]
    whole = counts.data.astype(np.intp)
    distinct = np.flatnonzero(np.bincount(whole))
    codes = np.empty(whole.max(initial=0) + 1, dtype=np.intp)
    codes[distinct] = np.arange(len(distinct))
    codes = codes[whole]
    cell = np.repeat(np.arange(n_cells), np.diff(counts.indptr))
    cell_value = cell * len(distinct) + codes
    tied = np.bincount(cell_value, minlength=n_cells * len(distinct)).reshape(n_cells, -1)
    up_to = np.cumsum(tied[:, ::-1], axis=1)[:, ::-1]
    rank = (up_to - tied + (tied + 1) / 2).ravel()[cell_value]
    weights = sparse.csr_matrix(
        (np.maximum(max_rank - rank, 0).astype(np.float32), counts.indices, counts.indptr),
        shape=counts.shape,
    )
    weights.eliminate_zeros()
    return weights


def _at_hand(cells: ad.AnnData) -> ad.AnnData:
    """Read a small file into memory: unpacking it takes longer than ranking its cells."""
    if not cells.isbacked or 8 * cells.file["X/indices"].shape[0] > WHOLE_BYTES:
        return cells
    return cells.to_memory()


def _datasets(cells: ad.AnnData, ambient: pd.DataFrame) -> Iterator[_Dataset]:
    of_cell = cells.obs["dataset"].to_numpy(str)
    for name in np.unique(of_cell):
        columns = np.flatnonzero(cells.varm["measured"][name])
        rows, genes = np.flatnonzero(of_cell == name), cells.var_names[columns]
        lineages, lineage = np.unique(cells.obs["qc_lineage"].to_numpy(str)[rows], return_inverse=1)
        own = ambient[(ambient["dataset"] == name) & ambient["ambient"].astype(bool)]
        own = own[own["gene"].isin(genes) & own["lineage"].isin(lineages)]
        places = genes.get_indexer(own["gene"])
        without = np.zeros((len(lineages), len(genes)), dtype=bool)
        without[pd.Index(lineages).get_indexer(own["lineage"]), places] = True
        left_out = np.bincount(places, own["counts"].to_numpy(float), minlength=len(genes))
        yield _Dataset(name, rows, columns, genes, lineage, without, left_out)


def _chunks(cells: ad.AnnData, dataset: _Dataset) -> Iterator[tuple[np.ndarray, sparse.csr_matrix]]:
    """Hand out the dataset's counts some cells at a time, without those that are ambient.

    Rows that lie together are read as one slice.
    """
    for start in range(0, len(dataset.rows), READ_CELLS):
        rows = dataset.rows[start : start + READ_CELLS]
        together = rows[-1] - rows[0] + 1 == len(rows)
        read = cells.X[slice(rows[0], rows[-1] + 1) if together else rows]
        counts = as_counts(read[:, dataset.columns])
        lineage = dataset.lineage[start : start + READ_CELLS]
        cell = np.repeat(np.arange(len(rows)), np.diff(counts.indptr))
        gone = dataset.ambient[lineage[cell], counts.indices]
        if gone.any():
            counts = sparse.csr_matrix(
                (np.where(gone, 0, counts.data), counts.indices.copy(), counts.indptr.copy()),
                shape=counts.shape,
            )
            counts.eliminate_zeros()
        for first in range(0, len(rows), CHUNK_CELLS):
            part = slice(first, first + CHUNK_CELLS)
            yield rows[part], counts[part]


def _rank_limit(
    cells: ad.AnnData, dataset: _Dataset, scored: dict[str, pd.Index], max_rank: int
) -> int:
    """Return the median number of genes in a cell, at most `max_rank`, at least the largest set.

    With a limit far beyond the genes of a cell, only the number of genes that were seen would
    count, and poor cells would all score the same.
    """
    n_genes = np.concatenate(list(_genes_per_cell(cells, dataset)))
    largest = max(map(len, scored.values()), default=2)
    return max(largest, min(max_rank, int(np.median(n_genes))))


def _genes_per_cell(cells: ad.AnnData, dataset: _Dataset) -> Iterator[np.ndarray]:
    """Count the genes of the dataset in its cells; of a file, the counts themselves stay unread."""
    if cells.isbacked:
        ends, genes = (cells.file[f"X/{name}"] for name in ("indptr", "indices"))
    else:
        counts = sparse.csr_matrix(cells.X)
        ends, genes = counts.indptr, counts.indices
    measured = np.zeros(cells.n_vars, dtype=np.intp)
    measured[dataset.columns] = 1
    for start in range(0, len(dataset.rows), READ_CELLS):
        rows = dataset.rows[start : start + READ_CELLS]
        here = ends[rows[0] : rows[-1] + 2]
        counted = np.cumsum(measured[genes[here[0] : here[-1]]])
        yield np.diff(np.append(0, counted)[here - here[0]])[rows - rows[0]]


def _expression(cells: ad.AnnData, dataset: _Dataset, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum each gene's rank weight, and its counts, over the cells.

    The weight is what a gene adds to a score, so genes alike in it are alike to the score.
    """
    weight, held = np.zeros((2, len(dataset.genes)))
    for _, block in _chunks(cells, dataset):
        held += np.bincount(block.indices, block.data, minlength=len(held))
        ranked = rank_weights(block, limit)
        weight += np.bincount(ranked.indices, ranked.data, minlength=len(weight))
    return weight, held


def _score_dataset(
    cells: ad.AnnData,
    dataset: _Dataset,
    members: Members,
    limit: int,
    values: np.ndarray,
    places: np.ndarray,
) -> dict[str, dict[str, float]]:
    """Write scores (and z beside them) at `places` of `values`; return each set's averages."""
    best = members.sizes * limit - members.sizes * (members.sizes + 1) / 2
    totals = np.zeros((4, len(members.names)))
    for rows, block in _chunks(cells, dataset):
        weights = rank_weights(block, limit).T.toarray(order="C")
        own, mean, sd, as_good = sum_sets(weights, members)
        above = (as_good + 1) / (members.n_random + 1) <= ALPHA
        values[rows[:, None], places] = own / best
        values[rows[:, None], places + 1] = (own - mean) / np.where(sd > 0, sd, np.nan)
        totals += [part.sum(axis=0) for part in (own / best, mean / best, sd / best, above)]
    keys = ("score_mean", "null_mean", "null_sd", "share_above_null95")
    averages = (totals / len(dataset.rows)).T
    return {
        name: dict(zip(keys, row, strict=True)) | {"n_random": members.n_random}
        for name, row in zip(members.names, averages, strict=True)
    }


def _coverage(
    one: GeneSet, dataset: _Dataset, measured: pd.Index, held: np.ndarray
) -> dict[str, object]:
    """Say which genes of a set the dataset measures, and so whether the set is scored."""
    status = {0: "not_measured", 1: "single_gene"}.get(len(measured), "scored")
    places = dataset.genes.get_indexer(measured)
    left_out, kept = dataset.left_out[places].sum(), held[places].sum()
    total = left_out + kept
    return {
        "set": one.name,
        "kind": one.kind,
        "role": one.role,
        "dataset": dataset.name,
        "n_genes": len(one.genes),
        "n_measured": len(measured),
        "n_detected": int((held[places] > 0).sum()),
        "genes_missing": ";".join(gene for gene in one.genes if gene not in measured),
        "status": status,
        "ambient_share": left_out / total if total else np.nan,
    }
