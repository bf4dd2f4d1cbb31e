"""What does each test of the stage say of a cohort, and what would cells say?

One small function a test: a cohort goes in, p-values come out, one row a gene, set or kind of
cells, with what a test that takes cells for witnesses gives for the same row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

import numpy as np
import pandas as pd
from scipy import stats

from calibration_cohort import ROOT, Cohort
from emhniche.ambient_genes import COLUMNS
from emhniche.composition import compare_composition
from emhniche.contrast import compare_expression
from emhniche.design import audit_composition, audit_contrast
from emhniche.pseudobulk import LEVELS, sum_cells
from emhniche.resources import load_panel, load_signatures
from emhniche.score import score_cells

MIN_UNITS = {"min_units": 3}
LIMITS = {"min_cells": 20, "min_counts": 10, **MIN_UNITS}
_TUMOUR = {"factor": "condition", "test": "tumour", "reference": "naive"}
_NICHE = {"factor": "niche", "test": "extramedullary", "reference": "marrow"}
CONTRASTS = {
    "unpaired": {**_TUMOUR, "subset": {"tissue": "spleen"}},
    "paired": {**_NICHE, "subset": {"condition": "naive"}},
    "interaction": {**_TUMOUR, "interaction": _NICHE},
}
"""Tumour against naive mice in spleen; spleen against marrow of naive mice; and whether the tumour
changes the spleen more than the marrow."""

KINDS = ("B", "T")
"""Kinds of cells in which genes are tested, one a cohort in turn."""

N_BACKGROUND = 80
"""Genes beside the tested ones, from which it is learned how mice vary."""

N_RANDOM = 20
"""Random sets of each score: scores do not hang on their number."""


@dataclass(frozen=True)
class Laid:
    """A cohort with its sums and audits.

    Attributes
    ----------
    cohort
        The cohort.
    seed
        Of the cohort.
    contrasts
        Those of :data:`CONTRASTS` that are looked at.
    """

    cohort: Cohort
    seed: int
    contrasts: tuple[str, ...]

    @cached_property
    def bulk(self):
        """Sums over libraries and kinds, of which all genes are looked at."""
        cells = self.cohort.cells
        return sum_cells(cells, self.cohort.annotation, cells.var_names)

    @cached_property
    def audits(self) -> list:
        """One audit a contrast."""
        wanted = [{"name": name, **CONTRASTS[name]} for name in self.contrasts]
        return [audit_contrast(self.bulk.samples, one, **MIN_UNITS) for one in wanted]

    @cached_property
    def frequencies(self) -> list:
        """The same for frequencies."""
        return [audit_composition(self.bulk.samples, one, **MIN_UNITS) for one in self.audits]

    @cached_property
    def ambient(self) -> Mapping[str, pd.DataFrame]:
        """No gene is flagged as ambient: that drops rows, and has no part in a test."""
        return dict.fromkeys(
            LEVELS, pd.DataFrame(False, self.bulk.groups.index, self.bulk.detected.columns)
        )

    @cached_property
    def composition(self) -> pd.DataFrame:
        """Both readings of the frequencies."""
        limits = {"min_cells": LIMITS["min_cells"], **MIN_UNITS}
        return compare_composition(self.bulk, self.audits, self.frequencies, **limits)

    @cached_property
    def plain(self) -> list:
        """Audits without the interaction, which scores and responses are not asked for."""
        return [audit for audit in self.audits if audit.name != "interaction"]

    @cached_property
    def score_contrasts(self) -> pd.DataFrame:
        """Both readings of the scores."""
        from emhniche.score_contrast import compare_scores, sum_scores

        cohort = self.cohort
        sets = (self.scores, cohort.panel, _signatures())
        sums = sum_scores(self.bulk, cohort.cells.obs, cohort.annotation, *sets)
        return compare_scores(self.bulk, sums, self.plain, self.ambient, **LIMITS)

    @cached_property
    def emh_units(self) -> pd.DataFrame:
        """Index of every extramedullary unit; cohorts without progenitors have none."""
        from emhniche.emh_index import index_units

        cohort, limits = self.cohort, {"min_cells": LIMITS["min_cells"], **MIN_UNITS}
        given = (self.bulk, cohort.cells.obs, cohort.annotation, self.scores)
        return index_units(*given, **limits)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Scores of all cells for the made-up axes and the shipped signatures."""
        settings = {"n_random": N_RANDOM, "max_rank": 1500, "n_bins": 25, "seed": 0}
        sets = {"panel": self.cohort.panel, "signatures": _signatures()}
        cells = self.cohort.cells.copy()
        cells.obs["qc_lineage"] = self.cohort.annotation["lineage"].to_numpy()
        ambient = pd.DataFrame(columns=COLUMNS)  # no soup is planted
        return score_cells(cells, ambient=ambient, **sets, **settings)[0]

    def arms(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return which cells are on the test side, and which belong to the contrast."""
        contrast, obs = CONTRASTS[name], self.cohort.cells.obs
        level = obs[contrast["factor"]].astype(str)
        chosen = level.isin([contrast["test"], contrast["reference"]])
        for column, value in contrast["subset"].items():
            chosen &= obs[column].astype(str) == value
        return (level == contrast["test"]).to_numpy(), chosen.to_numpy()

    def kind(self, name: str) -> np.ndarray:
        """Tell the cells of a kind."""
        return (self.cohort.annotation["lineage"] == name).to_numpy()


def expression(laid: Laid) -> pd.DataFrame:
    """Genes of the panel in one kind of cells; cells: Wilcoxon test of counts per depth."""
    cohort = laid.cohort
    own = laid.kind(KINDS[laid.seed % len(KINDS)])
    tested = list(cohort.panel["gene"])
    mean = cohort.cells.X[own].mean(axis=0).A1
    order = np.argsort(-mean, kind="stable")
    others = [gene for gene in cohort.cells.var_names[order[mean[order] > 0]] if gene not in tested]
    places = np.unique(np.linspace(0, len(others) - 1, N_BACKGROUND).astype(int))
    genes = [*tested, *(others[place] for place in places)]
    cells = cohort.cells[own, genes].copy()
    bulk = sum_cells(cells, cohort.annotation[own], tested)
    clean = dict.fromkeys(LEVELS, pd.DataFrame(False, bulk.groups.index, bulk.detected.columns))
    audits = [one for one in laid.audits if one.verdict == "tested"]
    rows = _tested(compare_expression(bulk, cohort.panel, audits, clean, **LIMITS), "gene")
    depth = cells.obs["n_counts"].to_numpy()[:, None]
    values = cells.X.toarray() / depth

    def wilcoxon(names: pd.Series, side: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        table = values[:, cells.var_names.get_indexer(names)]
        return _wilcoxon(table, side[own], chosen[own])

    return _beside_cells(laid, rows, lambda names, kind, *arms: wilcoxon(names, *arms))


def composition(laid: Laid) -> pd.DataFrame:
    """Odds of each kind of cells; cells: chi-square test of the four-fold table of cells."""
    rows = _tested(laid.composition, "cell_type")

    def chi_square(names: pd.Series, kind: str, side: np.ndarray, chosen: np.ndarray) -> float:
        held, side = laid.kind(kind)[chosen], side[chosen]
        table = [[(held & arm).sum(), (~held & arm).sum()] for arm in (side, ~side)]
        return float(stats.chi2_contingency(table, correction=False).pvalue)

    return _beside_cells(laid, rows, chi_square)


def compositional(laid: Laid) -> pd.DataFrame:
    """Change of each kind against the kind that changes least."""
    return _tested(laid.composition, "cell_type", "p_compositional")


def supply(laid: Laid) -> pd.DataFrame:
    """Transcripts of each ligand that each kind of cell adds to the tissue."""
    from emhniche.supply import compare_supply

    given = (laid.bulk, laid.cohort.panel, laid.frequencies, laid.ambient)
    return _tested(compare_supply(*given, seed=laid.seed, **LIMITS), "gene")


def pairs(laid: Laid) -> pd.DataFrame:
    """Scores of ligand-receptor pairs between kinds of cells."""
    from emhniche.pair_contrast import compare_pairs

    given = (laid.bulk, laid.cohort.pairs, laid.audits, laid.ambient["lineage"])
    return _tested(compare_pairs(*given, **LIMITS), "ligand")


def scores(laid: Laid) -> pd.DataFrame:
    """Scores of cells by mixed model; cells: Wilcoxon test of the same scores."""
    rows = _tested(laid.score_contrasts, "set")

    def wilcoxon(names: pd.Series, kind: str, side: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        own = laid.kind(kind)
        values = laid.scores[list(names)].to_numpy(dtype=float)[own]
        return _wilcoxon(values, side[own], chosen[own])

    return _beside_cells(laid, rows, wilcoxon)


def scores_z(laid: Laid) -> pd.DataFrame:
    """The same in standard deviations of each set's random sets."""
    return _tested(laid.score_contrasts, "set", "p_z")


def responses(laid: Laid) -> pd.DataFrame:
    """Response signatures over their background of like genes."""
    from emhniche.response import compare_responses
    from emhniche.response_sets import load_responses

    panel = load_panel(ROOT / "resources" / "panel.tsv", "mouse")
    sets = load_responses(ROOT / "resources" / "responses.tsv", "mouse", panel)
    given = (laid.bulk, sets, panel, laid.plain, laid.ambient)
    table = compare_responses(*given, seed=laid.seed, **LIMITS)
    return _tested(table, "set")


def emh_index(laid: Laid) -> pd.DataFrame:
    """How much blood an extramedullary tissue makes, by branch, and how many cells divide."""
    from emhniche.emh_index import compare_index

    # the first contrast is that of conditions in spleen; marrow has no index
    given = (laid.emh_units, laid.audits[:1], laid.frequencies[:1])
    return _tested(compare_index(*given, **MIN_UNITS), "measure")


def emh_axes(laid: Laid) -> pd.DataFrame:
    """Axes that move with the index over mice, within conditions."""
    from emhniche.emh_axes import rank_axes

    limits = {"min_cells": LIMITS["min_cells"], "min_counts": LIMITS["min_counts"]}
    given = (laid.bulk, laid.emh_units, laid.cohort.panel, laid.ambient)
    table = rank_axes(*given, seed=laid.seed, **limits)
    return _tested(table.assign(contrast="unpaired"), "axis")


NEEDS = {
    "supply": "emhniche.supply",
    "ligand-receptor": "emhniche.pair_contrast",
    "EMH index": "emhniche.emh_index",
    "EMH axes": "emhniche.emh_axes",
    "scores": "emhniche.score_contrast",
    "scores, z": "emhniche.score_contrast",
    "responses": "emhniche.response",
    "composition, compositional": "emhniche.frequency",
    "interaction": "emhniche.interaction",
}
"""Module that a test (or a contrast) comes with; without it the test is left out."""

READINGS: Mapping[str, Callable[[Laid], pd.DataFrame]] = {
    "expression": expression,
    "composition, odds": composition,
    "composition, compositional": compositional,
    "supply": supply,
    "ligand-receptor": pairs,
    "scores": scores,
    "scores, z": scores_z,
    "responses": responses,
    "EMH index": emh_index,
    "EMH axes": emh_axes,
}


def available(names: Mapping | tuple) -> list[str]:
    """Return those of some tests or contrasts whose module is there."""
    return [name for name in names if name not in NEEDS or find_spec(NEEDS[name])]


def p_values(
    cohort: Cohort, seed: int, *, contrasts: tuple[str, ...], readings: list[str]
) -> pd.DataFrame:
    """Return every p-value of a cohort.

    Parameters
    ----------
    cohort
        The cohort.
    seed
        Of the cohort.
    contrasts
        Contrasts in which nothing differs but what was planted.
    readings
        Tests of :data:`READINGS`.

    Returns
    -------
    pandas.DataFrame
        ``reading``, ``contrast``, ``planted`` (the row's gene or kind was changed in this
        contrast), ``p``, and ``p_cells``: what cells as witnesses give, NaN for interactions and
        where no such test is usual.
    """
    laid = Laid(cohort, seed, tuple(available(contrasts)))
    parts = [READINGS[name](laid).assign(reading=name) for name in readings]
    table = pd.concat([part.reindex(columns=_COLUMNS) for part in parts], ignore_index=True)
    axis = cohort.panel.set_index("gene")["axis"]
    # a gene goes by its axis, the side of an axis (`X0.agonist`) too
    about = table["about"].map(axis).fillna(table["about"].str.removesuffix(".agonist"))
    # the tumour changes the spleen only, so the interaction holds what the spleen does
    where = table["contrast"].replace({"interaction": "unpaired"})
    receptors = set(cohort.panel.loc[cohort.panel["role"] == "receptor", "gene"])
    table["planted"] = [
        name in cohort.planted.get(contrast, ()) and row not in receptors
        for name, contrast, row in zip(about, where, table["about"], strict=True)
    ]
    return table[["reading", "contrast", "planted", "p", "p_cells"]]


_COLUMNS = ["reading", "contrast", "cell_type", "about", "p", "p_cells"]


def _tested(table: pd.DataFrame, key: str, p: str = "p") -> pd.DataFrame:
    """Return the rows with a p-value, each lineage once."""
    rows = table[table[p].notna()]
    rows = rows[rows["level"] == "lineage"] if "level" in rows else rows
    named = {"about": rows[key].astype(str), "p": rows[p].astype(float)}
    kept = rows.reindex(columns=["contrast", "cell_type"])
    return kept.assign(**named).reset_index(drop=True)


def _beside_cells(laid: Laid, rows: pd.DataFrame, test: Callable) -> pd.DataFrame:
    """Add what a test over cells says, contrast by contrast and kind by kind."""
    rows = rows.assign(p_cells=np.nan)
    for (contrast, kind), part in rows.groupby(["contrast", "cell_type"]):
        if contrast != "interaction":
            rows.loc[part.index, "p_cells"] = test(part["about"], kind, *laid.arms(contrast))
    return rows


def _wilcoxon(values: np.ndarray, side: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Compare the columns of cells x features between two arms of cells."""
    arms = values[chosen & side], values[chosen & ~side]
    return stats.mannwhitneyu(*arms, axis=0, method="asymptotic").pvalue


def _signatures() -> pd.DataFrame:
    return load_signatures(ROOT / "resources" / "signatures.tsv", "mouse")
