"""Pairs are scored between lineages that hold both sides; signs stay apart."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.ambient import flag_groups
from emhniche.ligand_receptor import COLUMNS, score_pairs
from emhniche.pseudobulk import sum_cells
from emhniche.resources import load_ligand_receptor, load_panel
from niche_cohort import cohort, library

RESOURCES = Path(__file__).parents[1] / "resources"
PAIRS = pd.DataFrame(
    [
        {"ligand": "L", "receptor": "R", "coreceptor": ("C",), "sign": "agonist"},
        {"ligand": "A", "receptor": "R", "coreceptor": (), "sign": "antagonist"},
        {"ligand": "L", "receptor": "unseen", "coreceptor": (), "sign": "decoy"},
    ]
).assign(axis="X")
LEVELS = {
    # lineage: counts a cell of each gene
    "neutrophil": {"L": 4, "A": 2, "R": 0, "C": 3, "unseen": 0},
    "stroma": {"L": 0, "A": 0, "R": 6, "C": 1, "unseen": 0},
    "HSPC": {"L": 0, "A": 0, "R": 5, "C": 0, "unseen": 0},
}


def two_donors(**settings):
    """Return two libraries whose lineages hold the genes of :data:`LEVELS`."""
    rows = [library("s0", "a", "extramedullary"), library("s1", "b", "extramedullary")]
    cells, annotation = cohort(rows, seed=0, n_genes=30, lineages=tuple(LEVELS), **settings)
    names = {f"g{i}": name for i, name in enumerate(["L", "A", "R", "C", "unseen"])}
    cells.var_names = [names.get(name, name) for name in cells.var_names]
    for key in ("measured", "ambient"):
        cells.varm[key].index = cells.var_names
    matrix = cells.X.toarray()
    for lineage, levels in LEVELS.items():
        chosen = (annotation["lineage"] == lineage).to_numpy()
        for gene, count in levels.items():
            matrix[chosen, cells.var_names.get_loc(gene)] = count
    cells.X = cells.X.__class__(matrix)
    return cells, annotation


def score(cells, annotation, pairs: pd.DataFrame = PAIRS, **limits: int) -> pd.DataFrame:
    genes = ["L", "A", "R", "C", "unseen"]
    bulk = sum_cells(cells, annotation, genes)
    limits = {"min_cells": 20, "min_counts": 10, **limits}
    table = score_pairs(bulk, pairs, flag_groups(bulk, genes)["lineage"], **limits)
    assert table.columns.tolist() == [*COLUMNS]
    return table


def test_a_receptor_needs_all_of_its_parts():
    table = score(*two_donors())
    agonist = table[table["sign"] == "agonist"]
    found = agonist[["unit", "sender", "receiver"]].to_numpy().tolist()
    assert found == [["a", "neutrophil", "stroma"], ["b", "neutrophil", "stroma"]]
    assert (agonist["status"] == "described").all()
    assert (agonist["ligand_detection"] == 1.0).all()


def test_score_is_the_geometric_mean_with_the_weakest_part():
    cells, annotation = two_donors()
    row = score(cells, annotation).query("sign == 'agonist' and unit == 'a'").iloc[0]
    here = (cells.obs["sample"] == "s0").to_numpy()
    sender = cells.X[here & (annotation["lineage"] == "neutrophil").to_numpy()].sum()
    receiver = cells.X[here & (annotation["lineage"] == "stroma").to_numpy()].sum()
    ligand = np.log2(1 + 4 * 30 / sender * 1e6)
    weakest = np.log2(1 + 1 * 30 / receiver * 1e6)
    assert row["score"] == pytest.approx(np.sqrt(ligand * weakest))


def test_an_antagonist_is_a_pair_of_its_own_sign():
    table = score(*two_donors())
    antagonist = table[table["sign"] == "antagonist"]
    assert set(antagonist["receiver"]) == {"stroma", "HSPC"}
    assert set(antagonist["ligand"]) == {"A"}
    assert "A" not in set(table.loc[table["sign"] == "agonist", "ligand"])


def test_il1rn_is_no_agonist_of_the_shipped_pairs():
    for species, gene in (("mouse", "Il1rn"), ("human", "IL1RN")):
        panel = load_panel(RESOURCES / "panel.tsv", species)
        pairs = load_ligand_receptor(RESOURCES / "ligand_receptor.tsv", species, panel)
        assert set(pairs.loc[pairs["ligand"] == gene, "sign"]) == {"antagonist"}


def test_a_pair_without_receiver_says_so():
    table = score(*two_donors())
    row = table[table["sign"] == "decoy"].iloc[0]
    assert row["status"] == "not_testable"
    assert row["reason"] == "no lineage of 20 cells holds 10 counts of unseen"
    assert pd.isna(row["sender"])
    assert np.isnan(row["score"])


def test_an_unmeasured_gene_is_not_an_absent_one():
    cells, annotation = two_donors()
    cells.varm["measured"].loc["C"] = False
    row = score(cells, annotation).query("sign == 'agonist'").iloc[0]
    assert row["reason"] == "the dataset does not measure C"


def test_small_and_unresolved_groups_do_not_talk():
    cells, annotation = two_donors()
    table = score(cells, annotation, min_cells=31)
    assert set(table["reason"]) == {"no lineage has 31 cells"}
    table = score(cells, annotation.replace("stroma", "unresolved"))
    assert "unresolved" not in set(table["receiver"].dropna())
