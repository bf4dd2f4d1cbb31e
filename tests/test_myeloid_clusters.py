"""Clusters of a lineage: claimed where donors agree on frequency and signature, else a reason."""

from dataclasses import replace
from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from emhniche import cluster_evidence
from emhniche.cluster_evidence import spread_sample
from emhniche.lineage_cells import maturation_sets
from emhniche.myeloid import MyeloidTables, call_myeloid
from emhniche.myeloid_clusters import CLUSTER_COLUMNS
from myeloid_cohort import SIGNATURE, Cohort, covariate_table, simulate

OTHERS = [f"Bg{i}" for i in range(0, 60, 2)]
STRONG = Cohort(fraction=0.2, fold=4.0, planted_genes=[*SIGNATURE, *OTHERS])
"""A programme of 40 genes in a fifth of the case cells."""


def prepared(cohort: Cohort) -> ad.AnnData:
    """Return a cohort with what a run says of its cells."""
    adata = simulate(cohort)
    origin = {"dataset": "study", "tissue": "spleen", "chemistry": "10x", "enrichment": "none"}
    adata.obs = adata.obs.assign(**origin, batch=adata.obs["donor"].astype(str))
    measured = pd.DataFrame({"study": np.ones(adata.n_vars, bool)}, index=adata.var_names)
    adata.varm["measured"] = measured
    return adata


def run(adata: ad.AnnData, **changes: object) -> MyeloidTables:
    annotation = adata.obs[["lineage"]].rename_axis("cell_id").reset_index()
    own = {"set": "MDSC", "species": "mouse", "polarity": "positive", "genes": SIGNATURE}
    signatures = pd.concat([covariate_table(), pd.DataFrame([own])], ignore_index=True)
    given = {"names": ["MDSC"], "lineages": ["neutrophil"], "q": 0.10, "mode": "fdr"}
    given |= {"n_random": 40, "min_cells": 30, "min_donors": 3, "seed": 0}
    return call_myeloid(adata, annotation, signatures, **(given | changes))


@cache
def strong() -> tuple[ad.AnnData, MyeloidTables]:
    adata = prepared(STRONG)
    return adata, run(adata)


def codes(adata: ad.AnnData) -> set[str]:
    return set(run(adata).clusters["code"])


def test_a_strong_cluster_of_the_cases_is_claimed():
    adata, tables = strong()
    claimed = tables.clusters[tables.clusters["code"] == "claimed"]
    assert len(claimed) == 1
    row = claimed.iloc[0]
    assert abs(row["cells"] - adata.obs["planted"].sum()) < 15
    assert row["share_reference"] < 0.02 < 0.15 < row["share_case"]
    assert max(row["composition_q"], row["signature_q"]) <= 0.05
    assert row["sign_effect"] > row["random_high"]
    assert row["label"] == "MDSC-like (reactive)"
    assert set(row["markers"].split(";")) <= {*SIGNATURE, *OTHERS}
    assert row["marker_units"] == 4


def test_the_claim_calls_no_cell():
    _, tables = strong()
    called = tables.calls["pathological"].fillna(False).sum()
    assert called == tables.gates["called"].fillna(0).sum()
    claimed = tables.clusters.loc[tables.clusters["code"] == "claimed", "cells"].sum()
    assert called != claimed
    assert list(tables.clusters) == CLUSTER_COLUMNS


def test_order_of_cells_and_genes_does_not_matter_and_a_seed_repeats():
    adata, tables = strong()
    rng = np.random.default_rng(3)
    mixed = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    pd.testing.assert_frame_equal(run(mixed).clusters, tables.clusters, rtol=1e-6)
    pd.testing.assert_frame_equal(run(adata).clusters, tables.clusters)


def test_null_cohorts_claim_nothing():
    cohorts = [Cohort(cells=60, seed=seed) for seed in range(30)]
    claims = ["claimed" in codes(prepared(cohort)) for cohort in cohorts]
    assert sum(claims) <= 1


@pytest.mark.parametrize("shift", [0.3, -0.3])
def test_a_shift_of_maturation_is_not_claimed(shift):
    found = codes(prepared(Cohort(maturation_shift=shift)))
    assert "no_signature_excess" in found
    assert "claimed" not in found


def test_a_cluster_that_differs_in_frequency_only_is_not_claimed():
    found = codes(prepared(replace(STRONG, planted_genes=OTHERS)))
    assert "no_signature_excess" in found
    assert "claimed" not in found


def test_a_cluster_that_both_arms_hold_is_not_claimed():
    adata = prepared(replace(STRONG, reference=0, case=8))
    donor = adata.obs["donor"].astype(str)
    adata.obs["arm"] = np.where(donor < "d04", "reference", "case")
    clusters = run(adata).clusters
    planted = clusters.loc[clusters["signature_effect"].idxmax()]
    assert planted["signature_effect"] > 1
    assert planted["share_reference"] > 0.05
    assert set(clusters["code"]) <= {"no_donor_level_excess", "too_few_case_donors"}


def test_what_inflamed_donors_hold_too_is_not_claimed():
    adata = prepared(replace(STRONG, case=8, fraction=0.1))
    donor = adata.obs["donor"].astype(str)
    adata.obs["arm"] = np.where(donor >= "d08", "inflammation_control", adata.obs["arm"])
    clusters = run(adata).clusters
    assert (clusters["code"] == "not_beyond_inflammation").sum() == 1
    assert "claimed" not in set(clusters["code"])


def test_sorted_libraries_do_not_say_how_frequent_a_cluster_is():
    adata = strong()[0].copy()
    adata.obs["enrichment"] = "Ly6G"
    clusters = run(adata).clusters
    assert set(clusters["status"]) == {"not_identifiable"}
    assert set(clusters["code"]) == {"sorted"}
    assert clusters["composition_p"].isna().all()
    assert clusters["signature_effect"].notna().any()


def test_libraries_that_were_not_sorted_suffice():
    adata = strong()[0].copy()
    first = adata.obs.groupby("donor", observed=True).cumcount() < 20
    adata.obs["enrichment"] = np.where(first, "Ly6G", "none")
    assert "claimed" in codes(adata)


@pytest.mark.parametrize(
    ("cohort", "code"),
    [
        (replace(STRONG, case=2), "too_few_case_donors"),
        (replace(STRONG, reference=0), "no_reference_arm"),
    ],
)
def test_what_the_gate_refuses_is_refused_with_its_code(cohort, code):
    clusters = run(prepared(cohort)).clusters
    assert clusters["code"].tolist() == [code]
    assert clusters["cluster"].tolist() == [""]
    assert clusters["status"].tolist() == ["not_testable"]


def test_hspc_have_maturation_sets_and_dendritic_cells_are_refused():
    assert maturation_sets("HSPC", None) == {"HSC_MPP": -1, "GMP": 1}
    adata = prepared(Cohort(cells=40))
    adata.obs["lineage"] = "DC"
    tables = run(adata, lineages=["HSPC", "DC"])
    assert tables.gates["lineage"].tolist() == ["HSPC", "DC"]
    assert tables.gates["code"].tolist() == ["no_lineage_cells", "no_maturation_genes"]
    assert tables.clusters["code"].tolist() == ["no_lineage_cells", "no_maturation_genes"]


def test_a_sample_leaves_small_libraries_whole_and_takes_the_others_evenly():
    code = np.repeat([0, 1, 2], [10, 100, 400])
    rows = spread_sample(code, 110)
    assert np.bincount(code[rows]).tolist() == [10, 50, 50]
    assert (np.diff(rows[code[rows] == 2]) == 8).all()
    assert np.array_equal(spread_sample(code, 510), np.arange(510))


def test_cells_beyond_the_sample_join_the_cluster_of_their_like(monkeypatch):
    adata, tables = strong()
    monkeypatch.setattr(cluster_evidence, "MAX_CELLS", 480)  # half of the cells
    found = run(adata).clusters
    claimed = found[found["code"] == "claimed"]
    assert len(claimed) == 1
    assert abs(claimed["cells"].iloc[0] - adata.obs["planted"].sum()) < 20
    assert found["cells"].sum() == tables.clusters["cells"].sum() == adata.n_obs
    rng = np.random.default_rng(3)
    mixed = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    pd.testing.assert_frame_equal(run(mixed).clusters, found, rtol=1e-6)
