"""Blood made outside the marrow is measured against the same tissue at rest, donor by donor."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from emhniche.ambient import flag_groups
from emhniche.design import audit_composition, audit_contrast
from emhniche.emh_axes import COLUMNS as AXIS_COLUMNS
from emhniche.emh_axes import _ordered, rank_axes, relate
from emhniche.emh_index import COLUMNS, compare_index, index_units
from emhniche.pseudobulk import sum_cells
from niche_cohort import cohort, library, panel_of

TUMOUR = {"name": "t", "factor": "condition", "test": "tumour", "reference": "naive"}
KINDS = ("B", "HSPC", "erythroid", "preNeu", "matNeu")
REST = np.array([0.7, 0.05, 0.1, 0.05, 0.1])
MADE = np.array([0.4, 0.15, 0.25, 0.1, 0.1])
LINEAGE = {"preNeu": "neutrophil", "matNeu": "neutrophil"}


def spleens(n_naive: int = 4, n_tumour: int = 4, **columns: str) -> list[dict]:
    """Return spleens of naive and of tumour-bearing mice."""
    rows = []
    for condition, arm, n in (("naive", "reference", n_naive), ("tumour", "case", n_tumour)):
        for i in range(n):
            name = f"{condition}{i}"
            given = {"condition": condition, "arm": arm} | columns
            rows.append(library(name, name, "extramedullary", **given))
    return rows


def made(libraries, *, shares=None, seed=0, n_cells=500, dividing=None):
    """Return cells, annotation and scores of a cohort whose libraries hold kinds at `shares`."""
    cells, annotation = cohort(libraries, seed=seed, n_genes=8, n_cells=n_cells, lineages=("B",))
    rng = np.random.default_rng(seed)
    kinds, z = [], []
    for row in libraries:
        mean = (shares or {"naive": REST, "tumour": MADE})[row["condition"]]
        noisy = mean * rng.lognormal(0, 0.2, len(KINDS))
        kinds.append(rng.choice(KINDS, n_cells, p=noisy / noisy.sum()))
        share = (dividing or {}).get(row["condition"], 0.3)
        z.append(np.where(rng.random(n_cells) < share, 3.0, 0.0))
    annotation["cell_type"] = np.concatenate(kinds)
    annotation["lineage"] = annotation["cell_type"].replace(LINEAGE)
    scores = pd.DataFrame({"cell_id": cells.obs_names, "CellCycle_G2M__z": np.concatenate(z)})
    return cells, annotation, scores


def index_of(libraries, min_cells=20, min_units=3, **settings) -> pd.DataFrame:
    cells, annotation, scores = made(libraries, **settings)
    bulk = sum_cells(cells, annotation, ["g0"])
    table = index_units(
        bulk, cells.obs, annotation, scores, min_cells=min_cells, min_units=min_units
    )
    assert table.columns.tolist() == [*COLUMNS]
    return table.set_index("samples")


def test_a_spleen_that_makes_blood_stands_out():
    table = index_of(spleens())
    assert (table["status"] == "described").all()
    assert (table["steady_units"] == 4).all()
    tumour = table[table["condition"] == "tumour"]
    naive = table[table["condition"] == "naive"]
    assert naive["emh_index"].mean() == pytest.approx(0.0, abs=1e-9)
    odds = np.log2((MADE / (1 - MADE)) / (REST / (1 - REST)))
    assert tumour["log2_hspc"].mean() == pytest.approx(odds[1], abs=0.4)
    assert tumour["log2_erythroid"].mean() == pytest.approx(odds[2], abs=0.4)
    assert tumour["emh_index"].mean() == pytest.approx(odds[1:4].mean(), abs=0.3)
    assert tumour["emh_index"].min() > naive["emh_index"].max()


def test_neutrophils_that_arrive_are_not_counted_as_made():
    arrived = np.array([0.3, 0.05, 0.1, 0.05, 0.5])
    table = index_of(spleens(), shares={"naive": REST, "tumour": arrived})
    tumour = table[table["condition"] == "tumour"]
    assert tumour["emh_index"].abs().max() < 0.7


def test_a_kind_that_no_library_holds_is_not_measured_and_never_zero():
    table = index_of(spleens())
    assert table["log2_megakaryocyte"].isna().all()
    assert (table["fraction_megakaryocyte"] == 0).all()
    assert (table["n_branches"] == 3).all()


def test_dividing_progenitors_are_told_beside_the_index():
    table = index_of(spleens(), dividing={"naive": 0.2, "tumour": 0.6})
    tumour, naive = (table[table["condition"] == name] for name in ("tumour", "naive"))
    assert tumour["cycling_erythroid"].mean() == pytest.approx(0.6, abs=0.07)
    assert naive["cycling_erythroid"].mean() == pytest.approx(0.2, abs=0.07)
    few = index_of(spleens(), min_cells=400)
    assert few[["cycling_hspc", "cycling_erythroid"]].isna().all().all()


def test_without_a_steady_state_there_is_no_index():
    alone = index_of(spleens(n_naive=0))
    assert (alone["status"] == "not_testable").all()
    assert alone["reason"].str.startswith("no reference donor of spleen of d1").all()
    assert alone[["emh_index", "log2_hspc"]].isna().all().all()
    assert (alone["fraction_hspc"] > 0).all()
    few = index_of(spleens(n_naive=2))
    assert (few["status"] == "effect_only").all()
    assert few["emh_index"].notna().all()


def test_the_marrow_is_no_steady_state_of_the_spleen():
    marrow = [library("m", "m", "marrow", condition="naive", arm="reference")]
    table = index_of([*spleens(n_naive=0), *marrow])
    assert "m" not in table.index
    assert (table["status"] == "not_testable").all()


def test_a_sorted_library_has_no_frequencies():
    rows = spleens()
    rows[0]["enrichment"] = rows[5]["enrichment"] = "CD45-"
    table = index_of(rows)
    gated = table.loc[["naive0", "tumour1"]]
    assert (gated["status"] == "not_identifiable").all()
    assert gated[["fraction_hspc", "emh_index", "cycling_erythroid"]].isna().all().all()
    assert (table["steady_units"] == 3).all()


def test_a_sorted_library_does_not_cost_a_donor_its_unsorted_one():
    rows = spleens()
    gated = {**rows[5], "sample": "tumour1_kit", "enrichment": "Kit+"}
    only_hspc = {"naive": REST, "tumour": MADE}
    plain = index_of(rows, shares=only_hspc).drop(columns=["unit"])
    table = index_of([*rows, gated], shares=only_hspc)
    assert "tumour1_kit" not in table.index
    assert (table["status"] == "described").all()
    assert table.loc["tumour1", "n_cells"] == 500
    assert table.loc["tumour1", "emh_index"] == pytest.approx(
        plain.loc["tumour1", "emh_index"], abs=1e-9
    )


def test_a_kind_that_is_all_of_the_tissue_measures_no_catch_of_cells():
    cells, annotation, scores = made(spleens())
    annotation["lineage"] = annotation["cell_type"] = "HSPC"
    caught = cells.obs["arm"].eq("case").to_numpy() | (np.arange(cells.n_obs) % 10 == 0)
    cells, annotation, scores = cells[caught].copy(), annotation[caught], scores[caught]
    bulk = sum_cells(cells, annotation, ["g0"])
    table = index_units(bulk, cells.obs, annotation, scores, min_cells=20, min_units=3)
    assert (table["fraction_hspc"] == 1).all()
    assert table[["log2_hspc", "emh_index"]].isna().all().all()
    assert (table["status"] == "not_testable").all()
    assert table["reason"].str.startswith("no branch has 20 cells, and 20 others beside it").all()
    audit = audit_contrast(bulk.samples, TUMOUR, min_units=3)
    frequency = audit_composition(bulk.samples, audit, min_units=3)
    found = compare_index(table, [audit], [frequency], min_units=3).set_index("measure")
    assert found.loc[["emh_index", "hspc"], ["effect", "p"]].isna().all().all()
    assert "no branch has 20 cells" in found.loc["hspc", "reason"]


def test_unknown_donors_make_no_steady_state():
    rows = spleens(n_naive=0, n_tumour=2)
    for i in range(4):
        rows.append(library(f"u{i}", "", "extramedullary", condition="naive", arm="reference"))
    assert (index_of(rows)["steady_units"] == 0).all()


def compared(libraries, min_units=3, **settings) -> pd.DataFrame:
    cells, annotation, scores = made(libraries, **settings)
    bulk = sum_cells(cells, annotation, ["g0"])
    units = index_units(bulk, cells.obs, annotation, scores, min_cells=20, min_units=min_units)
    audit = audit_contrast(bulk.samples, TUMOUR, min_units=min_units)
    frequency = audit_composition(bulk.samples, audit, min_units=min_units)
    return compare_index(units, [audit], [frequency], min_units=min_units).set_index("measure")


def test_arms_are_compared_over_donors():
    table = compared(spleens(), dividing={"naive": 0.2, "tumour": 0.6})
    assert table.loc["emh_index", "status"] == "tested"
    assert table.loc["emh_index", "q"] < 0.05
    assert table.loc["cycling_erythroid", "q"] < 0.05
    assert table.loc["cycling_erythroid", "effect"] == pytest.approx(0.4, abs=0.1)
    assert table.loc["megakaryocyte", "status"] == "not_testable"
    assert np.isnan(table.loc["megakaryocyte", "p"])
    assert table.loc["megakaryocyte", "reason"] == (
        "no tumour or naive unit could be measured (too few cells of the kind, or beside it)"
    )


def test_the_table_of_contrasts_says_itself_why_a_measure_cannot_be_compared():
    gate = {"case": "CD11c+", "reference": "none"}
    gated = [{**row, "enrichment": gate[row["arm"]]} for row in spleens()]
    table = compared(gated)
    assert set(table["status"]) == {"not_identifiable"}
    assert set(table["reason"]) == {
        "every tumour library is sorted or enriched (CD11c+), and the gate set how frequent each "
        "cell type is"
    }
    unknown = [{**row, "arm": "case"} for row in spleens()]
    table = compared(unknown)
    index = table.loc[["emh_index", "hspc"]]
    assert set(index["status"]) == {"not_testable"}
    assert set(index["reason"]) == {
        "no tumour or naive unit could be measured (no reference donor of spleen of d1: nothing to "
        "compare with)"
    }
    # dividing cells are compared without a steady state
    assert table.loc["cycling_erythroid", "status"] == "tested"
    one_arm = [row | ({"dataset": "d2"} if row["arm"] == "case" else {}) for row in spleens()]
    assert compared(one_arm).loc["hspc", "reason"].startswith("no tumour unit could be measured (")


@pytest.mark.parametrize("other", [{"tissue": "liver"}, {"dataset": "d2"}])
def test_which_of_a_donors_libraries_counts_is_not_left_to_their_names(other):
    rows = spleens()
    more = [{**row, "sample": f"a{row['sample']}", **other} for row in rows]
    table = compared([*rows, *more])
    assert (table["status"] == "not_testable").all()
    assert table[["mean_test", "effect", "ci_low", "p", "q"]].isna().all().all()
    assert table["reason"].str.contains("several tissues or datasets; give the contrast").all()
    again = [{**row, "sample": f"a{row['sample']}"} for row in rows]
    table = compared([*rows, *again])
    assert table.loc["emh_index", "status"] == "tested"


def test_without_a_difference_p_keeps_its_level():
    cells, annotation, scores = made(spleens(3, 3), n_cells=60)
    bulk = sum_cells(cells, annotation, ["g0"])
    audit = audit_contrast(bulk.samples, TUMOUR, min_units=3)
    frequency = audit_composition(bulk.samples, audit, min_units=3)
    p = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        mean = bulk.groups["cell_type"].map(dict(zip(KINDS, 800 * REST, strict=True)))
        drawn = rng.poisson(mean * rng.lognormal(0, 0.3, len(mean)))
        again = replace(bulk, groups=bulk.groups.assign(n_cells=drawn))
        units = index_units(again, cells.obs, annotation, scores, min_cells=20, min_units=3)
        found = compare_index(units, [audit], [frequency], min_units=3).set_index("measure")
        p.append(found.loc[["emh_index", "hspc", "erythroid", "neutrophil_precursor"], "p"])
    assert 0.02 <= (pd.concat(p) < 0.05).mean() <= 0.08


def test_a_confounded_contrast_has_no_p():
    rows = [{**row, "study": row["condition"]} for row in spleens()]
    table = compared(rows)
    assert set(table["status"]) == {"not_identifiable", "not_testable"}
    assert table[["p", "q", "ci_low"]].isna().all().all()
    table = compared(spleens(2, 2), min_units=3)
    assert set(table["status"]) == {"effect_only", "not_testable"}
    assert table["p"].isna().all()


def test_contrasts_with_the_marrow_are_left_out():
    rows = spleens(3, 0)
    for i in range(3):
        rows.append(library(f"m{i}", f"m{i}", "marrow", condition="naive", arm="reference"))
    cells, annotation, scores = made(rows)
    bulk = sum_cells(cells, annotation, ["g0"])
    units = index_units(bulk, cells.obs, annotation, scores, min_cells=20, min_units=3)
    niche = {"name": "n", "factor": "niche", "test": "extramedullary", "reference": "marrow"}
    audit = audit_contrast(bulk.samples, niche, min_units=3)
    frequency = audit_composition(bulk.samples, audit, min_units=3)
    assert compare_index(units, [audit], [frequency], min_units=3).empty


# --- which axes move with it


def test_the_arm_alone_makes_no_correlation():
    arm = np.repeat(["naive", "tumour"], 6)
    lift = 10.0 * (arm == "tumour")
    rhos, p = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        found = relate(rng.normal(size=12) + lift, rng.normal(size=12) + lift, arm, seed=0)
        rhos.append(found["rho"])
        p.append(found["p"])
        assert found["rho_between"] > 0.3
    assert np.mean(rhos) == pytest.approx(0.0, abs=0.08)
    assert np.mean(np.array(p) < 0.05) <= 0.09


def test_exact_p_of_four_donors_an_arm():
    arm = np.repeat(["a", "b"], 4)
    level = np.array([1, 2, 3, 4, 11, 12, 13, 14.0])
    found = relate(level, level + 5, arm, seed=0)
    assert found["rho"] == pytest.approx(1.0)
    assert found["status"] == "tested"
    assert found["p"] == pytest.approx(2 / 576)
    assert found["min_attainable_p"] == pytest.approx(2 / 576)


def test_drawn_orders_agree_with_all_of_them():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=8), rng.normal(size=8)
    drawn = relate(x, y + x, np.repeat("a", 8), seed=0)
    again = relate(x, y + x, np.repeat("a", 8), seed=0)
    assert drawn["p"] == again["p"]
    assert drawn["rho"] == pytest.approx(stats.spearmanr(x, y + x).statistic)
    assert drawn["p"] == pytest.approx(stats.spearmanr(x, y + x).pvalue, abs=0.03)


def test_few_donors_of_a_kind_get_no_p():
    found = relate(np.arange(6.0), np.arange(6.0), np.repeat(["a", "b"], 3), seed=0)
    assert found["status"] == "effect_only"
    assert np.isnan(found["p"])
    assert found["min_attainable_p"] == pytest.approx(2 / 36)
    alone = relate(np.arange(3.0), np.arange(3.0), np.array(["a", "b", "c"]), seed=0)
    assert alone["status"] == "not_testable"
    assert np.isnan(alone["rho"])


def test_a_donor_in_two_strata_is_one_witness():
    rng = np.random.default_rng(0)
    level, index = (np.tile(rng.normal(size=6), 2) for _ in range(2))
    strata = np.repeat(["spleen", "liver"], 6)
    twice = np.tile([f"d{i}" for i in range(6)], 2)
    found = relate(level, index, strata, twice, seed=0)
    assert (found["status"], found["reason"]) == (
        "effect_only",
        "a donor stands in several strata",
    )
    assert np.isnan([found["p"], found["min_attainable_p"]]).all()
    assert np.isfinite(found["rho"])
    own = relate(level, index, strata, np.array([f"d{i}" for i in range(12)]), seed=0)
    assert own["status"] == "tested"
    # alone in its tissue a library is not ranked, so it is no second witness
    alone = relate(level[:7], index[:7], strata[:7], twice[:7], seed=0)
    assert alone["status"] == "tested"


def ranked(rows: list[dict]) -> pd.DataFrame:
    """Rank one axis over units with an index drawn at random, a unit a library."""
    cells, annotation = cohort(rows, seed=0, n_genes=40, n_cells=30, lineages=("stroma", "B"))
    names = [row["sample"] for row in rows]
    index = pd.DataFrame({"unit": names, "samples": names, "status": "described"})
    index["emh_index"] = np.random.default_rng(0).normal(size=len(rows))
    bulk = sum_cells(cells, annotation, ["g0"])
    ambient = flag_groups(bulk, ["g0"])
    return rank_axes(bulk, index, panel_of(["g0"]), ambient, min_cells=20, min_counts=10, seed=0)


def test_donors_with_two_tissues_get_no_p_from_the_ranking():
    rows = spleens(5, 5)
    livers = [{**row, "sample": f"l{row['sample']}", "tissue": "liver"} for row in rows]
    assert set(ranked(rows)["status"]) == {"tested"}
    table = ranked([*rows, *livers])
    assert set(table["status"]) == {"effect_only"}
    assert set(table["reason"]) == {"a donor stands in several strata"}
    others = [{**row, "donor": row["sample"]} for row in livers]
    assert set(ranked([*rows, *others])["status"]) == {"tested"}


def test_rows_that_are_alike_share_a_rank():
    rho = [0.5, 1.0, -1.0, np.nan, 0.1]
    status = ["effect_only", "effect_only", "effect_only", "not_testable", "tested"]
    names = {"tier": "core", "axis": list("EDCBA"), "side": "agonist", "lineage": "B"}
    least, p = [0.125, 0.125, 0.125, np.nan, 0.01], [np.nan] * 4 + [0.3]
    table = _ordered(
        pd.DataFrame({"rho": rho, "status": status, "min_attainable_p": least, "p": p, **names})
    )
    assert table["axis"].tolist() == list("ACDEB")
    assert table["rank"].fillna(0).tolist() == [1, 2, 2, 4, 0]


def test_an_axis_that_follows_the_index_is_ranked_first():
    rows = spleens(6, 6)
    cells, annotation = cohort(rows, seed=0, n_genes=60, n_cells=60, lineages=("stroma", "B"))
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=12)
    index = pd.DataFrame(
        {
            "unit": [f"u{i}" for i in range(12)],
            "samples": [row["sample"] for row in rows],
            "emh_index": wanted,
            "status": "described",
        }
    )
    lift = dict(zip(index["samples"], np.exp2(2 * wanted), strict=True))
    x = cells.X.toarray()
    x[:, 0] = rng.poisson(cells.obs["sample"].map(lift).to_numpy(float))
    x[:, 1] = 0
    cells.X = type(cells.X)(x)
    roles = ["ligand", "antagonist", "ligand", "ligand"]
    panel = panel_of(["g0", "g1", "g2", "g3"]).assign(role=roles, axis=["X", "X", "Y", "Z"])
    bulk = sum_cells(cells, annotation, panel["gene"])
    ambient = flag_groups(bulk, panel["gene"])
    table = rank_axes(bulk, index, panel, ambient, min_cells=20, min_counts=10, seed=0)
    assert table.columns.tolist() == [*AXIS_COLUMNS]
    first = table.iloc[:2]
    assert first[["axis", "side"]].to_numpy().tolist() == [["X", "agonist"]] * 2
    assert (first["rho"] > 0.7).all()
    assert (first["status"] == "tested").all()
    assert (first["q"] < 0.05).all()
    silent = table[table["side"] == "antagonist"]
    assert set(silent["status"]) == {"not_testable"}
    assert silent[["rho", "p", "rank"]].isna().all().all()
    assert (table.loc[table["axis"].isin(["Y", "Z"]), "q"] > 0.05).all()
