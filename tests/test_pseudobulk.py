"""Sums over cells are exact, in memory and from disk."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import emhniche.pseudobulk as pseudobulk
from emhniche.errors import InputError
from emhniche.io import write_h5ad
from emhniche.pseudobulk import log_cpm, sum_cells, sum_rows
from niche_cohort import cohort, two_arms


@pytest.fixture(scope="module")
def cells_and_annotation():
    cells, annotation = cohort(two_arms(2), seed=0, n_genes=30, n_cells=10)
    annotation.loc[annotation.index % 3 == 0, "cell_type"] = "subtype"
    return cells, annotation


def test_counts_and_cells_are_summed(cells_and_annotation):
    cells, annotation = cells_and_annotation
    bulk = sum_cells(cells, annotation, ["g3", "g1", "absent"])
    assert bulk.counts.sum() == cells.X.sum()
    assert bulk.groups["n_cells"].sum() == cells.n_obs
    for i, group in bulk.groups.iterrows():
        chosen = (
            (cells.obs["sample"] == group["sample"]).to_numpy()
            & (annotation["lineage"] == group["lineage"]).to_numpy()
            & (annotation["cell_type"] == group["cell_type"]).to_numpy()
        )
        part = cells.X[chosen].toarray()
        np.testing.assert_array_equal(bulk.counts[i].toarray().ravel(), part.sum(axis=0))
        assert bulk.detected.loc[i, "g3"] == (part[:, 3] > 0).sum()
    assert bulk.detected.columns.tolist() == ["g3", "g1"]


def test_a_file_on_disk_read_in_blocks_gives_the_same(cells_and_annotation, tmp_path, monkeypatch):
    cells, annotation = cells_and_annotation
    expected = sum_cells(cells, annotation, ["g0"])
    write_h5ad(cells, tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    monkeypatch.setattr(pseudobulk, "_BLOCK", 7)
    found = sum_cells(backed, annotation.iloc[::-1], ["g0"])
    assert (found.counts != expected.counts).nnz == 0
    pd.testing.assert_frame_equal(found.groups, expected.groups)
    pd.testing.assert_frame_equal(found.detected, expected.detected)


def test_contamination_is_weighted_by_counts_and_missing_where_unknown():
    cells, annotation = cohort(two_arms(1), seed=0, n_genes=30, n_cells=2, lineages=("stroma",))
    cells.obs["n_counts"] = [100.0, 300.0, 50.0, 50.0]
    cells.obs["ambient"] = [0.4, 0.0, np.nan, np.nan]
    groups = sum_cells(cells, annotation, []).groups.set_index("sample")
    assert groups.loc["s0", "contamination"] == pytest.approx(0.1)
    assert np.isnan(groups.loc["m0", "contamination"])


def test_labels_leave_out_unresolved_cells(cells_and_annotation):
    cells, annotation = cells_and_annotation
    annotation = annotation.assign(
        lineage=annotation["lineage"].replace("neutrophil", "unresolved"),
        cell_type=annotation["cell_type"].replace("neutrophil", "unresolved"),
    )
    bulk = sum_cells(cells, annotation, [])
    assert bulk.labels("lineage") == ["stroma"]
    assert bulk.labels("cell_type") == ["stroma", "subtype"]


def test_a_cell_without_annotation_is_refused(cells_and_annotation):
    cells, annotation = cells_and_annotation
    with pytest.raises(InputError, match="cell 's0:c3' and 1 more have no row"):
        sum_cells(cells, annotation.drop(index=[3, 20]), [])


def test_rows_of_one_name_are_summed():
    cells, _ = cohort(two_arms(1), seed=0, n_genes=5, n_cells=2, lineages=("stroma",))
    found = sum_rows(cells.X, ["b", "a", "b", "b"], ["a", "b", "c"]).toarray()
    matrix = cells.X.toarray()
    np.testing.assert_array_equal(found[0], matrix[1])
    np.testing.assert_array_equal(found[1], matrix[[0, 2, 3]].sum(axis=0))
    np.testing.assert_array_equal(found[2], 0)


def test_zero_counts_have_one_level_and_few_counts_shrink():
    totals = np.array([1e4, 4e4, 1e6])
    nothing = log_cpm(np.zeros((3, 1)), totals)
    assert np.ptp(nothing) == pytest.approx(0)
    level = log_cpm(np.array([[1.0], [4.0], [100.0]]), totals)[:, 0]
    assert np.ptp(level) == pytest.approx(0)
    few, many = log_cpm(np.array([[0.0, 0.0], [2.0, 200.0]]), np.array([1e5, 1e5])).T
    assert few[1] - few[0] == pytest.approx(1.0)
    assert many[1] - many[0] == pytest.approx(np.log2(101))
