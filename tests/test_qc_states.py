import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche.qc_states import SCORES, cell_states, describe_states
from emhniche.report import sample_checks
from emhniche.resources import load_signatures
from planted import library

MOUSE = load_signatures("resources/signatures.tsv", "mouse")
HUMAN = load_signatures("resources/signatures.tsv", "human")


def sets_of(signatures):
    positive = signatures[signatures["polarity"] == "positive"].set_index("set")["genes"]
    return {score: list(positive[name]) for score, name in SCORES.items()}


def with_states(signatures, n=300):
    """Give a third of the cells genes of S, a third of G2M, and stress to every second one."""
    rng = np.random.default_rng(0)
    cells = library({"B": n, "T": n}, seed=2)
    sets = sets_of(signatures)
    state = rng.choice(["G1", "S", "G2M"], cells.n_obs)
    stressed = np.arange(cells.n_obs) % 2 == 0
    on = {"stress_score": stressed, "s_score": state == "S", "g2m_score": state == "G2M"}
    extra = {
        gene: rng.poisson(np.where(on[score], 1.0, 0.03))
        for score, genes in sets.items()
        for gene in genes
    }
    frame = cells.to_df().drop(columns=list(extra), errors="ignore")
    frame = pd.concat([frame, pd.DataFrame(extra, index=cells.obs_names)], axis=1)
    counts = ad.AnnData(
        sparse.csr_matrix(frame.to_numpy(dtype=np.float32)),
        obs=cells.obs,
        var=pd.DataFrame(index=frame.columns),
    )
    return counts, state, stressed


@pytest.mark.parametrize("signatures", [MOUSE, HUMAN], ids=["mouse", "human"])
def test_planted_phases_and_stress_are_found_in_both_species(signatures):
    counts, state, stressed = with_states(signatures)
    table = cell_states(counts, signatures, np.ones(counts.n_obs, bool), seed=0)
    assert (table["phase"] == state).mean() > 0.9
    high = table["stress_score"][stressed].quantile(0.1)
    assert high > table["stress_score"][~stressed].quantile(0.9)


def test_one_stray_count_does_not_make_a_cell_cycle():
    counts, state, _ = with_states(MOUSE)
    table = cell_states(counts, MOUSE, np.ones(counts.n_obs, bool), seed=0)
    resting = table["phase"][state == "G1"]
    assert (resting != "G1").mean() < 0.1


def test_the_share_of_cycling_cells_grows_with_depth_and_the_page_says_so():
    # cells that are all alike: nobody cycles more than anybody else
    rng = np.random.default_rng(0)
    genes = [gene for name in sets_of(MOUSE).values() for gene in name]
    names = [*genes, *(f"Gene{i}" for i in range(400))]
    rates = np.r_[np.full(len(genes), 0.2), rng.gamma(1.0, 10.0, 400)]
    share = {}
    for depth in (400, 4000):
        drawn = rng.poisson(depth * rates / rates.sum(), (300, len(names)))
        counts = ad.AnnData(sparse.csr_matrix(drawn, dtype=np.float32))
        counts.var_names = names
        table = cell_states(counts, MOUSE, np.ones(300, bool), seed=0)
        share[depth] = table["phase"].isin(["S", "G2M"]).mean()
    assert share[400] < 0.1 and share[4000] > 2 * share[400] + 0.1
    summed = describe_states(table.assign(lineage="B"))
    assert "approximate" in sample_checks.describe_states({"states": summed})


def test_missing_genes_leave_the_score_empty():
    counts, _, _ = with_states(MOUSE)
    few = sets_of(MOUSE)["g2m_score"][4:]
    counts = counts[:, ~counts.var_names.isin(few)].copy()
    table = cell_states(counts, MOUSE, np.ones(counts.n_obs, bool), seed=0)
    assert table["g2m_score"].isna().all()
    assert table["phase"].isna().all()
    assert table["s_score"].notna().all()
    assert describe_states(table.assign(lineage="B"))["lineages"][0]["n"] == 0


def test_a_panel_has_no_control_genes_to_spare():
    counts, _, _ = with_states(MOUSE)
    listed = {gene for genes in sets_of(MOUSE).values() for gene in genes}
    panel = counts[:, counts.var_names.isin(listed)].copy()
    table = cell_states(panel, MOUSE, np.ones(panel.n_obs, bool), seed=0)
    assert table.isna().all(axis=None)


def test_unusable_barcodes_are_not_scored():
    counts, _, _ = with_states(MOUSE)
    usable = np.arange(counts.n_obs) > 10
    table = cell_states(counts, MOUSE, usable, seed=0)
    assert table.loc[~usable, "s_score"].isna().all()
    assert table.loc[~usable, "phase"].isna().all()
    assert table.loc[usable, "phase"].notna().all()
    none = cell_states(counts, MOUSE, np.zeros(counts.n_obs, bool), seed=0)
    assert none.isna().all(axis=None)
