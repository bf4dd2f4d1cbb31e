"""Simulated counts follow their model, and differ where something was planted and nowhere else."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.errors import InputError
from emhniche.planting import check_plants, plant_shares, without_effects
from emhniche.schema import complete, read_schema
from emhniche.simulate import CellModel, simulate
from emhniche.study import Study

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = read_schema(ROOT / "workflow" / "schemas" / "study.schema.yaml")
GENES = pd.Index([*(f"Gene{i}" for i in range(60)), "mt-Co1", "Early", "Late", "OnlyA"])
QUIET = {
    "gene_sd": {"donor": 0, "donor_cell_type": 0, "library": 0, "chemistry": 0},
    "share_sd": 0,
    "depth_sd": 0,
    "response_sd": {"dissociation": 0, "interferon": 0},
    "ambient": {"share": 0},
    "doublets": 0,
    "dying": 0,
    "chemistries": [{"name": "one"}],
}


@dataclass(frozen=True)
class Truth:
    id: str
    plant: tuple


def model(counts_sd=0.0, dispersion=0.3):
    rng = np.random.default_rng(3)
    types = ["A", "B", "young", "middle", "old"]
    rates = pd.DataFrame(rng.gamma(1, 1, (len(GENES), 5)), index=GENES, columns=types)
    rates.loc["mt-Co1"] = 3.0
    rates.loc["Early"] = [0, 0, 8, 2, 0]
    rates.loc["Late"] = [0, 0, 0, 2, 8]
    rates.loc["OnlyA"] = [5, 0, 0, 0, 0]
    cell_types = pd.DataFrame(
        {
            "lineage": ["A", "B", "neutrophil", "neutrophil", "neutrophil"],
            "maturation": [np.nan, np.nan, 0, 0.5, 1],
            "counts": 1000.0,
            "counts_sd": counts_sd,
            "marrow": [0.5, 0.2, 0.1, 0.1, 0.1],
            "spleen": [0.2, 0.5, 0.1, 0.1, 0.1],
        },
        index=types,
    )
    responses = {"Dissociation_IEG": ["Gene3", "Gene4", "NotSimulated"], "ISG_Neu": ["Gene5"]}
    dispersions = pd.Series(dispersion, GENES)
    return CellModel(rates / rates.sum(), dispersions, cell_types, responses)


def draw(truths=(), *, seed=0, cells=400, mice=2, **settings):
    given = {
        "arms": [{"condition": "naive", "mice": mice}, {"condition": "tumour", "mice": mice}],
        "cells_per_library": cells,
    }
    study = Study("study.yaml", complete(given | settings, SCHEMA))
    return simulate(study, model(), truths, seed=seed)


def mean_of(cohort, cells, gene, **where):
    chosen = np.ones(len(cells), dtype=bool)
    for column, value in where.items():
        chosen &= (cells[column] == value).to_numpy()
    return cohort.X[chosen][:, cohort.var_names.get_loc(gene)].toarray().mean()


def test_the_same_seed_gives_the_same_cohort_and_another_seed_another():
    first, again, other = draw(), draw(), draw(seed=1)
    assert (first[0].X != again[0].X).nnz == 0
    pd.testing.assert_frame_equal(first[1], again[1])
    assert (first[0].X != other[0].X).nnz > 0


def test_a_further_mouse_changes_no_other():
    few, many = draw(mice=2), draw(mice=3)
    for sample in ("naive1_spleen", "tumour2_marrow"):
        counts = [
            cohort.X[(cells["sample"] == sample).to_numpy()].toarray()
            for cohort, cells in (few, many)
        ]
        np.testing.assert_array_equal(*counts)


def test_barcodes_differ_and_cell_ids_are_those_of_the_pipeline():
    cohort, cells = draw()
    assert cohort.obs_names.is_unique
    assert cohort.obs_names.str.fullmatch("[ACGT]{16}").all()
    assert (cells["cell_id"] == cells["sample"] + ":" + cohort.obs_names).all()
    assert (cohort.obs["library"].to_numpy() == cells["sample"]).all()


def test_no_column_but_library_and_lineage_leaves_the_simulator():
    cohort, _ = draw()
    assert list(cohort.obs) == ["library", "lineage"]


def test_counts_have_the_mean_and_variance_of_the_model():
    cohort, cells = draw(cells=4000, mice=1, **QUIET)
    chosen = (cells["cell_type"] == "A").to_numpy()
    counts = cohort.X[chosen].toarray()
    mean = 1000 * model().rates["A"].to_numpy()
    variance = mean + 0.3 * mean**2
    error = np.sqrt(variance / len(counts))
    assert (np.abs(counts.mean(axis=0) - mean) < 4.5 * error + 1e-12).all()
    often = mean > 5
    ratio = counts.var(axis=0)[often] / variance[often]
    assert abs(np.median(ratio) - 1) < 0.05
    assert counts[:, GENES.get_loc("OnlyA")].mean() > 0
    assert mean_of(cohort, cells, "OnlyA", cell_type="B") == 0


def test_ambient_rna_comes_from_the_library_and_in_the_stated_amount():
    quiet = QUIET | {"ambient": {"share": 0.1, "sd": 0.0}}
    cohort, cells = draw(cells=4000, mice=1, **quiet)
    rate = model().rates.loc["OnlyA", "A"]
    for tissue, share in (("bone marrow", 0.5), ("spleen", 0.2)):
        expected = 0.1 * 1000 * rate * share * np.exp(0.2**2 / 2)
        found = mean_of(cohort, cells, "OnlyA", cell_type="B", tissue=tissue)
        assert found == pytest.approx(expected, rel=0.12)


def test_doublets_are_two_cells_and_dying_cells_lose_what_is_not_mitochondrial():
    cohort, cells = draw(cells=3000, mice=1, **QUIET | {"doublets": 0.1, "dying": 0.1})
    share = cells["state"].value_counts(normalize=True)
    assert share["doublet"] == pytest.approx(0.1, abs=0.02)
    assert share["dying"] == pytest.approx(0.09, abs=0.02)
    totals = cells.groupby("state")["counts"].mean()
    assert totals["doublet"] / totals["cell"] == pytest.approx(2, rel=0.05)
    assert 0.25 < totals["dying"] / totals["cell"] < 0.5
    mito = cohort.X[:, GENES.get_loc("mt-Co1")].toarray().ravel() / cells["counts"]
    medians = mito.groupby(cells["state"]).median()
    assert medians["dying"] > 2 * medians["cell"]
    both = cells.query("state == 'doublet'")["doublet_of"].str.split("+")
    assert both.map(len).eq(2).all()
    assert cells.query("state != 'doublet'")["doublet_of"].eq("").all()


def test_neutrophils_lie_on_one_line_from_young_to_old():
    cohort, cells = draw(cells=3000, mice=1, **QUIET)
    known = cells["maturation"].notna()
    assert (known == (cells["lineage"] == "neutrophil")).all()
    late = cohort.X[:, GENES.get_loc("Late")].toarray().ravel()
    early = cohort.X[:, GENES.get_loc("Early")].toarray().ravel()
    assert np.corrcoef(late[known], cells.loc[known, "maturation"])[0, 1] > 0.7
    assert np.corrcoef(early[known], cells.loc[known, "maturation"])[0, 1] < -0.7


def test_a_planted_rise_is_there_and_nowhere_else():
    plant = {
        "kind": "expression",
        "where": {"condition": "tumour", "tissue": "spleen"},
        "cell_types": ["B"],
        "genes": ["Gene1"],
        "log2_fold": 2.0,
    }
    cohort, cells = draw([Truth("rise", (plant,))], cells=2000, **QUIET)
    groups = cells.groupby(["condition", "tissue", "cell_type"]).indices
    for (condition, tissue, kind), rows in groups.items():
        if kind not in ("A", "B"):
            continue
        rises = (condition, tissue, kind) == ("tumour", "spleen", "B")
        expected = 1000 * model().rates.loc["Gene1", kind] * (4 if rises else 1)
        counts = cohort.X[rows][:, GENES.get_loc("Gene1")].toarray()
        error = np.sqrt((expected + 0.3 * expected**2) / len(rows))
        assert abs(counts.mean() - expected) < 4 * error
    assert cells["planted"].eq("").all()


def test_a_planted_state_is_in_its_share_of_cells_and_raises_its_genes():
    plant = {
        "kind": "state",
        "where": {"condition": "tumour"},
        "cell_types": ["middle", "old"],
        "share": 0.3,
        "genes": ["Gene2"],
        "log2_fold": 3.0,
    }
    cohort, cells = draw([Truth("bad", (plant,))], cells=2000, **QUIET)
    carriers = cells["planted"] == "bad"
    assert set(cells.loc[carriers, "cell_type"]) == {"middle", "old"}
    assert set(cells.loc[carriers, "condition"]) == {"tumour"}
    could = cells["cell_type"].isin(["middle", "old"]) & (cells["condition"] == "tumour")
    assert carriers[could].mean() == pytest.approx(0.3, abs=0.04)
    level = [
        mean_of(cohort, cells, "Gene2", planted=name, cell_type="old", condition="tumour")
        for name in ("bad", "")
    ]
    assert level[0] / level[1] == pytest.approx(8, rel=0.15)


def test_a_planted_expansion_multiplies_the_odds():
    plant = {
        "kind": "abundance",
        "where": {"tissue": "spleen"},
        "cell_types": ["A"],
        "fold": 3.0,
    }
    truths = [Truth("expand", (plant,))]
    shares = pd.Series({"A": 0.2, "B": 0.8})
    spleen, marrow = {"tissue": "spleen"}, {"tissue": "bone marrow"}
    assert plant_shares(shares, truths, spleen)["A"] == pytest.approx(0.6 / 1.4)
    assert plant_shares(shares, truths, marrow)["A"] == pytest.approx(0.2)
    assert plant_shares(shares, without_effects(truths), spleen)["A"] == pytest.approx(0.2)
    # a tissue that does not hold the type stays as it is
    assert plant_shares(shares[["B"]], truths, spleen).to_dict() == {"B": 1.0}


def test_a_silenced_gene_has_no_count_anywhere():
    truths = [Truth("silent", ({"kind": "silence", "genes": ["OnlyA"]},))]
    for chosen in (truths, without_effects(truths)):
        cohort, _ = draw(chosen)
        assert cohort.X[:, GENES.get_loc("OnlyA")].sum() == 0


def test_donors_and_chemistries_differ_by_what_the_study_says():
    quiet = QUIET | {"chemistries": [{"name": "a"}, {"name": "b", "depth": 0.5}]}
    _, cells = draw(cells=1000, **quiet)
    medians = cells.groupby("donor")["counts"].median()
    assert medians["naive2"] / medians["naive1"] == pytest.approx(0.5, rel=0.05)
    loud = QUIET | {"gene_sd": QUIET["gene_sd"] | {"donor": 0.5}}
    cohort, cells = draw(cells=1000, **loud)
    spread = []
    for gene in GENES[:60]:
        levels = [
            mean_of(cohort, cells, gene, donor=donor, cell_type="B")
            for donor in cells["donor"].unique()
        ]
        spread.append(np.std(np.log(levels), ddof=1))
    assert np.mean(spread) == pytest.approx(0.5, abs=0.12)


def test_genes_of_a_response_rise_together_in_a_cell_and_in_a_mouse():
    loud = QUIET | {"response_sd": {"dissociation": 1.0, "interferon": 0}}
    cohort, cells = draw(cells=2000, **loud)
    own = (cells["cell_type"] == "B").to_numpy()
    counts = pd.DataFrame(np.log1p(cohort.X[own].toarray()), columns=GENES)
    counts -= counts.groupby(cells.loc[own, "donor"].to_numpy()).transform("mean")
    together = counts["Gene3"].corr(counts["Gene4"])
    alone = counts["Gene3"].corr(counts["Gene6"])
    assert together > 0.3
    assert abs(alone) < 0.1
    levels = {
        gene: [
            np.log(mean_of(cohort, cells, gene, donor=donor, cell_type="B"))
            for donor in cells["donor"].unique()
        ]
        for gene in ("Gene3", "Gene4", "Gene6")
    }
    assert np.std(levels["Gene3"], ddof=1) > 3 * np.std(levels["Gene6"], ddof=1)
    np.testing.assert_allclose(np.diff(levels["Gene3"]), np.diff(levels["Gene4"]), atol=0.15)


def test_a_plant_of_what_is_not_simulated_is_refused():
    genes, kinds = list(GENES), list(model().cell_types.index)
    wrong = {"kind": "expression", "cell_types": ["B"], "genes": ["Gen1"], "log2_fold": 1}
    with pytest.raises(InputError, match=r"t.yaml: truth 'x': plant\[0\].genes: 'Gen1'.*'Gene1'"):
        check_plants([Truth("x", (wrong,))], kinds, genes, "t.yaml")
    wrong = wrong | {"genes": ["Gene1"], "cell_types": ["C"]}
    with pytest.raises(InputError, match=r"cell_types: 'C' is not simulated; use one of: A, B"):
        check_plants([Truth("x", (wrong,))], kinds, genes, "t.yaml")
