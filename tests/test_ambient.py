"""Ambient RNA is told from a group's own expression."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche.ambient import explained_by_ambient, flag_groups
from emhniche.pseudobulk import Pseudobulk

N_MARKERS = 30
LINEAGES = ("B", "T", "neutrophil")
SHARE = 0.10


def planted(share: float = SHARE, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Return counts of three lineages, each with its own markers, `share` of them soup.

    ``S100a8`` is made by neutrophils only; ``Tnf`` by T cells and, 20 times less, by B cells of
    their own; ``Actb`` by all alike.
    """
    rng = np.random.default_rng(seed)
    markers = [f"{lineage}_{i}" for lineage in LINEAGES for i in range(N_MARKERS)]
    genes = [*markers, "S100a8", "Tnf", "Actb"]
    own = pd.DataFrame(0.0, index=LINEAGES, columns=genes)
    for lineage in LINEAGES:
        own.loc[lineage, [f"{lineage}_{i}" for i in range(N_MARKERS)]] = 0.01
    own.loc["neutrophil", "S100a8"] = 0.20
    own.loc["T", "Tnf"], own.loc["B", "Tnf"] = 0.024, 0.0012
    own["Actb"] = 0.05
    own = own.div(own.sum(axis=1), axis=0)
    totals = pd.Series({"B": 200_000.0, "T": 100_000.0, "neutrophil": 20_000.0})
    soup = own.mul([0.1, 0.1, 0.8], axis=0).sum()
    rates = (1 - share) * own + share * soup
    counts = pd.DataFrame(rng.poisson(rates.mul(totals, axis=0)), own.index, own.columns)
    return counts, soup / soup.sum()


def flags(table: pd.DataFrame) -> pd.DataFrame:
    """Return the flags as lineages x genes."""
    return table.pivot(index="group", columns="gene", values="ambient")


def test_neutrophil_rna_in_b_and_t_cells_is_ambient():
    counts, profile = planted()
    found = flags(explained_by_ambient(counts, profile))
    assert found.loc["B", "S100a8"]
    assert found.loc["T", "S100a8"]
    assert not found.loc["neutrophil", "S100a8"]
    foreign = [f"neutrophil_{i}" for i in range(N_MARKERS)]
    assert found.loc["B", foreign].mean() > 0.9
    own = [f"B_{i}" for i in range(N_MARKERS)]
    assert not found.loc["B", own].any()


def test_low_but_own_expression_is_not_ambient():
    counts, profile = planted()
    table = explained_by_ambient(counts, profile).set_index(["group", "gene"])
    row = table.loc[("B", "Tnf")]
    assert row["top_source"] == "T"
    assert row["top_rate"] >= 10 * row["rate"]
    assert not row["ambient"]


def test_a_gene_of_all_cells_is_not_ambient():
    counts, profile = planted()
    assert not flags(explained_by_ambient(counts, profile))["Actb"].any()


@pytest.mark.parametrize("share", [0.02, 0.10, 0.40])
def test_contamination_is_estimated(share: float):
    counts, profile = planted(share)
    table = explained_by_ambient(counts, profile).drop_duplicates("group").set_index("group")
    assert table.loc["B", "contamination"] == pytest.approx(share, rel=0.25)
    assert table.loc["T", "contamination"] == pytest.approx(share, rel=0.25)


def test_given_contamination_wins():
    counts, profile = planted(0.10)
    clean = pd.Series({"B": 0.001, "T": np.nan})
    found = flags(explained_by_ambient(counts, profile, contamination=clean))
    assert not found.loc["B", "S100a8"]
    assert found.loc["T", "S100a8"]


def test_unseen_gene_is_not_ambient():
    counts, profile = planted()
    counts.loc["B", "S100a8"] = 0
    assert not flags(explained_by_ambient(counts, profile)).loc["B", "S100a8"]


def test_a_cell_type_is_not_explained_by_its_own_lineage():
    counts, profile = planted()
    types = pd.DataFrame(
        [counts.loc["neutrophil"] * 0.5, counts.loc["neutrophil"] * 0.5],
        index=["preNeu", "matNeu"],
    ).round()
    types.loc["preNeu", "S100a8"] = 2.0
    lineage = pd.Series({"preNeu": "neutrophil", "matNeu": "neutrophil"})
    found = explained_by_ambient(
        types, profile, sources=counts, source_of=lineage, genes=["S100a8"]
    )
    assert found["gene"].unique().tolist() == ["S100a8"]
    assert not found["ambient"].any()


def test_contamination_without_witnesses_is_unknown():
    counts, profile = planted()
    few = counts[["S100a8", "Tnf", "Actb"]]
    table = explained_by_ambient(few, profile[few.columns]).set_index(["group", "gene"])
    assert table["contamination"].isna().all()
    assert table.loc[("neutrophil", "S100a8"), "expected"] == pytest.approx(
        profile["S100a8"] * few.loc["neutrophil"].sum()
    )


def test_counts_of_doublets_are_not_the_groups_own():
    counts, profile = planted()
    held = counts.loc["B", "S100a8"]
    counts.loc["B", "S100a8"] += 6_000.0
    assert not flags(explained_by_ambient(counts, profile)).loc["B", "S100a8"]
    carried = pd.DataFrame(0.0, list(LINEAGES), ["S100a8"])
    for brought, expected in ((6_000.0, True), (2_000.0, False), (held + 6_000.0, True)):
        carried.loc["B", "S100a8"] = brought
        table = explained_by_ambient(counts, profile, carried=carried)
        assert flags(table).loc["B", "S100a8"] == expected
        assert not flags(table).loc["B", "Tnf"]
        found = table.set_index(["group", "gene"]).loc[("B", "S100a8")]
        assert found["counts"] == held + 6_000


def test_single_lineage_has_no_source():
    counts, profile = planted()
    table = explained_by_ambient(counts.loc[["B"]], profile)
    assert not table["ambient"].any()
    assert table["top_source"].isna().all()


def bulk_of(counts: pd.DataFrame, soup: pd.Series, contamination: float) -> Pseudobulk:
    """Return the sums of one library whose neutrophils are of two cell types."""
    groups = pd.DataFrame(
        {
            "sample": "s",
            "lineage": ["B", "T", "neutrophil", "neutrophil", "unresolved"],
            "cell_type": ["B", "T", "matNeu", "preNeu", "unresolved"],
            "n_cells": 100,
            "contamination": contamination,
        }
    )
    half = (counts.loc["neutrophil"] / 2).round()
    rows = [counts.loc["B"], counts.loc["T"], half, half, counts.loc["T"]]
    return Pseudobulk(
        groups=groups,
        counts=sparse.csr_matrix(np.array(rows, dtype=float)),
        detected=pd.DataFrame(),
        carried=pd.DataFrame(index=groups.index),
        genes=counts.columns,
        measured=pd.DataFrame(True, counts.columns, ["d"]),
        soup=soup.to_frame("s"),
        samples=pd.DataFrame(),
    )


def test_groups_of_a_library_are_flagged_at_both_levels():
    counts, profile = planted()
    flags_by_level = flag_groups(bulk_of(counts, profile, np.nan), ["S100a8", "Tnf", "absent"])
    for table in flags_by_level.values():
        assert table.columns.tolist() == ["S100a8", "Tnf"]
        assert table["S100a8"].tolist() == [True, True, False, False, True]
        assert table["Tnf"].tolist()[:2] == [False, False]


def test_the_contamination_that_qc_found_is_used():
    counts, profile = planted(0.10)
    table = flag_groups(bulk_of(counts, profile, 0.001), ["S100a8"])["lineage"]
    assert not table["S100a8"].any()
