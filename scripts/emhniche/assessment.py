"""What do the cells of one lineage say of one signature?

Scores, residuals and the share of cells above the naive range in each donor, whatever the design;
and where the arms can be compared, the tests between them. Whether cells are then called is
decided in `emhniche.verdict`, once the gates of the whole run are adjusted together.
"""

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from emhniche.errors import InputError
from emhniche.gate import (
    CELL_Q,
    RANDOM_QUANTILE,
    GateTest,
    donor_gate,
    draw_sets,
    excess_fraction,
    matched_genes,
    naive_threshold,
    set_effects,
    set_membership,
)
from emhniche.lineage_cells import LineageCells, build_covariates, maturation_refusal
from emhniche.residual import Covariate, held_out_residuals
from emhniche.signature_genes import (
    INFLAMED,
    MIN_GENES,
    SignatureGenes,
    inflammation_change,
    select_genes,
)
from emhniche.witnesses import (
    CASE,
    CONTROL,
    REFERENCE,
    Refusal,
    design_refusals,
    design_warnings,
    donor_table,
)

MIN_SUPPORTED = 0.5
"""Share of case cells that must lie within the reference's maturation."""

MIN_CANDIDATES = 10
"""Genes of similar expression needed to draw random sets from."""

CELL_FOLDS = 5
"""Folds of cells where one reference donor is all there is."""


@dataclass(frozen=True)
class Settings:
    """Settings of :func:`emhniche.myeloid.call_pathological` that reach the assessment."""

    q: float
    mode: str
    n_random: int
    min_cells: int
    min_donors: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse settings that cannot be used."""
        for name, good, wanted in (
            ("q", 0 < self.q < 1, "a number between 0 and 1"),
            ("mode", self.mode in CELL_Q, " or ".join(CELL_Q)),
            ("n_random", self.n_random >= 20, "at least 20"),
            ("min_cells", self.min_cells >= 2, "at least 2"),
            ("min_donors", self.min_donors >= 2, "at least 2"),
        ):
            if not good:
                value = getattr(self, name)
                raise InputError(f"{name}: {value} cannot be used; it would be {wanted}")


@dataclass
class Assessment:
    """What one lineage says of one signature before the gates are adjusted together.

    Attributes
    ----------
    cells
        Indexed by cell id: ``donor``, ``role``, ``maturation``, ``score``, ``residual``,
        ``standing``, ``supported``. Standing is the residual, but lowest of all where the cell
        holds no transcript of the signature: with covariates beyond the reference's the regression
        can put such a cell high, but the cell cannot be said to make the signature.
    donors
        As :func:`emhniche.witnesses.donor_table`, with ``supported`` and ``exceedance``.
    genes
        Fate of the signature's genes.
    fit
        What rates and regression were learned on: ``leave_one_donor_out``, ``one_reference_donor``,
        ``fitted_on_all`` or empty where nothing was learned.
    refusals
        Why no call can be made; empty where the gate was tested.
    warnings
        What weakens a comparison that was made.
    test, control
        Case donors against reference donors, and against inflamed ones.
    enriched
        Whether cells were sorted, so that shares of cells say nothing of the tissue.
    inflammation_unmeasured
        Genes too rare to say whether they rise in the inflammation control.
    facts
        Further figures of the gate table.
    """

    cells: pd.DataFrame
    donors: pd.DataFrame
    genes: SignatureGenes
    fit: str = ""
    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    test: GateTest | None = None
    control: GateTest | None = None
    enriched: bool = False
    inflammation_unmeasured: list[str] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)


def assess(
    cells: LineageCells,
    signature: Sequence[str],
    covariates: Mapping[str, Sequence[str]],
    stages: Mapping[str, int],
    settings: Settings,
    *,
    inflamed: Collection[str] = (),
    set_aside: Collection[str] = (),
    elsewhere: Refusal | None = None,
) -> Assessment:
    """Score the cells of a lineage and, where the design allows it, test the donors.

    Parameters
    ----------
    cells
        Cells of one lineage in one tissue.
    signature
        Positive genes of the signature.
    covariates
        Measured genes of the maturation sets and confounders.
    stages
        Which of those sets are early (-1) or late (1).
    settings
        Levels and limits.
    inflamed
        Genes known to rise in inflammation alone.
    set_aside
        Further genes that random sets may not hold (the signature's negative genes).
    elsewhere
        See :func:`emhniche.witnesses.design_refusals`.

    Returns
    -------
    Assessment
        Complete in every case; ``refusals`` says what is missing.
    """
    donors = donor_table(cells.obs["donor"], cells.obs["arm"], min_cells=settings.min_cells)
    role = _roles(cells.obs, donors)
    taken = {gene for genes in covariates.values() for gene in genes}
    rising, unmeasurable = _inflamed_genes(cells, signature, taken, role, inflamed)
    genes = select_genes(
        signature, cells_with_gene=cells.cells_with_gene, covariates=taken, inflamed=rising
    )
    result = Assessment(_empty_cells(cells.obs, role), donors, genes)
    result.inflammation_unmeasured = unmeasurable
    result.enriched = _is_enriched(cells.obs)
    result.refusals = _score_refusals(cells, genes, covariates, stages, settings)
    if not result.refusals or (result.refusals[0].code == "too_few_genes" and genes.used):
        built = build_covariates(cells, covariates, stages)
        _score(result, cells, built)
        _refuse_unsupported(result)
        _exceed(result, settings)
    result.refusals += design_refusals(
        donors, cells.obs, min_donors=settings.min_donors, elsewhere=elsewhere
    )
    if not result.refusals:
        candidates = matched_genes(cells.rates, genes.used, taken | set(signature) | set(set_aside))
        if len(candidates[0]) < MIN_CANDIDATES:
            result.refusals.append(_random_refusal(len(candidates[0])))
            return result
        _test_donors(result, settings)
        _test_sign(result, cells, built, candidates, settings)
    return result


def calibration_folds(cells: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Choose what rates and regression are learned on.

    Parameters
    ----------
    cells
        Indexed by cell id: ``donor`` and ``role``.

    Returns
    -------
    fold : numpy.ndarray
        As :func:`emhniche.residual.held_out_residuals` takes it: the donors of the reference arm;
        with one such donor, fifths of its cells; with none, all cells as one fold.
    fit : str
        Name of the choice.
    """
    reference = (cells["role"] == REFERENCE).to_numpy()
    donors = sorted(set(cells.loc[reference, "donor"]))
    if not donors:
        return np.zeros(len(cells), dtype=int), "fitted_on_all"
    if len(donors) == 1:
        part = [zlib.crc32(str(name).encode()) % CELL_FOLDS for name in cells.index]
        return np.where(reference, part, -1), "one_reference_donor"
    code = {name: i for i, name in enumerate(donors)}
    fold = [code.get(name, -1) for name in cells["donor"]]
    return np.where(reference, fold, -1), "leave_one_donor_out"


def _roles(obs: pd.DataFrame, donors: pd.DataFrame) -> pd.Series:
    """Return the part of each cell: its donor's, where the cell bears the donor's arm."""
    role = obs["donor"].map(donors["role"]).astype(object)
    return role.where(role == obs["arm"], "")


def _is_enriched(obs: pd.DataFrame) -> bool:
    return "enrichment" in obs and bool((~obs["enrichment"].isin(["", "none"])).any())


def _empty_cells(obs: pd.DataFrame, role: pd.Series) -> pd.DataFrame:
    table = pd.DataFrame({"donor": obs["donor"].astype(object), "role": role}, index=obs.index)
    unscored = dict.fromkeys(("maturation", "score", "residual", "standing"), np.nan)
    return table.assign(**unscored, supported=False)


def _inflamed_genes(
    cells: LineageCells,
    signature: Sequence[str],
    covariates: Collection[str],
    role: pd.Series,
    known: Collection[str],
) -> tuple[set[str], list[str]]:
    """Return the genes that rise in the inflammation control, and those too rare to tell."""
    genes = [g for g in signature if g in cells.genes and g not in covariates]
    rows = np.flatnonzero(role.isin([CONTROL, REFERENCE]))
    control = (role == CONTROL).to_numpy()[rows]
    if not control.any() or control.all():
        return set(known), []
    donor = cells.obs["donor"].to_numpy()[rows]
    change = inflammation_change(cells.of(genes, rows), cells.depth[rows], donor, control)
    rising = {g for g, value in zip(genes, change, strict=True) if value > INFLAMED}
    return rising | set(known), [g for g, v in zip(genes, change, strict=True) if np.isnan(v)]


def _score_refusals(
    cells: LineageCells,
    genes: SignatureGenes,
    covariates: Mapping[str, Sequence[str]],
    stages: Mapping[str, int],
    settings: Settings,
) -> list[Refusal]:
    """Say why the cells cannot be scored at all, or not by enough genes."""
    count = len(cells.obs)
    if count < settings.min_cells:
        sentence = f"{count} cells of the lineage, at least {settings.min_cells} are needed."
        return [Refusal("too_few_cells", sentence)]
    refusal = maturation_refusal(covariates, stages)
    if refusal:
        return [refusal]
    if len(genes.used) >= MIN_GENES:
        return []
    lost = {
        "not measured": genes.not_measured,
        "not seen": genes.not_detected,
        "part of the adjustment": genes.in_covariates,
        "inflamed": genes.inflamed,
    }
    why = "".join(f"; {word}: {', '.join(names)}" for word, names in lost.items() if names)
    return [
        Refusal(
            "too_few_genes",
            f"{len(genes.used)} genes of the signature can be used, at least {MIN_GENES} are "
            f"needed{why}.",
        )
    ]


def _score(result: Assessment, cells: LineageCells, covariates: list[Covariate]) -> None:
    """Fill in score, maturation, residual and support of every cell."""
    fold, result.fit = calibration_folds(result.cells)
    counts = cells.of(result.genes.used)
    scored = held_out_residuals(counts, covariates, cells.depth, fold)
    for column in ("score", "maturation", "residual", "supported"):
        result.cells[column] = getattr(scored, column)
    result.cells["standing"] = np.where(counts.any(axis=1), scored.residual, -np.inf)


def _exceed(result: Assessment, settings: Settings) -> None:
    """Fill in each donor's share of supported cells above the naive range."""
    cells, donors = result.cells, result.donors
    supported = cells[cells["supported"]]
    donors["supported"] = supported.groupby("donor").size().reindex(donors.index, fill_value=0)
    donors["exceedance"] = np.nan
    naive = supported[supported["role"] == REFERENCE]
    if result.fit == "fitted_on_all" or naive.empty:
        return
    threshold = naive_threshold(naive["residual"].to_numpy(), naive["donor"].to_numpy(dtype=str))
    result.facts["naive_limit"] = threshold
    above = (supported["standing"] > threshold).groupby(supported["donor"]).mean()
    donors["exceedance"] = above.reindex(donors.index)
    thin = (donors["role"] != "") & (donors["supported"] < settings.min_cells / 2)
    donors.loc[thin, "reason"] = "too few cells within the reference's maturation"
    donors.loc[thin, "role"] = ""
    cells.loc[cells["donor"].isin(donors.index[thin]), "role"] = ""


def _refuse_unsupported(result: Assessment) -> None:
    """Refuse cases that are mostly less or more mature than any reference cell."""
    case = result.cells[result.cells["role"] == CASE]
    if result.fit == "fitted_on_all" or case.empty:
        return
    share = case["supported"].mean()
    if share < MIN_SUPPORTED:
        result.refusals.append(
            Refusal(
                "case_unsupported",
                f"{100 * (1 - share):.0f} % of the case cells lie outside the maturation of the "
                "reference cells, so nothing says how they would score if healthy.",
            )
        )


def _random_refusal(count: int) -> Refusal:
    return Refusal(
        "no_random_sets",
        f"{count} measured genes are left to draw random sets from, at least {MIN_CANDIDATES} are "
        "needed to see what a set of no meaning would show.",
    )


def _test_donors(result: Assessment, settings: Settings) -> None:
    """Test case donors against reference donors and, where there are enough, inflamed ones."""
    donors = result.donors
    shares = {
        arm: donors.loc[donors["role"] == arm, "exceedance"].to_numpy()
        for arm in (REFERENCE, CONTROL, CASE)
    }
    result.test = donor_gate(shares[CASE], shares[REFERENCE], seed=settings.seed)
    result.warnings = design_warnings(donors)
    if len(shares[CONTROL]) >= settings.min_donors:
        result.control = donor_gate(shares[CASE], shares[CONTROL], seed=settings.seed)
    else:
        result.warnings.append(
            f"{len(shares[CONTROL])} inflammation-control donors, {settings.min_donors} needed to "
            "tell a tumour from inflammation"
        )
    if result.enriched:
        result.warnings.append("cells were sorted, so the excess fraction is left out")
        return
    names = ("excess", "excess_low", "excess_high")
    excess = excess_fraction(shares[CASE], shares[REFERENCE], seed=settings.seed)
    result.facts |= dict(zip(names, excess, strict=True))


def _test_sign(
    result: Assessment,
    cells: LineageCells,
    covariates: list[Covariate],
    candidates: list[list[str]],
    settings: Settings,
) -> None:
    """Compare the effect with that of random sets of the same expression."""
    rows = np.flatnonzero(result.cells["role"].isin([REFERENCE, CASE]) & result.cells["supported"])
    sets = [list(result.genes.used), *draw_sets(candidates, settings.n_random, settings.seed)]
    pool, membership = set_membership(sets)
    chosen_cells = result.cells.iloc[rows]
    effects = set_effects(
        cells.of(pool, rows),
        membership,
        [Covariate(c.name, c.counts[rows], c.stage) for c in covariates],
        cells.depth[rows],
        pd.factorize(chosen_cells["donor"], sort=True)[0],
        (chosen_cells["role"] == REFERENCE).to_numpy(),
    )
    result.facts["sign_effect"] = float(effects[0])
    result.facts["random_low"] = float(np.quantile(effects[1:], 1 - RANDOM_QUANTILE))
    result.facts["random_high"] = float(np.quantile(effects[1:], RANDOM_QUANTILE))
