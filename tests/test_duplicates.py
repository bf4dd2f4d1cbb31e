import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche import io
from emhniche.duplicates import Library, find_duplicates, fingerprints, tell_duplicate
from planted import library

MIX = {"B": 120, "T": 90, "monocyte_macrophage": 50}


def write(folder, name, cells):
    io.write_h5ad(cells, folder / f"{name}.h5ad")
    qc = pd.DataFrame({"barcode": cells.obs_names, "fingerprint": fingerprints(cells)})
    io.write_table(qc, folder / f"{name}.parquet")
    return Library(folder / f"{name}.h5ad", folder / f"{name}.parquet")


def found(folder, **cells):
    return find_duplicates({name: write(folder, name, one) for name, one in cells.items()})


def renamed(cells, prefix="other"):
    cells = cells.copy()
    cells.obs_names = [f"{prefix}{number}" for number in range(cells.n_obs)]
    return cells


def test_libraries_with_the_same_barcodes_and_other_counts_are_two(tmp_path):
    one, other = library(MIX, seed=1), library(MIX, seed=2)
    assert list(one.obs_names) == list(other.obs_names)
    assert found(tmp_path, one=one, other=other).empty


def test_barcodes_numbered_by_depth_are_no_sign_of_a_duplicate(tmp_path):
    parts = {}
    for seed, name in enumerate(("one", "other")):
        cells = library(MIX, seed=seed)
        order = np.argsort(-np.asarray(cells.X.sum(axis=1)).ravel())
        parts[name] = renamed(cells[order], prefix="cell")
    assert found(tmp_path, **parts).empty


def test_a_library_entered_twice_is_found_under_other_barcodes_and_in_part(tmp_path):
    cells = library(MIX, seed=1)
    part = renamed(cells[::3])
    row = found(tmp_path, whole=cells, part=part, foreign=library(MIX, seed=2)).iloc[0]
    assert (row["sample"], row["other"], row["level"]) == ("part", "whole", "fail")
    assert row["n_same"] == part.n_obs
    assert tell_duplicate(row).startswith("duplicate of whole: 87 of 87 cells have the same counts")


def test_the_smaller_of_two_fails_wherever_it_stands_in_the_sheet(tmp_path):
    cells = library(MIX, seed=1)
    row = found(tmp_path, part=renamed(cells[::3]), whole=cells).iloc[0]
    assert (row["sample"], row["other"]) == ("part", "whole")
    again = found(tmp_path, first=cells, second=renamed(cells)).iloc[0]
    assert (again["sample"], again["other"]) == ("second", "first")


def test_a_few_shared_cells_are_a_warning(tmp_path):
    one, other = library(MIX, seed=1), library(MIX, seed=2)
    both = ad.AnnData(sparse.vstack([other.X, one.X[:15]]).tocsr(), var=other.var)
    row = found(tmp_path, one=one, both=both).iloc[0]
    assert (row["n_same"], row["level"]) == (15, "warn")
    assert (row["sample"], row["other"]) == ("one", "both")
    assert "shares cells with both" in tell_duplicate(row)


def test_a_library_quantified_again_is_found_by_its_barcodes(tmp_path):
    cells = library(MIX, seed=1)
    again = cells.copy()
    rng = np.random.default_rng(0)
    again.X = sparse.csr_matrix(rng.binomial(cells.X.toarray().astype(int), 0.93), dtype=np.float32)
    row = found(tmp_path, first=cells, again=again).iloc[0]
    assert (row["n_same"], row["level"]) == (0, "fail")
    assert row["namesakes"] > 0.9
    assert "most alike to their namesake" in tell_duplicate(row)


def test_both_kinds_of_evidence_are_named(tmp_path):
    """Twelve cells equal, all others quantified again: the namesakes make it a duplicate."""
    cells = library(MIX, seed=1)
    again = cells.copy()
    counts = cells.X.toarray().astype(int)
    counts[12:] = np.random.default_rng(0).binomial(counts[12:], 0.93)
    again.X = sparse.csr_matrix(counts, dtype=np.float32)
    row = found(tmp_path, first=cells, again=again).iloc[0]
    assert row["n_same"] >= 10 and row["level"] == "fail"
    assert row["n_same"] < 0.1 * row["n_smaller"]
    told = tell_duplicate(row)
    assert told.startswith("duplicate of first: ")
    assert "have the same counts in every gene; " in told
    assert told.endswith("most alike to their namesake")


def test_fingerprints_hang_on_counts_alone():
    cells = library(MIX, seed=1)
    prints = fingerprints(cells)
    assert (fingerprints(cells[:, ::-1].copy()) == prints).all()
    changed = cells.copy()
    changed.X[0, changed.X[0].indices[0]] += 1
    assert (fingerprints(changed) != prints).sum() == 1
    assert fingerprints(cells[:, :40].copy())[0] is None
