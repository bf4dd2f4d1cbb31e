"""CellBender, the program itself, on a made-up library whose soup is known."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche import cellbender, io
from emhniche.cellbender import read_estimate, run_cellbender, write_estimate
from emhniche.errors import InputError
from emhniche.soup import ambient_by_lineage, find_soup

N_GENES, N_CELLS, N_EMPTY = 300, 160, 1200


@pytest.fixture(scope="module")
def raw():
    """Droplets with and without a cell; how much of each cell is soup, and what that is made of."""
    rng = np.random.default_rng(0)
    kinds = 0.5 * rng.dirichlet(np.full(N_GENES, 0.3), 3) + 0.5 * rng.dirichlet(np.ones(N_GENES), 3)
    soup = np.array([0.6, 0.3, 0.1]) @ kinds
    kind = rng.choice(3, N_CELLS, p=[0.5, 0.3, 0.2])
    size = rng.lognormal(np.log(800), 0.3, N_CELLS).astype(int)
    own = np.array([rng.multinomial(n, kinds[k]) for n, k in zip(size, kind, strict=True)])
    floating = np.array([rng.multinomial(n, soup) for n in rng.poisson(100, N_CELLS)])
    empty = np.array([rng.multinomial(n, soup) for n in rng.poisson(60, N_EMPTY)])
    counts = sparse.csr_matrix(np.vstack([own + floating, empty]).astype(np.float32))
    names = [f"cell{n}" for n in range(N_CELLS)] + [f"empty{n}" for n in range(N_EMPTY)]
    genes = [f"gene{n}" for n in range(N_GENES)]
    library = ad.AnnData(counts, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=genes))
    library.obs["kind"] = [*kind.astype(str), *["none"] * N_EMPTY]
    return library, floating.sum(axis=1) / (own + floating).sum(axis=1), soup


@pytest.fixture(scope="module")
def file(raw, tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "counts.h5ad"
    io.write_h5ad(raw[0], path)
    return path


@pytest.fixture(scope="module")
def estimate(file):
    return run_cellbender(file, epochs=40, accelerator="cpu", threads=1)


def test_planted_cells_and_soup_are_found(raw, estimate):
    library, share, profile = raw
    soup = find_soup(library, estimate)
    assert soup.source == "cellbender"
    assert soup.cell[:N_CELLS].mean() > 0.95
    assert soup.cell[N_CELLS:].mean() < 0.01
    assert np.corrcoef(soup.profile, profile)[0, 1] > 0.98
    found = soup.share[:N_CELLS]
    assert np.corrcoef(found, share)[0, 1] > 0.7
    assert np.nanmedian(found) == pytest.approx(np.median(share), abs=0.05)
    assert np.isnan(soup.share[~soup.cell]).all()


def test_shares_are_of_each_barcode_and_empty_droplets_have_none(raw, estimate):
    library, share, _ = raw
    kind = library.obs["kind"].astype(str).replace("none", "unresolved")
    found, _ = ambient_by_lineage(
        library, kind, find_soup(library, estimate), np.zeros(library.n_obs, dtype=bool)
    )
    assert len(np.unique(found[:N_CELLS])) > 0.9 * N_CELLS
    assert np.isnan(found[N_CELLS:]).mean() > 0.99
    for name in ("0", "1", "2"):
        member = (kind == name).to_numpy()[:N_CELLS]
        assert np.nanmean(found[:N_CELLS][member]) == pytest.approx(share[member].mean(), abs=0.05)


def test_estimate_is_read_back_as_it_was_written(estimate, tmp_path):
    paths = tmp_path / "droplets.parquet", tmp_path / "profile.parquet"
    write_estimate(estimate, *paths)
    back = read_estimate(*paths)
    pd.testing.assert_frame_equal(back.droplets, estimate.droplets)
    np.testing.assert_array_equal(back.profile, estimate.profile)
    assert list(back.profile.index) == list(estimate.profile.index)


def test_called_cells_say_nothing_and_cellbender_is_not_run(raw, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cellbender.subprocess, "Popen", None)
    called = tmp_path / "called.h5ad"
    io.write_h5ad(raw[0][:N_CELLS].copy(), called)
    assert run_cellbender(called, epochs=1, accelerator="cpu", threads=1) is None
    assert "CellBender needs all droplets" in caplog.text
    paths = tmp_path / "droplets.parquet", tmp_path / "profile.parquet"
    write_estimate(None, *paths)
    assert read_estimate(*paths) is None


def test_a_failure_is_one_line_that_names_the_file(file, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"counts\.h5ad: CellBender ended with status 2") as failed:
        cellbender._run(file, tmp_path, ["--no-such-option"])
    assert "\n" not in str(failed.value)
    monkeypatch.setattr(cellbender.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install cellbender") as missing:
        run_cellbender(file, epochs=1, accelerator="cpu", threads=1)
    assert "\n" not in str(missing.value)


def test_a_gpu_that_is_not_there_is_said_so(file):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(InputError, match=r"ambient\.cellbender\.accelerator: gpu"):
        run_cellbender(file, epochs=1, accelerator="gpu", threads=1)
