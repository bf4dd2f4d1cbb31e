"""Which expression profiles do the public files give, to simulate cells from?

Read from a finished run of the public data: kept cells with raw counts, published labels, the
pipeline's annotation. The datasets differ in three ways that would make false cell types, so each
profile is put together in steps:

1. Cells are taken by published labels where there are such, else by annotation (:data:`RECIPES`).
2. In the libraries of :data:`AMBIENT_DATASETS`, per group of cells, contamination times the soup
   is taken off and a gene that :mod:`emhniche.ambient` explains by ambient RNA becomes 0. Genes of
   :data:`RESTRICTED` are 0 outside the profiles that make them.
3. Rates are averaged over the main files, weighted by counts, each over those that measure the
   gene; a gene that none of them measures comes from the ``fill`` files of the same cell type, and
   is 0 only where no file of the cell type measures it (the log says which listed genes).
4. Mitochondrial, ribosomal and nuclear RNA depend on the technique more than on the cell. Each
   class gets the share of :data:`SHARES`, split among its genes as in the 10x file.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.ambient import explained_by_ambient
from emhniche.dispersion import dispersions
from emhniche.errors import InputError
from emhniche.profiles import PROFILES, SCALE
from emhniche.resources import load_lineages, load_panel, load_signatures

MIN_GROUP = 20
"""Fewer cells of one library and type do not inform on dispersion."""

MIN_COUNTS = 5000
"""Fewer counts of one library and type do not inform on its contamination."""

CONTINUUM = ("unresolved", "EryP", "MEP")
"""Annotated cell types whose cells differ by more than chance: they would inflate dispersions."""

AMBIENT_DATASETS = ("mca_spleen", "jaitin_spleen")
REFERENCE_10X = "matsushita_marrow"
"""The one 10x file: it says how mitochondrial and ribosomal counts split among genes."""

CLASSES = {
    "mitochondrial": r"mt-(?:Atp[68]|Co[123]|Cytb|Nd(?:[12356]|4l?))",
    "ribosomal": r"Rp(?:[sl]\d+[axl]?|lp[0-2]|sa)",
    "nuclear": r"Malat1",
}
SHARES = pd.DataFrame(
    {
        "mitochondrial": [3, 3, 2.5, 3, 3, 3, 4, 2, 5, 4.5, 4],
        "ribosomal": [22.7, 27.4, 18, 10.8, 18, 16, 11.2, 14.9, 16.4, 14.8, 12],
        "nuclear": [2, 2.5, 2.5, 0.8, 1.5, 1.5, 1.5, 1.5, 0.2, 0.5, 4.5],
    },
    index=PROFILES,
)
"""Percent of counts. Ribosomal: medians of the public run (MCA; Klein for erythroid, progenitor;
Matsushita for stroma). Mitochondrial: stroma 4 as in Matsushita; erythroid and progenitor as in
Klein (7.8, 5.6), lowered to what 10x files show; the others from memory of 10x files, since MCA has
1 % by its technique and Jaitin measures none. Nuclear (Malat1): stroma as in Matsushita, the others
from memory."""

RESTRICTED = {
    r"Ig[hkl](?:[a-z]\d?[a-z]?|[vdj]\d.*)?|Iglc\d|Jchain": ("B", "plasma"),
    r"Hb[ab]-.*|Hbq.*|Alas2|Car1": ("erythroid",),
    r"S100a[89]|Ngp|Camp|Ltf|Lcn2|Retnlg|Wfdc21|Stfa.*|BC100530": ("granulocyte", "monocyte"),
}
"""Genes that so few profiles make, and so much, that what others hold of them floats in."""

NOT_FEMALE = ("Ddx3y", "Eif2s3y", "Kdm5d", "Uty", "Usp9y")
_PROVISIONAL = r"Gm\d+|.*Rik\d?|.*-ps\d*|.*-rs\d*|.*[A-Z]{2}\d{5,}|mt-.*|ERCC.*|.*[_.].*"
_GENES = 4000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cells:
    """Cells of one dataset whose `column` of ``obs`` is one of `values`."""

    dataset: str
    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """Which cells give a base profile, and which the genes that those do not measure.

    A cell of `main` with more than two counts of `without` together is left out.
    """

    main: tuple[Cells, ...]
    fill: tuple[Cells, ...] = ()
    without: tuple[str, ...] = ()


def _mca(*names: str) -> Cells:
    return Cells("mca_spleen", "label", tuple(f"{name}(Spleen)" for name in names))


def _jaitin(*names: str) -> Cells:
    return Cells("jaitin_spleen", "cell_type", names)


def _klein(*names: str) -> Cells:
    return Cells("klein_marrow", "cell_type", names)


RECIPES = {
    "B": Recipe((_mca("Marginal zone B cell"),), (_jaitin("follicular_B"),)),
    "T": Recipe((_mca("T cell"),), (_jaitin("CD8_T"),)),
    "NK": Recipe((_mca("NK cell"),), (_jaitin("NK"),)),
    "plasma": Recipe((_mca("Plasma cell"), _jaitin("plasma"))),
    "DC": Recipe((_jaitin("cDC2"),)),
    "monocyte": Recipe((_mca("Monocyte"),), (_jaitin("ncMono"),)),
    "macrophage": Recipe((_mca("Macrophage"), _jaitin("RPM"))),
    "granulocyte": Recipe((_mca("Granulocyte", "Neutrophil"),)),
    "erythroid": Recipe((_klein("EryP"),), (_mca("Erythroblast"),)),
    "progenitor": Recipe((_klein("GMP"),), without=("Prss34", "Mcpt8", "Cpa3", "Ms4a2")),
    "stroma": Recipe((Cells("matsushita_marrow", "label", ("RE",)),)),
}


def build_profiles(
    cells: ad.AnnData, annotation: pd.DataFrame, *, listed: Sequence[str], named: Sequence[str]
) -> pd.DataFrame:
    """Compute the base profiles and dispersions.

    Parameters
    ----------
    cells
        ``cells.h5ad`` of a finished run of ``config/public.yaml``.
    annotation
        Its ``annotation.parquet``.
    listed
        Genes that the pipeline looks for (panel, signatures, lineages, pairs): they are kept where
        any dataset measures them.
    named
        Genes of ``programmes.tsv``: they are kept in any case.

    Returns
    -------
    pandas.DataFrame
        One row a gene, sorted: ``gene``, ``dispersion``, then a column a base profile with counts
        per 10,000. Every profile sums to 10,000 but for rounding to 4 digits.

    Raises
    ------
    InputError
        When the run lacks a dataset that a profile is made of.
    """
    lacking = {one.dataset for recipe in RECIPES.values() for one in recipe.main} - set(
        cells.obs["dataset"]
    )
    if lacking:
        raise InputError(
            f"cells.h5ad: no dataset {', '.join(sorted(lacking))}; give a run of config/public.yaml"
        )
    obs = cells.obs.join(annotation.set_index("cell_id"))
    obs = obs[(obs["arm"] != "inflammation_control") & obs["lineage"].notna()]
    cells = cells[obs.index]
    keep = _wanted(cells, obs)
    cells, obs = cells[keep], obs[keep]
    bulk = _groups(cells, obs)
    profiles = _pool(bulk, cells.varm["measured"])
    genes = _choose(profiles, cells.varm["measured"], listed=listed, named=named)
    profiles = profiles.reindex(genes)
    _report(profiles, listed, named)
    profiles = _with_classes(profiles.fillna(0.0), _reference(cells, obs))
    measured = cells.var_names.get_indexer(genes)
    spread = _dispersions(cells, obs, measured)
    profiles.insert(0, "dispersion", spread)
    return profiles.map(_four_digits).rename_axis("gene").reset_index()


def listed_genes(resources: Path) -> list[str]:
    """Return the mouse genes that the pipeline looks for: those of all gene tables."""
    panel = load_panel(resources / "panel.tsv", "mouse")
    sets = [
        load_signatures(resources / "signatures.tsv", "mouse"),
        load_lineages(resources / "lineages.tsv", "mouse"),
    ]
    genes = set(panel["gene"]).union(*(table["genes"].explode() for table in sets))
    # every gene of a ligand-receptor pair is in the panel
    return sorted(genes)


def _wanted(cells: ad.AnnData, obs: pd.DataFrame) -> np.ndarray:
    """Leave out the cells that carry the genes that their recipe does not want."""
    keep = np.ones(len(obs), dtype=bool)
    for recipe in RECIPES.values():
        for source in recipe.main if recipe.without else ():
            mine = (obs["dataset"] == source.dataset) & obs[source.column].isin(source.values)
            foreign = cells[:, list(recipe.without)].X.sum(axis=1)
            keep &= ~(mine.to_numpy() & (np.asarray(foreign).ravel() > 2))
    return keep


def _groups(cells: ad.AnnData, obs: pd.DataFrame) -> pd.DataFrame:
    """Sum counts by library, label and annotation; take ambient RNA off.

    Returns
    -------
    pandas.DataFrame
        Groups (``dataset``, ``sample``, ``label``, ``cell_type``) x genes, counts.
    """
    keys = ["dataset", "sample", "label", "cell_type"]
    code = obs[keys].astype(str).groupby(keys, sort=True).ngroup()
    names = obs[keys].astype(str).assign(code=code).drop_duplicates("code").sort_values("code")
    sums = np.vstack([_sum(cells.X[(code == one).to_numpy()]) for one in names["code"]])
    table = pd.DataFrame(sums, pd.MultiIndex.from_frame(names[keys]), cells.var_names)
    parts = []
    for (dataset, sample), part in table.groupby(["dataset", "sample"], sort=True):
        if dataset in AMBIENT_DATASETS:
            column = "label" if dataset == "mca_spleen" else "cell_type"
            part = _without_soup(part, column, cells.varm["ambient"][sample])
        parts.append(part)
    return pd.concat(parts)


def _without_soup(part: pd.DataFrame, column: str, soup: pd.Series) -> pd.DataFrame:
    """Take contamination times soup off each group of `column`, and what ambient RNA explains."""
    key = part.index.get_level_values(column)
    whole = part.groupby(key.to_numpy()).sum()
    whole = whole[(whole.sum(axis=1) >= MIN_COUNTS) & ~whole.index.isin(("", "unresolved"))]
    if len(whole) < 2:
        return part
    table = explained_by_ambient(whole, soup)
    flags = table.pivot(index="group", columns="gene", values="ambient")[part.columns]
    share = table.groupby("group")["contamination"].first().fillna(0.0)
    cleaned = part.copy()
    for group in whole.index:
        rows = key == group
        total = part[rows].sum(axis=1).to_numpy()[:, None]
        left = part[rows].to_numpy() - share[group] * total * soup[part.columns].to_numpy()
        # the groups of a label share its soup: a gene is taken off the label as a whole
        kept = np.maximum(left.sum(axis=0), 0) / np.maximum(part[rows].to_numpy().sum(axis=0), 1e-9)
        cleaned[rows] = part[rows].to_numpy() * np.where(flags.loc[group], 0, np.minimum(kept, 1))
    logger.info("%s: ambient share %s", part.index[0][1], share.round(2).to_dict())
    return cleaned


def _pool(bulk: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Average the rates of each recipe's cells: genes x profiles, NaN where not measured."""
    technical = _in_class(bulk.columns)
    columns = {}
    for name, recipe in RECIPES.items():
        rates = _mean_rate(bulk, measured, recipe.main, technical)
        filled = _mean_rate(bulk, measured, recipe.fill, technical)
        logger.info(
            "%s: %d genes from its main files, %d filled",
            *(name, rates.notna().sum(), (rates.isna() & filled.notna()).sum()),
        )
        columns[name] = rates.fillna(filled)
        columns[name][_foreign(bulk.columns, {name})] = 0.0
    return pd.DataFrame(columns)


def _mean_rate(
    bulk: pd.DataFrame, measured: pd.DataFrame, sources: tuple[Cells, ...], technical: np.ndarray
) -> pd.Series:
    """Return counts per count of genes of no class, over the sources that measure the gene."""
    counts = pd.Series(0.0, bulk.columns)
    totals = pd.Series(0.0, bulk.columns)
    for source in sources:
        index = bulk.index.to_frame()
        rows = (index["dataset"] == source.dataset) & index[source.column].isin(source.values)
        held = bulk[rows.to_numpy()].sum()
        counts += held
        totals += measured[source.dataset] * held[~technical].sum()
    return counts / totals.where(totals > 0)


def _choose(
    profiles: pd.DataFrame, measured: pd.DataFrame, *, listed: Sequence[str], named: Sequence[str]
) -> pd.Index:
    """Choose the genes: what is asked for, then the highest and the most variable."""
    known = profiles.index
    asked = known[known.isin(listed) & ~known.isin(NOT_FEMALE)].union(pd.Index(sorted(set(named))))
    asked = asked.union(
        known[known.str.fullmatch(r"Hb[ab]-(?:a[12]|b[st12])|Xist|Igkc|Igh[adm]|Ighg1")]
    )
    asked = asked.union(known[_in_class(known) & measured[REFERENCE_10X].to_numpy()])
    free = measured.sum(axis=1) >= len(measured.columns) - 1
    free &= ~known.str.fullmatch(_PROVISIONAL) & ~known.isin(NOT_FEMALE) & ~known.isin(asked)
    rates = profiles[free.to_numpy()].fillna(0.0) * SCALE
    room = max(_GENES - len(asked), 0)
    high = rates.max(axis=1).sort_values(ascending=False, kind="stable").index[: room // 2]
    # the square root of a count has about the same noise at every mean
    vary = np.sqrt(rates.drop(high)).var(axis=1).sort_values(ascending=False, kind="stable")
    return asked.union(high).union(vary.index[: room - len(high)]).sort_values()


def _reference(cells: ad.AnnData, obs: pd.DataFrame) -> pd.Series:
    """Return mean rates of the 10x file, each cell weighing the same."""
    counts = cells.X[(obs["dataset"] == REFERENCE_10X).to_numpy()].astype(float)
    rates = counts.multiply(1 / counts.sum(axis=1)).mean(axis=0)
    return pd.Series(np.asarray(rates).ravel(), cells.var_names)


def _with_classes(profiles: pd.DataFrame, reference: pd.Series) -> pd.DataFrame:
    """Give each class of technical genes its share, and let each profile sum to 10,000."""
    profiles = profiles.copy()
    technical = _in_class(profiles.index)
    rest = 1 - SHARES.sum(axis=1) / 100
    free = profiles[~technical]
    profiles[~technical] = free / free.sum() * rest[profiles.columns]
    for name, pattern in CLASSES.items():
        genes = profiles.index[profiles.index.str.fullmatch(pattern)]
        split = reference[genes] / reference[genes].sum()
        profiles.loc[genes] = np.outer(split, SHARES.loc[profiles.columns, name] / 100)
    return profiles * SCALE


def _dispersions(cells: ad.AnnData, obs: pd.DataFrame, columns: np.ndarray) -> np.ndarray:
    """Estimate the dispersion of each gene within cells of one library and type.

    Published labels count where a recipe uses them; cells without are alike by annotation.
    """
    present = columns >= 0
    used = {value for recipe in RECIPES.values() for cells in recipe.main for value in cells.values}
    groups = []
    for (_, label, cell_type), rows in obs.groupby(["sample", "label", "cell_type"], observed=True):
        alike = label in used if label else cell_type not in CONTINUUM
        if alike and len(rows) >= MIN_GROUP:
            held = cells.X[obs.index.get_indexer(rows.index)]
            own = ~_foreign(cells.var_names, _profiles_of(label or cell_type))
            groups.append(held @ sparse.diags_array(own.astype(np.float32)))
    found, own = dispersions(groups, columns[present])
    logger.info(
        "dispersion: %d groups, median weight of own counts %.2f", len(groups), np.median(own)
    )
    spread = np.full(len(columns), np.median(found))
    spread[present] = found
    return spread


def _report(profiles: pd.DataFrame, listed: Sequence[str], named: Sequence[str]) -> None:
    """Say which genes the profiles lack."""
    wanted = profiles.index.isin(listed) | profiles.index.isin(named)
    for name in profiles:
        lacking = profiles.index[profiles[name].isna() & wanted]
        if len(lacking):
            logger.warning(
                "%s: %d listed genes measured by no file of it, 0 unless a programme sets them: %s",
                *(name, len(lacking), ";".join(lacking)),
            )
    absent = sorted(set(listed) - set(profiles.index))
    logger.warning(
        "%d listed genes are in no dataset and left out: %s", len(absent), ";".join(absent)
    )


def _profiles_of(value: str) -> set[str]:
    """Return the profiles that cells of a label or annotation go into."""
    return {
        name
        for name, recipe in RECIPES.items()
        if any(value in cells.values for cells in recipe.main + recipe.fill)
    }


def _foreign(genes: pd.Index, profiles: set[str]) -> np.ndarray:
    """Say which genes float in where cells of `profiles` hold them (:data:`RESTRICTED`)."""
    foreign = np.zeros(len(genes), dtype=bool)
    for pattern, makers in RESTRICTED.items():
        if profiles.isdisjoint(makers):
            foreign |= genes.str.fullmatch(pattern)
    return foreign


def _in_class(genes: pd.Index) -> np.ndarray:
    return genes.str.fullmatch("|".join(CLASSES.values()))


def _sum(matrix: object) -> np.ndarray:
    return np.asarray(matrix.sum(axis=0), dtype=float).ravel()


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")
