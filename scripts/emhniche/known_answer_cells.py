"""Known answers that are read off the cells: which group makes most of a gene, and the like.

Libraries are witnesses: a rule is asked of each of them, and a claim holds where enough of them
agree. No rule here is a test; there is no p-value.
"""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from emhniche.known_answer_evidence import (
    MIN_CELLS,
    MIN_COUNTS,
    Cannot,
    Evidence,
    set_genes,
)
from emhniche.known_answer_rows import Check
from emhniche.known_answer_settings import MIN_ORDERED
from emhniche.signature_genes import MIN_GENES

_BINS = 3
"""Bins of maturation in which two conditions are compared."""


def highest(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether the groups `top` hold most of each gene, library by library."""
    genes, top = check.many("genes"), check.many("top")
    evidence.require(genes)
    groups = evidence.groups(check)
    seen = {}
    for library in evidence.libraries:
        levels = evidence.logcpm(library, groups)
        if set(top) <= set(levels.index) and len(levels) > len(top):
            best = {gene: set(levels[gene].nlargest(len(top)).index) == set(top) for gene in genes}
            shown = levels.loc[top, genes].min() > 0
            seen[library] = all(best[gene] and shown[gene] for gene in genes)
    nothing = f"no library has {MIN_CELLS} cells of {' and of '.join(top)} beside other groups"
    return _tally(check, seen, nothing, f"{' and '.join(genes)} highest in {' and '.join(top)}")


def above(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether a group holds more of a gene than another, by so many doublings."""
    genes, group, other = check.many("genes"), check.one("group"), check.one("than")
    evidence.require(genes)
    groups = evidence.groups(check)
    gaps = {}
    for library in evidence.libraries:
        levels = evidence.logcpm(library, groups)
        if {group, other} <= set(levels.index):
            gaps[library] = (levels.loc[group, genes] - levels.loc[other, genes]).min()
    nothing = f"no library has {MIN_CELLS} cells of {group} and of {other}"
    seen = {name: gap >= check.number("log2") for name, gap in gaps.items()}
    least = f"{min(gaps.values(), default=0):.1f} doublings at least"
    return _tally(check, seen, nothing, f"{' and '.join(genes)} in {group} over {other}: {least}")


def detected(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether each group holds enough counts of each gene, in enough libraries."""
    genes, wanted = check.many("genes"), check.many("groups")
    evidence.require(genes)
    groups = evidence.groups(check)
    seen = {}
    for library in evidence.libraries:
        own = (evidence.obs["sample"].astype(str) == library).to_numpy()
        names = groups.to_numpy()[own]
        if all((names == group).sum() >= MIN_CELLS for group in wanted):
            counts = evidence.counts.loc[own, genes].groupby(names).sum().loc[wanted]
            seen[library] = bool((counts >= MIN_COUNTS).all(axis=None))
    nothing = f"no library has {MIN_CELLS} cells of {' and of '.join(wanted)}"
    needed = int(check.number("libraries"))
    if len(seen) < needed:
        raise Cannot(nothing if not seen else f"{len(seen)} such libraries, {needed} are needed")
    found = sum(seen.values())
    what = f"{MIN_COUNTS} counts of {' and of '.join(genes)} in {' and in '.join(wanted)}"
    return found >= needed, f"{what}: in {found} of {len(seen)} libraries"


def ordered(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether each gene follows the published order of groups (Spearman), in each library.

    The gene that follows it least answers for the library.
    """
    genes, order = check.many("genes"), check.many("order")
    evidence.require(genes)
    groups = evidence.groups(check)
    rising = "rho_at_least" in check.settings
    bound = check.number("rho_at_least" if rising else "rho_at_most")
    worst = min if rising else max
    rhos = {}
    for library in evidence.libraries:
        levels = evidence.logcpm(library, groups)
        held = [group for group in order if group in levels.index]
        if len(held) >= MIN_ORDERED:
            rhos[library] = worst(
                _spearman(range(len(held)), levels.loc[held, gene]) for gene in genes
            )
    seen = {name: rho >= bound if rising else rho <= bound for name, rho in rhos.items()}
    nothing = f"no library has {MIN_CELLS} cells of four of {', '.join(order)}"
    what = f"{' and '.join(genes)} along {' < '.join(order)}: rho {_span(rhos)}"
    return _tally(check, seen, nothing, what)


def matures(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether each gene rises with maturation, cell by cell, in each library.

    Maturation leaves the genes out that are asked about. A library says nothing where a correlation
    is within two standard errors of 0 and none is clearly below.
    """
    genes = check.many("genes")
    evidence.require(genes)
    evidence = evidence.only(check, "lineage")
    clear: dict[str, float] = {}
    rhos: dict[str, dict[str, float]] = {gene: {} for gene in genes}
    for library in evidence.libraries:
        own = evidence.where(evidence.obs["sample"].astype(str) == library)
        if len(own.obs) >= MIN_CELLS and (own.counts[genes].sum() >= MIN_COUNTS).all():
            maturation = _maturation(check, own)
            clear[library] = 2 / np.sqrt(len(own.obs) - 1)
            for gene in genes:
                share = own.counts[gene] / own.obs["n_counts"].astype(float)
                rhos[gene][library] = _spearman(maturation, share)
    lowest = {name: min(rhos[gene][name] for gene in genes) for name in clear}
    seen = {name: rho > 0 for name, rho in lowest.items() if abs(rho) > clear[name]}
    needed = f"{MIN_COUNTS} counts of {' and of '.join(genes)}"
    nothing = f"no library has {MIN_CELLS} such cells with {needed}, and a clear correlation"
    what = "; ".join(f"{gene}: rho {_span(rhos[gene])}" for gene in genes if rhos[gene])
    return _tally(check, seen, nothing, f"with maturation, {what}")


def rising(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether enough genes are higher in case than in reference cells of like maturation.

    A gene that is not measured may have risen or not: where it could decide, nothing is answered.
    """
    listed, needed = check.many("genes"), int(check.number("at_least"))
    genes = evidence.held(listed)
    if len(genes) < needed:
        raise Cannot(f"{len(genes)} of {len(listed)} genes are measured, {needed} are needed")
    evidence = evidence.only(check, "lineage", "tissue")
    arm = evidence.obs["arm"].astype(str)
    if not {"case", "reference"} <= set(arm):
        raise Cannot("it needs libraries of arm case and of arm reference")
    maturation = _maturation(check, evidence)
    edges = np.quantile(maturation, np.linspace(0, 1, _BINS + 1)[1:-1])
    place = np.searchsorted(edges, maturation)
    changes = []
    for one in range(_BINS):
        sides = [((place == one) & (arm == side)).to_numpy() for side in ("case", "reference")]
        if min(side.sum() for side in sides) >= MIN_CELLS:
            logs = []
            for side in sides:
                depth = evidence.obs["n_counts"].astype(float).to_numpy()[side].sum()
                logs.append(np.log2(1 + evidence.counts[genes][side].sum() / depth * 1e6))
            changes.append(logs[0] - logs[1])
    if not changes:
        raise Cannot(f"no bin of maturation has {MIN_CELLS} cells of both arms")
    up = int((pd.concat(changes, axis=1).mean(axis=1) > 0).sum())
    seen = f"{up} of {len(genes)} measured genes are up at like maturation, {needed} are needed"
    unknown = len(listed) - len(genes)
    if up < needed <= up + unknown:
        raise Cannot(f"{seen}, and {unknown} not measured could be up")
    return up >= needed, seen


def rare(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether a published group is next to absent in each library of the arm and tissue."""
    groups = evidence.groups(check)
    if check.one("group") not in set(groups):
        raise Cannot(f"no cell has the {check.one('by')} {check.one('group')}")
    here = evidence.only(check, "tissue", "arm")
    share = (groups[here.obs.index] == check.one("group")).groupby(here.obs["sample"].astype(str))
    shares = share.mean()[share.size() >= MIN_CELLS].to_dict()
    seen = {name: value < check.number("below") for name, value in shares.items()}
    what = f"{check.one('group')}: at most {max(shares.values(), default=0):.1%} of a library"
    return _tally(check, seen, f"no such library has {MIN_CELLS} cells", what)


def cycling(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether a lineage cycles more in one tissue than in another, in each matched donor."""
    here = evidence.only(check, "lineage")
    held = _set_genes(here, check.many("sets"))
    known = here.obs["donor_known"].astype(bool)
    donor = here.obs["donor"].astype(str)[known]
    keys = [donor, here.obs["tissue"].astype(str)[known]]
    depth = here.obs["n_counts"].astype(float)[known].groupby(keys)
    share = here.counts[held].sum(axis=1)[known].groupby(keys).sum() / depth.sum()
    share = (
        share[depth.size() >= MIN_CELLS]
        .unstack()
        .reindex(columns=[check.one("higher"), check.one("lower")])
    )
    gaps = (share.iloc[:, 0] - share.iloc[:, 1]).dropna()
    if gaps.empty:
        raise Cannot(f"no known donor has {MIN_CELLS} such cells of both tissues")
    what = f"transcripts of {' and '.join(check.many('sets'))} higher in {check.one('higher')}"
    return bool((gaps > 0).all()), f"{what} in {int((gaps > 0).sum())} of {len(gaps)} donors"


def exclusive(check: Check, evidence: Evidence) -> tuple[bool, str]:
    """Ask whether cells that hold one gene hold the other less often than chance."""
    genes, without = check.many("genes"), check.one("without")
    evidence.require([*genes, without])
    here = evidence.only(check, "lineage", "tissue")
    held = here.counts.loc[here.counts[without] == 0, genes] > 0
    if len(held) < MIN_CELLS or (held.sum() < MIN_COUNTS).any():
        raise Cannot(f"fewer than {MIN_COUNTS} cells hold {' or '.join(genes)}")
    one, other = (held[gene].to_numpy() for gene in genes)
    cells = [(one & other).sum(), (~one & ~other).sum(), (one & ~other).sum(), (~one & other).sum()]
    both, neither, first, second = (number + 0.5 for number in cells)
    odds = float(np.log(both * neither / (first * second)))
    return odds < 0, f"log odds of {' with '.join(genes)} {odds:.2f} in {len(held)} cells"


def _maturation(check: Check, evidence: Evidence) -> np.ndarray:
    """Return each cell's share of counts in late genes minus that in early ones, as ranks."""
    sides = []
    for side in ("late", "early"):
        kept = _set_genes(evidence, check.many(side), without=check.many("genes"))
        share = evidence.counts[kept].sum(axis=1) / evidence.obs["n_counts"].astype(float)
        sides.append(share.rank(pct=True).to_numpy())
    return sides[0] - sides[1]


def _set_genes(evidence: Evidence, names: list[str], without: Collection[str] = ()) -> list[str]:
    """Return the measured genes of some signatures; too few of them cannot stand for the sets."""
    listed = [gene for name in names for gene in set_genes(evidence.signatures, name)]
    held = evidence.held([gene for gene in listed if gene not in without])
    if len(held) < MIN_GENES:
        what = f"{len(held)} genes of {' and '.join(names)} can be used"
        raise Cannot(f"{what}, {MIN_GENES} are needed")
    return held


def _tally(check: Check, seen: Mapping[str, bool], nothing: str, what: str) -> tuple[bool, str]:
    """Say in how many libraries the rule holds; `nothing` where no library could be asked."""
    needed = int(check.number("libraries"))
    if len(seen) < needed:
        few = f"{len(seen)} of the libraries can be asked, {needed} are needed"
        raise Cannot(few if seen else nothing)
    found = sum(seen.values())
    share = float(check.settings.get("share", 1))
    return found >= share * len(seen), f"{what}; the rule holds in {found} of {len(seen)} libraries"


def _spearman(one: object, other: object) -> float:
    """Return Spearman's correlation, 0 where a side is constant."""
    if np.ptp(np.asarray(one, dtype=float)) == 0 or np.ptp(np.asarray(other, dtype=float)) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def _span(values: Mapping[str, float]) -> str:
    """Write the range of some correlations."""
    if not values:
        return "unknown"
    low, high = min(values.values()), max(values.values())
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"


CELL_KINDS = {
    "highest": highest,
    "above": above,
    "detected": detected,
    "ordered": ordered,
    "matures": matures,
    "rising": rising,
    "rare": rare,
    "cycling": cycling,
    "exclusive": exclusive,
}
