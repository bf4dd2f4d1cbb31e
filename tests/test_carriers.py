"""Cells that hold a second lineage beside their own are told from those that make one gene more."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche.ambient import flag_groups
from emhniche.pseudobulk import sum_cells

N_MARKERS, N_CELLS = 20, 200
LINEAGES = ("T", "neutrophil", "HSPC")
GENES = [f"{name}_{i}" for name in LINEAGES for i in range(N_MARKERS)]
GENES += ["S100a9", "Tnf", *(f"Gene{i}" for i in range(100))]
DOUBLETS = slice(0, 4)
"""T cells that have a neutrophil in their droplet."""


def library(seed: int = 0, own: str = "T", **obs: str) -> tuple[ad.AnnData, pd.DataFrame]:
    """Draw a library of 2 % soup: S100a9 is made by neutrophils, Tnf by neutrophils and one T cell.

    `own` is the lineage that the T cells go by.
    """
    rng = np.random.default_rng(seed)
    rates = pd.DataFrame(0.0, list(LINEAGES), GENES)
    for name in LINEAGES:
        rates.loc[name, [f"{name}_{i}" for i in range(N_MARKERS)]] = 0.4 / N_MARKERS
    rates.loc["neutrophil", ["S100a9", "Tnf"]] = 0.08, 0.02
    rates.loc[:, [f"Gene{i}" for i in range(100)]] = 0.5 / 100
    rates = rates.div(rates.sum(axis=1), axis=0)
    soup = rates.mean()
    mixed = 0.98 * rates + 0.02 * soup
    depth = rng.lognormal(7.3, 0.2, (len(LINEAGES), N_CELLS))
    drawn = [rng.poisson(np.outer(depth[i], mixed.iloc[i])) for i in range(len(LINEAGES))]
    drawn[0][DOUBLETS] += drawn[1][DOUBLETS]
    drawn[0][10, GENES.index("Tnf")] += 300
    counts = np.vstack(drawn)
    labels = np.repeat([own, *LINEAGES[1:]], N_CELLS)
    table = pd.DataFrame({"sample": "s", "dataset": "d", "enrichment": "none", **obs}, range(600))
    table["n_counts"], table["ambient"] = counts.sum(axis=1).astype(float), 0.02
    table.index = [f"s:{i}" for i in range(len(table))]
    cells = ad.AnnData(sparse.csr_matrix(counts, dtype="float32"), table)
    cells.var_names = GENES
    cells.varm["ambient"] = pd.DataFrame({"s": soup})
    cells.varm["measured"] = pd.DataFrame({"d": True}, GENES)
    kinds = {"cell_id": table.index, "lineage": labels, "cell_type": labels}
    return cells, pd.DataFrame(kinds)


def test_counts_in_two_celled_droplets_are_no_lineages_own():
    cells, annotation = library()
    bulk = sum_cells(cells, annotation, ["S100a9", "Tnf", "T_0", "Gene0", "absent"])
    carried = bulk.carried.set_index(bulk.groups["lineage"])
    assert carried.columns.tolist() == ["S100a9", "Tnf", "T_0", "Gene0"]
    doublets = cells[: DOUBLETS.stop, ["S100a9", "Tnf"]].X.toarray().sum(axis=0)
    np.testing.assert_array_equal(carried.loc["T", ["S100a9", "Tnf"]], doublets)
    whole = bulk.dense(["S100a9"]).set_index(carried.index)
    assert carried.loc["T", "S100a9"] > 0.6 * whole.loc["T", "S100a9"]
    # what its own lineage makes, or all, is not brought by the other cell
    assert (carried.loc["T", ["T_0", "Gene0"]] == 0).all()
    assert carried.loc[["neutrophil", "HSPC"]].to_numpy().sum() == 0
    flags = flag_groups(bulk, ["S100a9", "Tnf"])["lineage"].set_index(bulk.groups["lineage"])
    assert flags["S100a9"].to_dict() == {"HSPC": True, "T": True, "neutrophil": False}
    # one cell that makes one gene of the others is still what it is, and so are its counts
    assert not flags.loc["T", "Tnf"]


@pytest.mark.parametrize("given", [{"own": "HSPC"}, {"enrichment": "CD45+"}, {"own": "unresolved"}])
def test_cells_on_their_way_are_not_taken_for_two(given: dict[str, str]):
    cells, annotation = library(**given)
    assert sum_cells(cells, annotation, ["S100a9"]).carried.to_numpy().sum() == 0


def test_lineages_of_another_dataset_tell_nothing():
    cells, annotation = library()
    cells.obs["sample"] = np.repeat(["s", "n"], [N_CELLS, 2 * N_CELLS])
    cells.obs["dataset"] = np.repeat(["d", "e"], [N_CELLS, 2 * N_CELLS])
    cells.varm["ambient"] = pd.DataFrame({name: cells.varm["ambient"]["s"] for name in "sn"})
    cells.varm["measured"] = pd.DataFrame(True, GENES, ["d", "e"])
    assert sum_cells(cells, annotation, ["S100a9"]).carried.to_numpy().sum() == 0
