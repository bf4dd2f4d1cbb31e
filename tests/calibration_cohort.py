"""Cohorts without a difference, or with a planted one: real cells drawn again, and simulated ones.

Every cohort has `mice` mice with a tumour and as many without, and of each a spleen and a marrow
library. In cohorts of drawn cells both tissues are the same cells, so that nothing differs between
conditions, nor between tissues, but the mice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import read_h5ad, read_table
from emhniche.power import load_study_run, with_mice
from emhniche.resources import load_signatures
from emhniche.simulate import draw_library, load_cell_model

ROOT = Path(__file__).resolve().parents[1]

CELLS = 300
"""Cells of a library."""

SHARES = {"B": 0.34, "T": 0.28, "neutrophil": 0.15, "NK": 0.13, "monocyte_macrophage": 0.10}
"""Mean shares of the kinds in a library of drawn cells; all but the first are enlarged."""

SHARE_SD = 0.35
"""Between libraries, of the natural log of a share."""

GENE_SD = {"mouse": 0.25, "library": 0.20, "kind": 0.15}
"""Of the natural log of a gene's level: what a mouse shares, a library, a kind of cell in it."""

DEPTH_SD = 0.3
"""Between libraries, of the natural log of the depth."""

CEILING = 2.0
"""Counts are thinned, so only levels below this many times the mean can be had, halved first."""

N_AXES, N_LIGANDS, N_OTHERS = 10, 4, 1200

CHANGED = {"unpaired": ("X0", "X1", "X2"), "paired": ("X3", "X4", "X5")}
"""Axes whose genes a planted cohort changes: in the spleen of tumour mice, or in every spleen."""

GROWN = {"unpaired": "NK", "paired": "neutrophil"}
"""Kinds of cells that grow in a planted cohort, likewise."""


@dataclass(frozen=True)
class Cohort:
    """What the stage is given, and what was changed in it.

    Attributes
    ----------
    cells, annotation
        As the stages before hand them over.
    panel, pairs
        Ten made-up axes of four ligands and a receptor, of genes that the cells hold.
    planted
        Contrast -> axes and kinds of cells that were changed in it.
    """

    cells: ad.AnnData
    annotation: pd.DataFrame
    panel: pd.DataFrame
    pairs: pd.DataFrame
    planted: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Pool:
    """Real cells to draw from: counts (cells x genes) and the lineage of each."""

    counts: sparse.csr_matrix
    genes: pd.Index
    lineage: np.ndarray


@cache
def signature_genes() -> frozenset[str]:
    """Return the mouse genes of all shipped signatures and responses."""
    table = load_signatures(ROOT / "resources" / "signatures.tsv", "mouse")
    named = {gene for genes in table["genes"] for gene in genes}
    responses = ROOT / "resources" / "responses.tsv"
    if responses.is_file():
        genes = read_table(responses).query("species == 'mouse'")["genes"].dropna()
        named |= {gene for text in genes for gene in text.split(";")}
    return frozenset(named)


@cache
def read_pool(run: Path) -> Pool:
    """Read the spleen of the Mouse Cell Atlas from a finished run of the public data."""
    cells = read_h5ad(run / "cells.h5ad")
    annotation = read_table(run / "annotate" / "annotation.parquet").set_index("cell_id")
    lineage = annotation["lineage"].reindex(cells.obs_names).astype(str)
    chosen = (cells.obs["dataset"] == "mca_spleen").to_numpy() & lineage.isin(SHARES).to_numpy()
    counts = sparse.csr_matrix(cells.X[chosen])
    kept = choose_genes(counts.mean(axis=0).A1, cells.var_names)
    columns = cells.var_names.get_indexer(kept)
    return Pool(counts[:, columns], kept, lineage.to_numpy()[chosen])


def choose_genes(mean: np.ndarray, names: pd.Index) -> pd.Index:
    """Keep the genes of signatures, and others that are spread evenly over expression."""
    seen = names[np.argsort(-mean, kind="stable")][: int((mean > 0).sum())]
    others = [gene for gene in seen if gene not in signature_genes()]
    places = np.unique(np.linspace(0, len(others) - 1, N_OTHERS).astype(int))
    kept = {others[place] for place in places} | (signature_genes() & set(seen))
    return pd.Index([gene for gene in names if gene in kept])


def choose_panel(mean: np.ndarray, names: pd.Index) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a panel of genes outside the signatures, between 0.1 and 5 counts a cell, and pairs."""
    usable = (mean > 0.1) & (mean < 5) & ~names.isin(signature_genes())
    order = names[usable][np.argsort(mean[usable], kind="stable")]
    number = N_AXES * (N_LIGANDS + 1)
    genes = order[np.linspace(0, len(order) - 1, number).astype(int)]
    axes = [f"X{i % N_AXES}" for i in range(number)]
    roles = np.where(np.arange(number) < N_AXES, "receptor", "ligand")
    # receptors are frequent genes, so that pairs can be scored
    panel = pd.DataFrame({"axis": axes, "role": roles, "tier": "core", "gene": genes[::-1]})
    panel["mouse_symbol"] = panel["gene"]
    receptor = panel[panel["role"] == "receptor"].set_index("axis")["gene"]
    pairs = panel[panel["role"] == "ligand"].rename(columns={"gene": "ligand"})
    pairs = pairs.assign(receptor=pairs["axis"].map(receptor), sign="agonist")
    pairs["coreceptor"] = [()] * len(pairs)
    return panel, pairs[["axis", "ligand", "receptor", "coreceptor", "sign"]].reset_index(drop=True)


def libraries(mice: int) -> list[dict[str, object]]:
    """Return the sample sheet: a spleen and a marrow of each mouse."""
    return [
        {
            **{"sample": f"{condition}{i}_{tissue}", "dataset": "d", "study": "A"},
            **{"tissue": tissue, "niche": niche, "donor": f"{condition}{i}", "donor_known": True},
            **{"condition": condition, "enrichment": "none", "chemistry": "10x", "sex": ""},
            **{"arm": arm, "batch": f"{condition}{i}_{tissue}"},
        }
        for condition, arm in (("tumour", "case"), ("naive", "reference"))
        for i in range(mice)
        for tissue, niche in (("spleen", "extramedullary"), ("bone marrow", "marrow"))
    ]


def drawn_cohort(run: Path, mice: int, seed: int, fold: float = 0.0) -> Cohort:
    """Draw real cells again, library by library.

    Parameters
    ----------
    run
        Finished run of the public data, whose spleen cells are drawn with replacement.
    mice
        Mice of each condition.
    seed
        Of the random numbers.
    fold
        Log2 fold change of the planted genes and kinds; 0 for none.

    Returns
    -------
    Cohort
        Libraries differ in depth, in the level of each gene (real counts are thinned, gene by
        gene) and in their shares of cells.
    """
    pool = read_pool(run)
    panel, pairs = choose_panel(pool.counts.mean(axis=0).A1, pool.genes)
    rng = np.random.default_rng([seed, mice, int(10 * fold)])
    of_mouse: dict[object, np.ndarray] = {}
    blocks, rows, kinds = [], [], []
    for sheet in libraries(mice):
        shift = of_mouse.setdefault(
            sheet["donor"], rng.normal(0, GENE_SD["mouse"], len(pool.genes))
        )
        shift = shift + rng.normal(0, GENE_SD["library"], len(pool.genes))
        change, grown = _planted(sheet, panel, pool.genes, fold)
        depth = np.exp(rng.normal(0, DEPTH_SD)) / CEILING
        shares = np.array([SHARES[kind] * grown.get(kind, 1.0) for kind in SHARES])
        shares *= np.exp(rng.normal(0, SHARE_SD, len(shares)))
        numbers = rng.multinomial(CELLS, shares / shares.sum())
        for kind, number in zip(SHARES, numbers, strict=True):
            own = rng.choice(np.flatnonzero(pool.lineage == kind), number)
            level = shift + rng.normal(0, GENE_SD["kind"], len(pool.genes))
            keep = np.minimum(depth * np.exp(level) * change, 1.0)
            block = pool.counts[own]
            block.data = rng.binomial(block.data.astype(int), keep[block.indices]).astype(float)
            blocks.append(block)
            rows += [sheet] * number
            kinds += [kind] * number
    matrix = sparse.vstack(blocks).tocsr().astype(np.float32)
    matrix.eliminate_zeros()
    planted = {name: [*CHANGED[name], GROWN[name]] for name in CHANGED} if fold else {}
    return _cohort(matrix, rows, kinds, pool.genes, panel, pairs, planted)


def _planted(
    sheet: Mapping[str, object], panel: pd.DataFrame, genes: pd.Index, fold: float
) -> tuple[np.ndarray, dict[str, float]]:
    """Return the factors of genes and of kinds of cells in a library.

    Counts can only be thinned: where a gene should be up, it is thinned everywhere else.
    """
    spleen = sheet["tissue"] == "spleen"
    here = {"unpaired": spleen and sheet["condition"] == "tumour", "paired": spleen}
    change, grown = np.ones(len(genes)), {}
    for name, axes in CHANGED.items():
        ligands = panel["axis"].isin(axes) & (panel["role"] == "ligand")
        if not here[name]:
            change[genes.isin(panel["gene"][ligands])] = 2.0**-fold
        elif fold:
            grown[GROWN[name]] = 2.0**fold
    return change, grown


@cache
def _study(mice: int):
    run = with_mice(load_study_run(ROOT / "config" / "config.yaml", ROOT), ROOT, mice)
    files = {name: run.study.settings[name] for name in ("profiles", "programmes", "cell_types")}
    files |= {name: run.config["resources"][name] for name in ("lineages", "signatures")}
    run.study.settings["cells_per_library"] = CELLS
    model = load_cell_model(**files)
    shares = model.cell_types["spleen"]
    mean = (model.rates * (shares * model.cell_types["counts"])).sum(axis=1) / shares.sum()
    genes = choose_genes(mean.to_numpy(), model.rates.index)
    panel, pairs = choose_panel(mean[genes].to_numpy(), genes)
    model = replace(model, rates=model.rates.loc[genes], dispersion=model.dispersion.loc[genes])
    return run, model, panel, pairs


def simulated_cohort(mice: int, seed: int) -> Cohort:
    """Draw the demo cohort with nothing planted, and take the true lineages of whole cells.

    Parameters
    ----------
    mice
        Mice of each condition.
    seed
        Of the random numbers.

    Returns
    -------
    Cohort
        Spleen and marrow differ here, conditions do not. Of the genes, those of signatures and
        others that are spread over expression are drawn, which makes up each cell.
    """
    run, model, panel, pairs = _study(mice)
    matrices, rows, kinds = [], [], []
    for library in run.study.rows(file=""):
        counts, table = draw_library(run.study, model, (), library, seed=seed)
        whole = (table["state"] == "cell").to_numpy()
        sheet = run.samples.loc[library["sample"]].to_dict() | {"sample": library["sample"]}
        matrices.append(counts[whole])
        rows += [sheet] * int(whole.sum())
        kinds += table["lineage"][whole].tolist()
    matrix = sparse.vstack(matrices).tocsr()
    return _cohort(matrix, rows, kinds, model.rates.index, panel, pairs, {})


def _cohort(
    matrix: sparse.csr_matrix,
    rows: Sequence[Mapping[str, object]],
    kinds: Sequence[str],
    genes: pd.Index,
    panel: pd.DataFrame,
    pairs: pd.DataFrame,
    planted: Mapping[str, Sequence[str]],
) -> Cohort:
    """Lay the cells out as `merge` and `annotate` do."""
    obs = pd.DataFrame(list(rows))
    obs.index = [f"{sample}:c{i}" for i, sample in enumerate(obs["sample"])]
    obs = obs.assign(n_counts=np.asarray(matrix.sum(axis=1)).ravel(), ambient=np.nan)
    cells = ad.AnnData(matrix, obs, pd.DataFrame(index=genes))
    soup = {
        sample: np.asarray(matrix[(obs["sample"] == sample).to_numpy()].sum(axis=0)).ravel()
        for sample in obs["sample"].unique()
    }
    datasets = sorted(obs["dataset"].unique())
    cells.varm["measured"] = pd.DataFrame(True, index=genes, columns=datasets)
    cells.varm["ambient"] = pd.DataFrame(soup, index=genes).pipe(lambda t: t / t.sum())
    annotation = pd.DataFrame({"cell_id": obs.index, "lineage": kinds, "cell_type": kinds})
    return Cohort(cells, annotation, panel, pairs, planted)
