"""Scores find what was planted, their null holds, and missing genes stay missing."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import rankdata

from emhniche.ambient_genes import COLUMNS
from emhniche.errors import InputError
from emhniche.random_sets import expression_bins
from emhniche.resources import load_panel, load_signatures
from emhniche.score import NULL_COLUMNS, gene_sets, rank_weights, score_cells

RESOURCES = Path(__file__).parents[1] / "resources"
PANEL = load_panel(RESOURCES / "panel.tsv", "mouse")
FILLERS = [f"Filler{number}" for number in range(2000)]
MODULE = tuple(FILLERS[100:110])
RANDOM = {f"random{k}": tuple(FILLERS[200 + 12 * k : 212 + 12 * k]) for k in range(20)}
NOTHING = pd.DataFrame(columns=COLUMNS)
SETTINGS = {"n_random": 100, "max_rank": 1500, "n_bins": 25, "seed": 0}


def signature_table(sets):
    rows = [
        {"set": name, "class": "identity", "genes": tuple(genes)} for name, genes in sets.items()
    ]
    return pd.DataFrame(rows).assign(polarity="positive")


SIGNATURES = signature_table({"module": MODULE, **RANDOM})


def simulate(n_cells=300, depth=1.0, raised=(), fold=8.0, seed=0):
    """Simulate independent gamma-Poisson counts of fillers and panel genes, unlike in abundance.

    `raised` genes are `fold` times as abundant in the first third of the cells.
    """
    rng = np.random.default_rng(seed)
    genes = [*FILLERS, *PANEL["gene"]]
    mean = np.exp(rng.normal(-1.0, 1.2, len(genes))) * depth
    rate = np.tile(mean, (n_cells, 1)) * rng.lognormal(0, 0.3, (n_cells, 1))
    rate[: n_cells // 3, [genes.index(gene) for gene in raised]] *= fold
    counts = rng.poisson(rng.gamma(2.0, rate / 2.0)).astype(np.float32)
    return counts, genes


def cells_of(*datasets, unmeasured=()):
    """Stack (name, counts, genes) into cells as `merge` writes them."""
    genes = datasets[0][2]
    parts = [sparse.csr_matrix(counts) for _, counts, _ in datasets]
    names = np.repeat([name for name, _, _ in datasets], [part.shape[0] for part in parts])
    obs = pd.DataFrame({"dataset": pd.Categorical(names), "qc_lineage": "T"})
    obs.index = [f"{name}:{number}" for number, name in enumerate(names)]
    cells = ad.AnnData(sparse.vstack(parts).tocsr(), obs=obs, var=pd.DataFrame(index=genes))
    measured = pd.DataFrame(True, index=genes, columns=sorted({*names}))
    for gene, name in unmeasured:
        measured.loc[gene, name] = False
    cells.varm["measured"] = measured
    return cells


def score(cells, signatures=SIGNATURES, **changes):
    settings = {**SETTINGS, "ambient": NOTHING, **changes}
    return score_cells(cells, panel=PANEL, signatures=signatures, **settings)


def auroc(values, positive):
    ranks = rankdata(values)
    n = positive.sum()
    return (ranks[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum())


@pytest.fixture(scope="module")
def planted():
    cells = cells_of(("a", *simulate(raised=MODULE)))
    scores, null = score(cells)
    return cells, scores, null.set_index("set"), np.arange(300) < 100


def test_a_planted_module_is_found_in_its_cells(planted):
    _, scores, null, here = planted
    assert auroc(scores["module"], here) > 0.95
    assert scores["module__z"][here].mean() > 2
    assert null.loc["module", "share_above_null95"] > 0.2


def test_the_null_of_random_sets_is_standard(planted):
    _, scores, null, _ = planted
    z = scores[[f"{name}__z" for name in RANDOM]]
    assert abs(z.to_numpy().mean()) < 0.1
    assert z.std().between(0.7, 1.4).all()
    assert 0.02 < null.loc[list(RANDOM), "share_above_null95"].mean() < 0.08
    off = null.loc[list(RANDOM), "score_mean"] / null.loc[list(RANDOM), "null_mean"]
    assert off.between(0.85, 1.15).all()


def test_random_sets_are_matched_in_expression():
    counts, genes = simulate()
    loud = tuple(np.array(genes)[np.argsort(-counts.sum(axis=0))[20:60:4]])
    _, null = score(cells_of(("a", counts, genes)), signature_table({"loud": loud}))
    row = null.set_index("set").loc["loud"]
    assert row["score_mean"] > 0.6  # high, but not above genes as abundant
    assert row["null_mean"] == pytest.approx(row["score_mean"], rel=0.1)
    assert row["share_above_null95"] < 0.1


def test_planted_antagonists_and_receptors_do_not_raise_the_agonists():
    il1 = PANEL[(PANEL["axis"] == "IL-1") & (PANEL["tier"] == "core")].set_index("gene")["role"]
    against = il1.index[il1.isin(["antagonist", "decoy_receptor"])]
    counts, genes = simulate(raised=against, fold=12)
    scores, _ = score(cells_of(("a", counts, genes)))
    here = np.arange(300) < 100
    assert auroc(scores["IL-1.antagonist"], here) > 0.9
    assert auroc(scores["IL-1.agonist"], here) < 0.6
    assert auroc(scores["IL-1.receptor"], here) < 0.6


def test_axis_sets_hold_one_side_of_one_axis():
    sets = {one.name: one for one in gene_sets(PANEL, SIGNATURES)}
    assert sets["IL-1.antagonist"].genes == ("Il1rn", "Il36rn", "Il1f10", "Il1r2")
    assert set(sets["LIF.receptor"].genes) == {"Lifr", "Il6st"}
    assert sets["CXCL12.antagonist"].genes == ("Ackr3",)
    assert "Cxcl15" not in sets["CXCR2.agonist"].genes  # extended gene of a core axis
    assert set(sets["VCAM1.receptor"].genes) == {"Itga4", "Itgb1"}
    assert sets["module"].kind == "signature"
    assert sets["KIT.agonist"].role == "agonist"


def test_negative_genes_of_a_signature_are_not_scored():
    both = pd.concat([SIGNATURES, SIGNATURES.assign(polarity="negative", genes=[("x", "y")] * 21)])
    assert gene_sets(PANEL, both) == gene_sets(PANEL, SIGNATURES)


def test_scores_equal_pyucell(planted):
    from pyucell import compute_ucell_scores

    cells, _, null, _ = planted
    names = ["module", "random3", "IL-1.receptor", "TNF.receptor"]
    genes = {one.name: list(one.genes) for one in gene_sets(PANEL, SIGNATURES)}
    for limit in (40, int(null["max_rank"].iloc[0])):
        ours, table = score(cells, max_rank=limit)
        assert set(table["max_rank"]) == {limit}
        compute_ucell_scores(
            cells,
            {name: genes[name] for name in names},
            max_rank=limit,
            missing_genes="skip",
            n_jobs=1,
            suffix="",
        )
        for name in names:
            np.testing.assert_allclose(ours[name], cells.obs[name], atol=1e-6)
        assert cells.obs["module"].nunique() > 50


def test_rank_weights_share_ranks_between_ties():
    counts = sparse.csr_matrix(np.array([[9, 5, 5, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]], float))
    weights = rank_weights(counts, 5).toarray()
    # ranks: 1, 2.5, 2.5, none, 5, 5, 5
    assert weights.tolist() == [[4, 2.5, 2.5, 0, 0, 0, 0], [0] * 7]


def test_genes_that_a_dataset_did_not_measure_are_left_out():
    counts, genes = simulate()
    gone = [*MODULE[:9], *RANDOM["random0"], *RANDOM["random1"][:4]]
    cells = cells_of(
        ("a", counts, genes), ("b", counts, genes), unmeasured=[(gene, "b") for gene in gone]
    )
    scores, null = score(cells)
    in_b = cells.obs["dataset"].to_numpy() == "b"
    rows = null.set_index(["dataset", "set"])
    assert rows.loc[("b", "module"), "status"] == "single_gene"
    assert rows.loc[("b", "random0"), "status"] == "not_measured"
    assert rows.loc[("b", "random1"), "status"] == "scored"
    assert rows.loc[("b", "random1"), ["n_genes", "n_measured"]].tolist() == [12, 8]
    assert rows.loc[("b", "module"), "genes_missing"] == ";".join(MODULE[:9])
    assert (rows.loc["a"].loc[list(RANDOM), "genes_missing"] == "").all()
    for name in ("module", "random0"):
        assert scores.loc[in_b, [name, f"{name}__z"]].isna().all().all()
        assert scores.loc[~in_b, [name, f"{name}__z"]].notna().all().all()
        assert np.isnan(rows.loc[("b", name), "null_mean"])
        assert rows.loc[("b", name), "n_random"] == 0
    assert scores.loc[in_b, "random1"].notna().all()
    # what lies in a column that was not measured neither ranks nor counts
    kept = [gene for gene in genes if gene not in gone]
    columns = [genes.index(gene) for gene in kept]
    alone, _ = score(cells_of(("b", counts[:, columns], kept)))
    np.testing.assert_array_equal(scores.loc[in_b, "random1"], alone["random1"])
    np.testing.assert_array_equal(scores.loc[in_b, "random1__z"], alone["random1__z"])


def test_a_dataset_that_measures_no_set_is_scored_with_nothing():
    counts, genes = simulate(n_cells=60)
    kept = set(FILLERS) - {*MODULE, *(gene for members in RANDOM.values() for gene in members)}
    gone = [(gene, "b") for gene in genes if gene not in kept and gene != MODULE[0]]
    scores, null = score(cells_of(("a", counts, genes), ("b", counts, genes), unmeasured=gone))
    in_b = scores["cell_id"].str.startswith("b:")
    figures = scores.drop(columns="cell_id")
    assert in_b.sum() == 60
    assert figures[in_b].isna().all().all()
    assert figures.loc[~in_b, ["module", "module__z"]].notna().all().all()
    status = null[null["dataset"] == "b"].set_index("set")["status"]
    assert status["module"] == "single_gene"
    assert status["random0"] == "not_measured"
    alone, _ = score(cells_of(("a", counts, genes)))
    pd.testing.assert_frame_equal(scores[~in_b].reset_index(drop=True), alone)


def test_a_set_of_one_gene_is_left_to_detection_and_pseudobulk(planted):
    _, scores, null, _ = planted
    assert null.loc["KIT.agonist", "status"] == "single_gene"
    assert scores["KIT.agonist"].isna().all()


def test_every_set_and_dataset_has_a_row(planted):
    cells, scores, null, _ = planted
    names = [one.name for one in gene_sets(PANEL, SIGNATURES)]
    assert null.index.tolist() == names
    assert ["set", *null.columns] == list(NULL_COLUMNS)
    assert scores.columns.tolist() == [
        "cell_id",
        *(column for name in names for column in (name, f"{name}__z")),
    ]
    assert scores["cell_id"].tolist() == cells.obs_names.tolist()
    values = scores[[name for name in names if null.loc[name, "status"] == "scored"]]
    assert values.min().min() >= 0
    assert values.max().max() <= 1


def test_the_order_of_cells_and_genes_does_not_matter(planted):
    cells, scores, null, _ = planted
    rng = np.random.default_rng(1)
    mixed = cells[rng.permutation(cells.n_obs), rng.permutation(cells.n_vars)].copy()
    again, null_again = score(mixed)
    again = again.set_index("cell_id").loc[cells.obs_names].reset_index()
    pd.testing.assert_frame_equal(again, scores, check_names=False)
    pd.testing.assert_frame_equal(null_again.set_index("set"), null)


def test_datasets_are_scored_apart_and_may_lie_mixed():
    counts, genes = simulate()
    other, _ = simulate(seed=5, depth=0.4)
    cells = cells_of(("a", counts, genes), ("b", other, genes))
    mixed = cells[np.random.default_rng(2).permutation(cells.n_obs)].copy()
    scores = score(mixed)[0].set_index("cell_id").loc[cells.obs_names]
    alone, _ = score(cells_of(("a", counts, genes)))
    np.testing.assert_array_equal(scores["module__z"][:300], alone["module__z"])


def test_the_seed_decides_the_random_sets_and_nothing_else(planted):
    cells, scores, _, _ = planted
    same, _ = score(cells)
    other, _ = score(cells, seed=1)
    pd.testing.assert_frame_equal(same, scores)
    np.testing.assert_array_equal(other["module"], scores["module"])
    assert not np.allclose(other["module__z"], scores["module__z"])
    assert np.corrcoef(other["module__z"], scores["module__z"])[0, 1] > 0.98


def test_cells_of_little_rna_are_told_apart():
    counts, genes = simulate(depth=0.03, raised=MODULE, fold=40)
    n_genes = (counts > 0).sum(axis=1)
    assert np.median(n_genes) < 60
    scores, null = score(cells_of(("a", counts, genes)))
    assert set(null["max_rank"]) == {int(np.median(n_genes))}
    assert auroc(scores["module"], np.arange(300) < 100) > 0.95
    assert scores["module"].nunique() > 50
    assert scores["module"].max() > 0.5


@pytest.mark.parametrize("whole", [True, False], ids=["read at once", "read in parts"])
def test_the_file_itself_can_be_scored(planted, tmp_path, monkeypatch, whole):
    cells, scores, null, _ = planted
    monkeypatch.setattr("emhniche.score.WHOLE_BYTES", 1e9 if whole else 0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    again, null_again = score(backed)
    pd.testing.assert_frame_equal(again, scores)
    pd.testing.assert_frame_equal(null_again.set_index("set"), null)


def test_bins_are_fine_where_genes_are_abundant():
    expression = np.sort(np.concatenate([np.zeros(400), np.geomspace(1, 1e4, 2000)]))
    bins = expression_bins(expression, n_bins=25, min_genes=50)
    sizes = np.bincount(bins)
    assert sizes.min() >= 50
    assert len(sizes) > 10
    assert sizes[0] == 400  # genes without a count
    assert sizes[1] > sizes[-1]
    ends = expression[np.flatnonzero(np.diff(bins))]
    assert (np.diff(ends) > 0).all()
    assert expression_bins(np.zeros(30), n_bins=25, min_genes=50).tolist() == [0] * 30


def test_too_few_genes_for_random_sets_is_an_error():
    counts, genes = simulate()
    few = cells_of(("tiny", counts[:, 100:115], genes[100:115]))
    with pytest.raises(InputError, match=r"^dataset tiny: it measures 15 genes, too few"):
        score(few)


def test_published_marrow_gates_are_recovered(mirror):
    from emhniche.ingest import parse_files

    signatures = load_signatures(RESOURCES / "signatures.tsv", "mouse")
    parts = []
    for library in ("P9A", "P12A"):
        path = mirror / f"{library}.counts.tsv.gz"
        part = parse_files([path], file_format="auto", aliases={}, species="mouse")
        part.obs_names = library + ":" + part.obs_names
        parts.append(part[part.X.getnnz(axis=1) >= 300])
    cells = ad.concat(parts)
    cells.obs[["dataset", "qc_lineage"]] = "klein", "HSPC"
    cells.varm["measured"] = pd.DataFrame(True, index=cells.var_names, columns=["klein"])
    scores, null = score(cells, signatures, n_random=50)
    erythroid = np.arange(cells.n_obs) < parts[0].n_obs
    assert auroc(scores["EryP"], erythroid) > 0.85
    assert auroc(scores["EryP__z"], erythroid) > 0.85
    assert auroc(scores["GMP__z"], ~erythroid) > 0.75
    assert scores["GMP__z"][~erythroid].mean() > 1
    ligands = null.set_index("set").loc[["KIT.agonist", "G-CSF.agonist", "LIF.agonist"], "status"]
    assert (ligands == "single_gene").all()


def test_published_stroma_clusters_are_recovered(mirror):
    from emhniche.ingest import parse_files

    paths = [mirror / "matsushita2023_rnaRaw.rda", mirror / "matsushita2023_rnaCluster.rda"]
    cells = parse_files(paths, file_format="auto", aliases={}, species="mouse")
    cells.obs[["dataset", "qc_lineage"]] = "matsushita", "stroma"
    cells.varm["measured"] = pd.DataFrame(True, index=cells.var_names, columns=["matsushita"])
    scores, _ = score(cells, load_signatures(RESOURCES / "signatures.tsv", "mouse"))
    cluster = cells.obs["source_rnaCluster"].astype(str).to_numpy()
    z = scores[["LepR_CAR_MSC__z", "Chondrocyte__z"]].groupby(cluster).mean()
    assert z["LepR_CAR_MSC__z"].idxmax() == "RE"
    assert z.loc["RE", "LepR_CAR_MSC__z"] > 2
    assert z["Chondrocyte__z"].idxmax() == "CH"


def test_the_committed_benchmark_beats_the_loop_without_a_null():
    table = pd.read_csv(RESOURCES.parent / "docs" / "score_benchmark.tsv", sep="\t")
    rows = table.assign(whole=table["prepare_s"] + table["score_s"]).set_index("method")
    own, loop = rows[rows.index.str.startswith("emhniche")], rows.loc["scanpy score_genes"]
    assert (own["random_sets"] >= 200).all()
    assert (own["cells"] == 100_000).all()
    assert (own["sets"] == loop["sets"]).all()
    assert (own["peak_gb"] < 2).all()
    assert (own["whole"] <= loop["whole"]).all()
    assert own.loc["emhniche, in memory", "score_s"] <= loop["score_s"]
