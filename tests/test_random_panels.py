"""A panel that was drawn at random finds nothing where the real one finds what was planted."""

import numpy as np
import pandas as pd
import pytest

from emhniche.ambient import flag_groups
from emhniche.contrast import compare_expression
from emhniche.design import audit_contrast
from emhniche.moderation import adjust
from emhniche.pseudobulk import sum_cells
from niche_cohort import cohort, panel_of, two_arms

NICHE = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
PLANTED = [f"g{i}" for i in range(30)]
DRAWS = 100
NEAREST = 15
"""Genes of like expression among which a panel gene's stand-in is drawn."""


@pytest.fixture(scope="module")
def tested() -> pd.DataFrame:
    """All genes of a cohort of four mice an arm, 30 of which differ four-fold."""
    effects = {gene: (-1.0) ** i * 2.0 for i, gene in enumerate(PLANTED)}
    cells, annotation = cohort(two_arms(4), seed=0, n_genes=330, effects=effects, dispersion=0.1)
    panel = panel_of(list(cells.var_names))
    bulk = sum_cells(cells, annotation, panel["gene"])
    audit = audit_contrast(bulk.samples, NICHE, min_units=3)
    table = compare_expression(
        bulk,
        panel,
        [audit],
        flag_groups(bulk, panel["gene"]),
        min_cells=20,
        min_counts=10,
        min_units=3,
    )
    return table[(table["level"] == "lineage") & table["p"].notna()]


def findings(tested: pd.DataFrame, panel: list[str]) -> pd.DataFrame:
    """Return the rows that a panel of these genes finds: q over its own rows."""
    rows = tested[tested["gene"].isin(panel)]
    return rows[adjust(rows["p"].to_numpy()) < 0.05]


def random_panel(tested: pd.DataFrame, rng: np.random.Generator) -> list[str]:
    """Draw a panel of the same size and expression, gene by gene, without a planted one."""
    level = tested.groupby("gene")["logcpm_reference"].mean()
    others = level.drop(PLANTED, errors="ignore")
    drawn: list[str] = []
    for gene in level.index.intersection(PLANTED):
        like = (others.drop(drawn) - level[gene]).abs().nsmallest(NEAREST).index
        drawn.append(str(rng.choice(like)))
    return drawn


def test_the_planted_panel_is_found(tested):
    found = findings(tested, PLANTED)
    frequent = tested[tested["gene"].isin(PLANTED)]
    frequent = frequent[frequent["counts_test"] + frequent["counts_reference"] >= 100]
    assert len(frequent) > 30
    assert frequent.index.isin(found.index).mean() >= 0.9


def test_random_panels_of_the_same_size_and_expression_find_nothing(tested):
    rng = np.random.default_rng(0)
    panels = [random_panel(tested, rng) for _ in range(DRAWS)]
    size = tested["gene"].isin(PLANTED).groupby(tested["gene"]).any().sum()
    assert {len(set(panel)) for panel in panels} == {size}
    level = tested.groupby("gene")["logcpm_reference"].mean()
    own = level[level.index.isin(PLANTED)].mean()
    assert np.mean([level[panel].mean() for panel in panels]) == pytest.approx(own, abs=0.3)
    with_a_finding = [panel for panel in panels if len(findings(tested, panel))]
    assert len(with_a_finding) <= 0.05 * DRAWS
