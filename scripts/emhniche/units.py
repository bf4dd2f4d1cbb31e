"""What do the units of a contrast hold of each gene, in the cells of one type?

A unit is a donor in an arm, or a library whose donor is not known: the sums of its libraries. A
unit speaks for a gene only where all of its datasets measure the gene.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.audits import Audit
from emhniche.moderation import interval
from emhniche.pseudobulk import Pseudobulk, log_cpm, sum_rows

ARMS = (("test", True), ("reference", False))
"""Name of each arm in the tables, and its side in :attr:`emhniche.design.Audit.samples`."""


@dataclass(frozen=True)
class Units:
    """The units of a contrast that have enough cells of one type.

    Attributes
    ----------
    table
        Units, sorted: ``donor``, ``donor_known``, ``test``, the sheet's columns, ``n_cells``.
    counts
        Units x genes, summed raw counts.
    measured
        Units x genes, bool: all of the unit's datasets hold the gene.
    detected
        Units x panel genes: cells with a count.
    ambient
        Units x panel genes: counts in libraries where ambient RNA explains them.
    genes
        Columns of `counts`.
    """

    table: pd.DataFrame
    counts: sparse.csr_matrix
    measured: np.ndarray
    detected: pd.DataFrame
    ambient: pd.DataFrame
    genes: pd.Index

    def take(self, names: Sequence[str]) -> "Units":
        """Return some of the units, by name."""
        where = self.table.index.get_indexer(names)
        return Units(
            table=self.table.iloc[where],
            counts=self.counts[where],
            measured=self.measured[where],
            detected=self.detected.iloc[where],
            ambient=self.ambient.iloc[where],
            genes=self.genes,
        )

    def dense(self, genes: Sequence[str]) -> pd.DataFrame:
        """Return units x some genes."""
        columns = self.genes.get_indexer(genes)
        return pd.DataFrame(self.counts[:, columns].toarray(), self.table.index, list(genes))


def gather_units(
    bulk: Pseudobulk,
    audit: Audit,
    level: str,
    label: str,
    ambient: pd.DataFrame,
    *,
    min_cells: int,
) -> Units:
    """Sum the counts of one lineage or cell type by unit.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    audit
        The contrast, which says who its units are.
    level, label
        ``lineage`` or ``cell_type``, and the name.
    ambient
        Groups of `bulk` x panel genes, bool: ambient RNA explains the counts.
    min_cells
        Cells that a unit needs to be kept.

    Returns
    -------
    Units
        Possibly none.
    """
    chosen = (bulk.groups[level] == label) & bulk.groups["sample"].isin(audit.samples.index)
    groups = bulk.groups[chosen]
    unit = groups["sample"].map(audit.samples["unit"])
    cells = groups["n_cells"].groupby(unit).sum().sort_index()
    order = cells.index[cells >= min_cells]
    groups, unit = groups[unit.isin(order)], unit[unit.isin(order)]
    detected = bulk.detected.loc[groups.index]
    soup = bulk.dense(detected.columns).loc[groups.index].where(ambient.loc[groups.index], 0.0)
    dataset = bulk.samples["dataset"].astype(str)[groups["sample"]]
    measured = bulk.measured[dataset].T.groupby(unit.to_numpy()).all()
    return Units(
        table=audit.units.loc[order].assign(n_cells=cells[order]),
        counts=sum_rows(bulk.counts[groups.index], unit, order),
        measured=measured.reindex(order).to_numpy(dtype=bool),
        detected=detected.groupby(unit).sum().reindex(order),
        ambient=soup.groupby(unit).sum().reindex(order),
        genes=bulk.genes,
    )


def describe(units: Units, genes: Sequence[str]) -> pd.DataFrame:
    """Describe both arms gene by gene, from the units that measure it.

    Parameters
    ----------
    units
        Units of a contrast.
    genes
        Genes; those that no dataset measures get no units.

    Returns
    -------
    pandas.DataFrame
        Indexed by gene. For each arm: ``units``, ``cells``, ``counts`` (sums), ``detection``
        (share of cells with a count) and ``logcpm`` (means over units), ``expected`` (counts if
        the arms did not differ). ``effect`` is the difference of mean log2 CPM (see
        :func:`emhniche.pseudobulk.log_cpm`), ``ci_low`` and ``ci_high`` its 95 % t-interval where
        each arm has two known donors and no unknown one, ``ambient`` whether ambient RNA explains
        at least half of the counts, ``measured_by_all`` whether every unit measures the gene.
    """
    known = [gene for gene in genes if gene in units.detected]
    held = units.dense(known).to_numpy()
    speaks = units.measured[:, units.genes.get_indexer(known)]
    shared = units.measured.all(axis=0) if len(units.table) else units.measured.any(axis=0)
    totals = units.counts[:, np.flatnonzero(shared)].sum(axis=1).A1
    cells = units.table["n_cells"].to_numpy()[:, None]
    values = log_cpm(held, totals) if len(totals) else held
    detection = units.detected[known].to_numpy() / cells
    side = units.table["test"].to_numpy(dtype=bool)
    table, depth = pd.DataFrame(index=known), {}
    for arm, here in ARMS:
        counted = speaks & (side == here)[:, None]
        n_units = counted.sum(axis=0)
        table[f"units_{arm}"] = n_units
        table[f"cells_{arm}"] = np.where(n_units, (counted * cells).sum(axis=0), np.nan)
        table[f"counts_{arm}"] = np.where(n_units, (counted * held).sum(axis=0), np.nan)
        for name, numbers in (("detection", detection), ("logcpm", values)):
            total = np.where(counted, numbers, 0.0).sum(axis=0)
            table[f"{name}_{arm}"] = np.where(n_units, total / np.maximum(n_units, 1), np.nan)
        depth[arm] = (counted * totals[:, None]).sum(axis=0)
    both = table["counts_test"] + table["counts_reference"]
    for arm, _ in ARMS:
        table[f"expected_{arm}"] = both * depth[arm] / (depth["test"] + depth["reference"])
    table["effect"] = table["logcpm_test"] - table["logcpm_reference"]
    limits = [_interval(units, values[:, i], speaks[:, i]) for i in range(len(known))]
    table[["ci_low", "ci_high"]] = np.array(limits, dtype=float).reshape(-1, 2)
    table["ambient"] = (units.ambient[known].sum() >= 0.5 * both) & (both > 0)
    table["measured_by_all"] = speaks.all(axis=0)
    absent = {"units_test": 0, "units_reference": 0, "ambient": False, "measured_by_all": False}
    kinds = {name: type(value) for name, value in absent.items()}
    return table.reindex(genes).fillna(absent).astype(kinds)


def between(there: pd.DataFrame, elsewhere: pd.DataFrame) -> pd.DataFrame:
    """Describe an interaction: what two descriptions of the same genes differ by.

    Parameters
    ----------
    there, elsewhere
        As :func:`describe` returns them, at the second factor's test and reference level.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`describe`. Cells and counts are sums over both levels, units are the
        donors of the level that has fewer; detection and level of an arm are left empty, since they
        belong to a tissue; ``effect`` is the difference of the two effects, without an interval.
    """
    table = there.copy()
    for arm, _ in ARMS:
        for name in ("cells", "counts"):
            table[f"{name}_{arm}"] = there[f"{name}_{arm}"] + elsewhere[f"{name}_{arm}"]
        table[f"units_{arm}"] = np.minimum(there[f"units_{arm}"], elsewhere[f"units_{arm}"])
        table[[f"detection_{arm}", f"logcpm_{arm}"]] = np.nan
    table["effect"] = there["effect"] - elsewhere["effect"]
    table["ambient"] = there["ambient"] | elsewhere["ambient"]
    table["measured_by_all"] = there["measured_by_all"] & elsewhere["measured_by_all"]
    table[["ci_low", "ci_high"]] = np.nan
    return table


def _interval(units: Units, values: np.ndarray, speaks: np.ndarray) -> tuple[float, float]:
    """Return the interval of a difference of means; NaN where a unit is an unknown donor."""
    if not units.table["donor_known"].to_numpy(dtype=bool)[speaks].all():
        return np.nan, np.nan
    side = units.table["test"].to_numpy(dtype=bool)
    return interval(values[speaks & side], values[speaks & ~side])
