"""Do more cells talk to each other over an axis in one arm than in the other?

The level of a ligand-receptor pair is the geometric mean of the ligand's level in the sender and of
the receptor's in the receiver, donor by donor. It is compared between the arms of a contrast on the
log scale, where what counting makes it vary is known and can be told from how donors vary. A donor
counts where it has enough cells of both lineages, however few transcripts they hold: leaving out
the donors in which a gene was not seen would hide the very difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from emhniche.audits import Audit, design_matrix, difference, split
from emhniche.frequency import compare_weighted
from emhniche.moderation import adjust, interval
from emhniche.pseudobulk import Pseudobulk

COLUMNS = (
    *("contrast", "ligand", "receptor", "axis", "sign", "sender", "receiver", "units_test"),
    *("units_reference", "level_test", "level_reference", "effect", "ci_low", "ci_high", "p", "q"),
    *("status", "ambient", "reason"),
)

_PRIOR_COUNTS = 0.5
_NUMBERS = ["level_test", "level_reference", "effect", "ci_low", "ci_high", "p"]


@dataclass(frozen=True)
class _Lineages:
    """What the lineages of each unit hold: units x lineages (x genes)."""

    units: pd.DataFrame
    names: list[str]
    genes: list[str]
    counts: np.ndarray
    soup: np.ndarray
    depth: np.ndarray
    cells: np.ndarray
    measured: np.ndarray

    def side(self, lineages: list[int], genes: list[int]) -> "_Side":
        """Return what some lineages hold of a gene each."""
        return _Side(self.counts[:, lineages, genes], np.maximum(self.depth[:, lineages], 1.0))


@dataclass(frozen=True)
class _Side:
    """One side of some pairs: counts and depth, units x pairs."""

    counts: np.ndarray
    depth: np.ndarray

    def take(self, rows: np.ndarray, columns: list[int]) -> "_Side":
        """Return some units and pairs."""
        return _Side(self.counts[rows][:, columns], self.depth[rows][:, columns])

    def logs(self) -> np.ndarray:
        """Return the natural log of the share of transcripts."""
        return np.log((self.counts + _PRIOR_COUNTS) / self.depth)

    def noise(self, matrix: np.ndarray) -> np.ndarray:
        """Return the variance that counting gives the log, from the counts that a design fits."""
        fitted = np.exp(matrix @ np.linalg.lstsq(matrix, self.logs(), rcond=None)[0])
        return 1 / (fitted * self.depth + _PRIOR_COUNTS)


def compare_pairs(
    bulk: Pseudobulk,
    pairs: pd.DataFrame,
    audits: Sequence[Audit],
    ambient: pd.DataFrame,
    *,
    min_cells: int,
    min_counts: int,
    min_units: int,
) -> pd.DataFrame:
    """Compare the levels of ligand-receptor pairs between the arms of every contrast.

    Parameters
    ----------
    bulk
        Counts summed by library and cell type.
    pairs
        ``axis``, ``ligand``, ``receptor``, ``coreceptor`` (tuple) and ``sign``, one row a pair.
    audits
        What each contrast allows.
    ambient
        Groups of `bulk` x panel genes: ambient RNA explains the lineage's counts (bool).
    min_cells
        Cells of both lineages that a unit needs.
    min_counts
        Counts that the sender needs of the ligand, and the receiver of each part of the receptor,
        over all units; half as many must be expected in each arm if the arms did not differ.
    min_units
        Known donors that each arm needs for a p-value.

    Returns
    -------
    pandas.DataFrame
        ``niche/ligand_receptor_contrasts.tsv``; ``docs/supply.md`` explains the columns. ``q`` is
        Benjamini-Hochberg over the tested rows of a contrast.
    """
    tables = [pd.DataFrame(columns=[*COLUMNS])]
    for audit in audits:
        if audit.verdict == "not_testable":
            continue
        held = _gather(bulk, pairs, audit, ambient)
        rows = _candidates(held, pairs, audit, min_cells, min_counts)
        table = _compare(held, rows, audit, min_cells=min_cells, min_units=min_units)
        table["q"] = adjust(table["p"].to_numpy(dtype=float))
        tables.append(table.assign(contrast=audit.name))
    table = pd.concat([part for part in tables if len(part)] or tables, ignore_index=True)
    table["ambient"] = table["ambient"].astype("boolean").fillna(False).astype(bool)
    for arm in ("test", "reference"):
        table[f"units_{arm}"] = table[f"units_{arm}"].astype("Int64")
    order = [*COLUMNS[: COLUMNS.index("receiver") + 1]]
    return table.sort_values(order, ignore_index=True, na_position="first")[[*COLUMNS]]


def _gather(
    bulk: Pseudobulk, pairs: pd.DataFrame, audit: Audit, ambient: pd.DataFrame
) -> _Lineages:
    """Sum the genes of the pairs by unit and lineage."""
    wanted = {*pairs["ligand"], *pairs["receptor"], *(x for c in pairs["coreceptor"] for x in c)}
    genes = [gene for gene in bulk.detected if gene in wanted]
    names = bulk.labels("lineage")
    chosen = bulk.groups["sample"].isin(audit.samples.index) & bulk.groups["lineage"].isin(names)
    groups = bulk.groups[chosen]
    unit = groups["sample"].map(audit.samples["unit"])
    order = sorted(set(unit))
    index = pd.MultiIndex.from_product([order, names])
    keys = [unit.to_numpy(), groups["lineage"].to_numpy()]
    counts = bulk.dense(genes).loc[groups.index]
    soup = counts.where(ambient.loc[groups.index, genes], 0.0)
    depth = pd.Series(bulk.counts[groups.index].sum(axis=1).A1, groups.index)
    dataset = bulk.samples["dataset"].astype(str)[groups["sample"]]
    measured = bulk.measured.loc[genes, dataset].T.groupby(unit.to_numpy()).all().loc[order]
    shape = (len(order), len(names), len(genes))

    def summed(table: pd.DataFrame | pd.Series, shape: tuple[int, ...]) -> np.ndarray:
        whole = table.groupby(keys).sum().reindex(index, fill_value=0)
        return whole.to_numpy(dtype=float).reshape(shape)

    return _Lineages(
        units=audit.units.loc[order],
        names=names,
        genes=genes,
        counts=summed(counts, shape),
        soup=summed(soup, shape),
        depth=summed(depth, shape[:2]),
        cells=summed(groups["n_cells"], shape[:2]),
        measured=measured.to_numpy(dtype=bool),
    )


def _candidates(
    held: _Lineages, pairs: pd.DataFrame, audit: Audit, min_cells: int, min_counts: int
) -> pd.DataFrame:
    """Return a row for each pair, sender and receiver that hold it, or one that says why none."""
    counted = (held.cells >= min_cells)[:, :, None] & held.measured[:, None, :]
    sums = np.where(counted, held.counts, 0.0).sum(axis=0)
    soup = np.where(counted, held.soup, 0.0).sum(axis=0)
    dirty = (soup >= 0.5 * sums) & (sums > 0)
    enough = (sums >= min_counts) & _expected(held, counted, min_counts)
    rows = []
    for pair in pairs.itertuples():
        parts = [pair.receptor, *pair.coreceptor]
        names = {name: getattr(pair, name) for name in ("ligand", "receptor", "axis", "sign")}
        names |= {"genes": (pair.ligand, *parts)}
        absent = _unmeasured(held, names["genes"], audit)
        if absent:
            rows.append({**names, "reason": absent})
            continue
        place = [held.genes.index(gene) for gene in (pair.ligand, *parts)]
        senders = np.flatnonzero(enough[:, place[0]])
        receivers = np.flatnonzero(enough[:, place[1:]].all(axis=1))
        for sender, receiver in product(senders, receivers):
            soiled = dirty[sender, place[0]] or dirty[receiver, place[1:]].any()
            where = {"sender": held.names[sender], "receiver": held.names[receiver]}
            rows.append({**names, **where, "ambient": bool(soiled), "reason": ""})
        if not len(senders) or not len(receivers):
            lost = pair.ligand if not len(senders) else " and ".join(parts)
            because = f"no lineage holds {min_counts} counts of {lost}, half of them expected"
            rows.append({**names, "reason": f"{because} in each arm"})
    columns = ["ligand", "receptor", "axis", "sign", "genes", "sender", "receiver", "ambient"]
    return pd.DataFrame(rows, columns=[*columns, "reason"])


def _unmeasured(held: _Lineages, genes: tuple[str, ...], audit: Audit) -> str:
    """Say which genes of a pair no dataset measures, at all or in a group of units, if so."""

    def lacking(here: np.ndarray) -> list[str]:
        seen = held.measured[here].any(axis=0)
        return [gene for gene in genes if gene not in held.genes or not seen[place[gene]]]

    place = {gene: number for number, gene in enumerate(held.genes)}
    absent = lacking(np.ones(len(held.units), dtype=bool))
    if absent:
        return f"no dataset measures {', '.join(absent)}"
    every = held.measured[:, [place[gene] for gene in genes]].all(axis=1)
    for name, here in zip(audit.groups, split(held.units), strict=True):
        if here.any() and not every[here].any():
            absent = lacking(here) or ["all genes of the pair"]
            return f"no {name} dataset measures {', '.join(absent)}"
    return ""


def _expected(held: _Lineages, counted: np.ndarray, min_counts: int) -> np.ndarray:
    """Tell the lineages x genes that each group should have counts of, if the arms were alike.

    `counted` says which units x lineages x genes have enough cells, and measure the gene.
    """
    depth = np.where(counted, held.depth[:, :, None], 0.0)
    sums = np.where(counted, held.counts, 0.0).sum(axis=0)
    whole = np.maximum(depth.sum(axis=0), 1)
    least = np.min([depth[here].sum(axis=0) / whole for here in split(held.units)], axis=0)
    return sums * least >= min_counts / 2


def _sides(held: _Lineages, rows: pd.DataFrame, here: np.ndarray) -> tuple[_Side, _Side]:
    """Return ligands in senders, and in receivers the part of each receptor seen least.

    Of the units `here`: others may not measure a part, or have few cells.
    """
    senders, ligands, receivers, parts = [], [], [], []
    total = held.counts[here].sum(axis=0)
    for row in rows.itertuples():
        place = [held.genes.index(gene) for gene in row.genes]
        receiver = held.names.index(row.receiver)
        senders.append(held.names.index(row.sender))
        ligands.append(place[0])
        receivers.append(receiver)
        parts.append(min(place[1:], key=lambda gene: total[receiver, gene]))
    every = [*range(len(rows))]
    both = held.side(senders, ligands), held.side(receivers, parts)
    return both[0].take(here, every), both[1].take(here, every)


def _compare(
    held: _Lineages,
    rows: pd.DataFrame,
    audit: Audit,
    *,
    min_cells: int,
    min_units: int,
) -> pd.DataFrame:
    """Test the rows, those of the same units together, so that they share their variances."""
    table = rows.assign(status="not_testable", units_test=np.nan, units_reference=np.nan)
    table[_NUMBERS] = np.nan
    because = "" if audit.verdict == "tested" else audit.reason.split(":")[0].split(";")[0]
    sets: dict[tuple[bool, ...], list[int]] = {}
    for position, row in enumerate(rows.itertuples()):
        if row.reason:
            continue
        both = [held.names.index(row.sender), held.names.index(row.receiver)]
        present = (held.cells[:, both] >= min_cells).all(axis=1)
        genes = [held.genes.index(gene) for gene in row.genes]
        present &= held.measured[:, genes].all(axis=1)
        if row.ambient:
            table.loc[position, "reason"] = (
                "RNA of other lineages (ambient or in doublets) explains half of one side or more"
            )
        else:
            sets.setdefault(tuple(present), []).append(position)
    for present, places in sets.items():
        here = np.array(present)
        sides = _sides(held, rows.loc[places], here)
        found = _test(held.units[here], *sides, audit, min_units, min_cells)
        found["reason"] = found["reason"].where(found["reason"] != "", because)
        genes = [[held.genes.index(gene) for gene in rows.at[place, "genes"]] for place in places]
        unread = np.array([not held.measured[:, pair].all() for pair in genes])
        lost = unread & (found["status"] == "not_testable")
        whose = found["reason"].str.replace(" has ", " measures the pair and has ")
        found["reason"] = found["reason"].where(~lost, whose)
        table.loc[places, found.columns] = found.set_axis(places)
    return table


def _test(
    units: pd.DataFrame,
    ligand: _Side,
    receptor: _Side,
    audit: Audit,
    min_units: int,
    min_cells: int,
) -> pd.DataFrame:
    """Return the columns of rows that rest on the same units."""
    values = (ligand.logs() + receptor.logs()) / 2
    found = pd.DataFrame(index=range(values.shape[1]), columns=_NUMBERS, dtype=float)
    found["status"], found["reason"] = audit.verdict, ""
    matrix = None
    if audit.verdict == "tested":
        matrix, why_not = design_matrix(units, audit.blocks, min_units=min_units)
        if matrix is None:
            found["status"], found["reason"] = "effect_only", why_not
        else:
            where = units.index.get_indexer(matrix.index)
            units, values = units.iloc[where], values[where]
            every = [*range(values.shape[1])]
            ligand, receptor = ligand.take(where, every), receptor.take(where, every)
    groups = split(units)
    side = units["test"].to_numpy(dtype=bool)
    for arm, here in (("test", side), ("reference", ~side)):
        found[f"units_{arm}"] = units.loc[here, "donor"].nunique()
        if here.any() and not audit.within:
            found[f"level_{arm}"] = (values[here].mean(axis=0) + np.log(1e6)) / np.log(2)
    absent = [name for name, here in zip(audit.groups, groups, strict=True) if not here.any()]
    if absent:
        found["status"] = "not_testable"
        found["reason"] = f"no {absent[0]} donor or library has {min_cells} cells of both lineages"
        return found
    found["effect"] = difference(values, units) / np.log(2)
    if matrix is not None:
        design = matrix.to_numpy()
        noise = (ligand.noise(design) + receptor.noise(design)) / 4
        tested = compare_weighted(values, noise, design)
        numbers = np.column_stack([tested.effect, tested.low, tested.high, tested.p])
        found[["effect", "ci_low", "ci_high", "p"]] = numbers
    elif audit.verdict != "not_identifiable" and units["donor_known"].all():
        logs = values / np.log(2)
        spans = [interval(*(column[here] for here in groups)) for column in logs.T]
        found[["ci_low", "ci_high"]] = np.array(spans).reshape(-1, 2)
    return found
