"""Simulated against real cells: planted counts come back as what they are."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche.errors import InputError
from emhniche.io import write_h5ad, write_table
from emhniche.realism import (
    MEAN_BINS,
    binned,
    compare_runs,
    gene_statistics,
    library_statistics,
    load_run,
    shared_genes,
)
from emhniche.realism_figures import draw_all

N_GENES = 400
RATES = np.random.default_rng(0).dirichlet(np.full(N_GENES, 0.5))


def draw(rng, n_cells, *, dispersion, depth=1500, spread=0.4):
    size = depth * np.exp(rng.normal(0, spread, n_cells))
    mean = size[:, None] * RATES
    counts = rng.poisson(rng.gamma(1 / dispersion, dispersion, mean.shape) * mean)
    return sparse.csr_matrix(counts.astype(np.float32))


def write_run(folder, seed, *, dispersion, arms=("reference", "reference", "case"), hidden=()):
    """Write what the comparison reads of a run: three libraries of B cells."""
    rng = np.random.default_rng(seed)
    sizes = [150, 60, 300]
    counts = sparse.vstack([draw(rng, n, dispersion=dispersion) for n in sizes], format="csr")
    sample = np.repeat([f"s{one}" for one in range(3)], sizes)
    obs = pd.DataFrame({"sample": sample, "dataset": "d", "arm": np.repeat(arms, sizes)})
    obs.index = [f"{name}:{row}" for row, name in enumerate(sample)]
    genes = pd.Index([f"Gene{one}" for one in range(N_GENES - 20)])
    genes = genes.append(pd.Index([f"mt-Nd{one}" for one in range(10)]))
    genes = genes.append(pd.Index([f"Rps{one}" for one in range(10)]))
    cells = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=genes))
    cells.varm["measured"] = pd.DataFrame({"d": ~genes.isin(hidden)}, index=genes)
    write_h5ad(cells, folder / "cells.h5ad")
    annotation = pd.DataFrame({"cell_id": obs.index, "lineage": "B"})
    annotation.loc[:9, "lineage"] = "unresolved"
    write_table(annotation, folder / "annotate" / "annotation.parquet")
    return load_run(folder)


def test_planted_mean_variance_and_dropout_come_back():
    rng = np.random.default_rng(3)
    counts = draw(rng, 4000, dispersion=0.5, spread=0.0)
    table = gene_statistics(counts)
    mean = 1500 * RATES
    held = mean > 0.3
    np.testing.assert_allclose(table["mean"][held], mean[held], rtol=0.1)
    ratio = table["variance"][held] / (mean + 0.5 * mean**2)[held]
    assert abs(ratio.median() - 1) < 0.03
    expected = (1 + 0.5 * mean) ** -2.0
    np.testing.assert_allclose(table["absent"], expected, atol=0.03)
    assert abs(table["dispersion"][held].median() - 0.5) < 0.05


def test_spread_of_cell_sizes_is_no_dispersion_and_no_dropout():
    rng = np.random.default_rng(4)
    counts = draw(rng, 3000, dispersion=1e-6, spread=0.6)
    table = gene_statistics(counts)
    held = table["mean"].between(0.3, 10)
    assert abs(table["dispersion"][held].median()) < 0.03
    assert abs((table["absent"] - table["poisson"])[held].mean()) < 0.005


def test_alike_runs_have_ratios_near_one_and_unlike_ones_do_not(tmp_path):
    first = write_run(tmp_path / "a", 1, dispersion=0.3)
    alike = write_run(tmp_path / "b", 2, dispersion=0.3)
    unlike = write_run(tmp_path / "c", 3, dispersion=1.2)
    same = compare_runs(first, alike).set_index("quantity")
    assert set(same["lineage"]) == {"B"}
    numbers = same["ratio"].dropna()
    assert len(numbers) >= 8
    assert numbers.between(0.8, 1.25).all(), numbers
    rho = "mean expression against the real library"
    assert same.at[rho, "simulated"] > 0.95
    other = compare_runs(first, unlike).set_index("quantity")
    for quantity in other.index[other.index.str.contains("dispersion|beyond")]:
        assert other.at[quantity, "ratio"] < 0.5


def test_treated_animals_and_unresolved_cells_are_left_out(tmp_path):
    run = write_run(tmp_path, 1, dispersion=0.3)
    assert run.cells["sample"].value_counts().to_dict() == {"s0": 140, "s1": 60}
    # the largest library that is left
    table = library_statistics(run, run.measured.index, "B")
    assert set(table["sample"]) == {"s0"}
    assert library_statistics(run, run.measured.index, "T") is None


def test_genes_that_one_run_does_not_measure_are_not_compared(tmp_path):
    first = write_run(tmp_path / "a", 1, dispersion=0.3)
    lacking = write_run(
        tmp_path / "b", 2, dispersion=0.3, hidden=[f"mt-Nd{one}" for one in range(10)]
    )
    genes = shared_genes([first, lacking])
    assert len(genes) == N_GENES - 10 and not genes.str.startswith("mt-").any()
    table = compare_runs(first, lacking)
    mito = table[table["quantity"] == "mitochondrial counts"]
    assert mito[["simulated", "real"]].isna().all(axis=None)


def test_bins_hold_quartiles_and_thin_bins_are_left_out():
    x = pd.Series([1.0] * 9 + [50.0] * 2)
    y = pd.Series([*range(9), 100.0, 100.0])
    table = binned(x, y, MEAN_BINS)
    assert len(table) == 1
    assert table.iloc[0].tolist() == [2.0, 4.0, 6.0, 9.0]


def test_every_figure_has_a_panel_a_lineage_and_tells_the_sides_apart(tmp_path):
    runs = [write_run(tmp_path / name, seed, dispersion=0.3) for seed, name in enumerate("ab")]
    figures = draw_all(*runs, shared_genes(runs))
    assert set(figures) == {
        *("realism_cells", "realism_genes", "realism_dropout", "realism_variance")
    }
    for figure in figures.values():
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels[:2] == ["simulated", "real"]
        figure.savefig(tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 10_000
    lines = figures["realism_variance"].axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 3


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no cells\.h5ad in it"):
        load_run(tmp_path)
