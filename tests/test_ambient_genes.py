"""Soup of S100a8, haemoglobin and immunoglobulin is no marker and no score; own counts are."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche.ambient import explained_by_ambient
from emhniche.ambient_genes import SOUP_SHARE, ambient_genes, flag_markers, foreign_genes
from emhniche.annotate import cluster_markers
from emhniche.errors import InputError
from emhniche.resources import load_ambient, load_lineages, load_panel
from emhniche.score import score_cells

LISTED = load_ambient("resources/ambient.tsv", "mouse")
PANEL = load_panel("resources/panel.tsv", "mouse")
ALARMIN, HB, IG = ("S100a8", "S100a9"), ("Hba-a1", "Hbb-bs"), ("Igkc", "Ighm")
OWN = {
    "neutrophil": dict.fromkeys(ALARMIN, 0.12),
    "erythroid": dict.fromkeys(HB, 0.2),
    "plasma": dict.fromkeys(IG, 0.2),
    "B": dict.fromkeys(IG, 0.02),
    "T": {},
    "stroma": {},
}
N_MARKERS = 15
MADE = {name: [f"{name}_{i}" for i in range(N_MARKERS)] for name in OWN}
GENES = [
    *(gene for own in MADE.values() for gene in own),
    *ALARMIN,
    *HB,
    *IG,
    *(f"Gene{i}" for i in range(500)),
]
SOUPY = {"T": 150, "B": 20, "stroma": 30, "neutrophil": 8, "erythroid": 8, "plasma": 8}
CLEAN = {"T": 60, "B": 150, "stroma": 60, "neutrophil": 8, "erythroid": 8, "plasma": 8}
SHARES = {"soupy": 0.2, "clean": 0.01}
LYSED = {"neutrophil": 0.25, "erythroid": 0.25, "plasma": 0.2, "T": 0.15, "B": 0.1, "stroma": 0.05}
"""What the soup is made of: more of the cells that lyse than are left in the library."""


def rates() -> pd.DataFrame:
    """Return lineages x genes: each its markers and listed genes, the rest what all make."""
    everywhere = np.random.default_rng(5).gamma(1.0, 1.0, 500)
    table = pd.DataFrame(0.0, index=list(OWN), columns=GENES)
    table.loc[:, [f"Gene{i}" for i in range(500)]] = 0.55 * everywhere / everywhere.sum()
    for name, own in OWN.items():
        table.loc[name, MADE[name]] = 0.3 / N_MARKERS
        table.loc[name, list(own)] = list(own.values())
    return table.div(table.sum(axis=1), axis=0)


def cohort(seed: int = 0, stroma_makes: float = 0.0) -> ad.AnnData:
    """Draw a library with much soup and one with hardly any; qc knows how much."""
    rng, own = np.random.default_rng(seed), rates()
    own.loc["stroma", list(ALARMIN)] = stroma_makes
    own = own.div(own.sum(axis=1), axis=0)
    soup = own.mul(pd.Series(LYSED), axis=0).sum()
    soup /= soup.sum()
    rows, truth, samples = [], [], []
    for sample, sizes in (("soupy", SOUPY), ("clean", CLEAN)):
        for name, size in sizes.items():
            mix = (1 - SHARES[sample]) * own.loc[name] + SHARES[sample] * soup
            rows.append(rng.poisson(np.outer(rng.lognormal(7.3, 0.2, size), mix)))
            truth += [name] * size
            samples += [sample] * size
    counts = np.vstack(rows)
    obs = pd.DataFrame({"sample": samples, "dataset": "d", "qc_lineage": truth})
    obs["ambient"] = obs["sample"].map(SHARES)
    obs["n_counts"] = counts.sum(axis=1).astype(float)
    obs["donor"], obs["donor_known"] = obs["sample"], True
    obs.index = [f"c{i}" for i in range(len(obs))]
    cells = ad.AnnData(sparse.csr_matrix(counts, dtype=np.float32), obs, pd.DataFrame(index=GENES))
    cells.varm["ambient"] = pd.DataFrame({name: soup for name in SHARES}).loc[GENES]
    cells.varm["measured"] = pd.DataFrame({"d": True}, index=GENES)
    return cells


@pytest.fixture(scope="module")
def planted():
    cells = cohort()
    table = ambient_genes(cells, cells.obs["qc_lineage"], LISTED)
    return cells, table, table.pivot(index="lineage", columns="gene", values="ambient")


def test_what_the_soup_brings_is_ambient_and_what_a_lineage_makes_is_not(planted):
    _, table, flags = planted
    for genes, makers in ((ALARMIN, {"neutrophil"}), (HB, {"erythroid"}), (IG, {"B", "plasma"})):
        for gene in genes:
            assert {*flags.index[~flags[gene].fillna(True).astype(bool)]} == makers, gene
    row = table.set_index(["lineage", "gene"]).loc[("T", "S100a8")]
    assert row["kind"] == "alarmin" and row["top_source"] == "neutrophil"
    assert row["counts"] == pytest.approx(row["expected"], rel=0.1)


def test_the_list_holds_what_the_soup_is_full_of_and_names_why(planted):
    cells, table, flags = planted
    soup = cells.varm["ambient"].max(axis=1)
    of_soup = set(table.loc[table["kind"] == "soup", "gene"])
    assert of_soup == set(soup.index[soup > SOUP_SHARE]) - set(LISTED["gene"])
    assert flags.loc["T", MADE["neutrophil"]].all() and not flags.loc["T", MADE["T"]].any()


def test_soup_is_no_marker_of_a_cluster_and_s100a8_stays_one_of_neutrophils(planted):
    cells, _, _ = planted
    truth = cells.obs["qc_lineage"]
    clusters = truth.where(truth != "T", "T of " + cells.obs["sample"])
    named = pd.DataFrame({"cluster": clusters.unique()})
    named["lineage"] = named["cell_type"] = named["cluster"].str.split(" ").str[0]
    raw = cluster_markers(cells, clusters, cells.obs["dataset"], named)
    lysed = [gene for name in ("neutrophil", "erythroid", "plasma") for gene in MADE[name]]
    soiled = raw[(raw["cluster"] == "T of soupy") & raw["gene"].isin([*lysed, *ALARMIN, *HB, *IG])]
    assert len(soiled) >= 3  # without the flag soup passes for what sets the cluster apart
    markers, marked = flag_markers(cells, clusters, named, raw, LISTED)
    assert len(markers) == len(raw)
    own = markers[~markers["ambient"]]
    for cluster, part in own.groupby("cluster"):
        lineage = cluster.split(" ")[0]
        assert set(part["gene"]) <= {*MADE[lineage], *OWN[lineage], *GENES[-500:]}, cluster
    assert {*ALARMIN} <= set(own.loc[own["cluster"] == "neutrophil", "gene"])
    for _, part in markers.groupby("cluster"):
        assert part["ambient"].is_monotonic_increasing
    first = own.drop_duplicates("cluster").set_index("cluster")["gene"]
    assert (marked.set_index("cluster")["marker"] == first).all()


def scores_of(cells: ad.AnnData, ambient: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    sets = {"alarmin": ALARMIN, "hb": HB, "ig": IG, "granulocyte": (*ALARMIN, *MADE["neutrophil"])}
    sets["T"] = MADE["T"]
    signatures = pd.DataFrame(
        [{"set": name, "class": "identity", "genes": tuple(sets[name])} for name in sets]
    ).assign(polarity="positive")
    settings = {"n_random": 30, "max_rank": 1500, "n_bins": 25, "seed": 0}
    scores, null = score_cells(
        cells, panel=PANEL, signatures=signatures, ambient=ambient, **settings
    )
    return scores.set_index("cell_id"), null.set_index("set")


def test_soup_raises_no_score_and_neutrophils_keep_theirs(planted):
    cells, table, _ = planted
    with_soup, _ = scores_of(cells, table.iloc[:0])
    without, null = scores_of(cells, table)
    lineage, soupy = cells.obs["qc_lineage"], cells.obs["sample"] == "soupy"
    makers = {"alarmin": ["neutrophil"], "hb": ["erythroid"], "ig": ["B", "plasma"]}
    makers["granulocyte"] = ["neutrophil"]
    for name, own in makers.items():
        clean_of_it = ~lineage.isin(own)
        assert with_soup.loc[clean_of_it & soupy, name].mean() > 0.15, name
        assert without.loc[clean_of_it, name].mean() < 0.01, name
        at_home = lineage.isin(own)
        assert without.loc[at_home, name].mean() >= with_soup.loc[at_home, name].mean() > 0.4, name
        assert 0 < null.loc[name, "ambient_share"] < 1
    assert without.loc[lineage == "T", "T"].mean() >= with_soup.loc[lineage == "T", "T"].mean()
    dirty = table[table["ambient"] & table["gene"].isin(HB)]["counts"].sum()
    assert null.loc["hb", "ambient_share"] == pytest.approx(dirty / cells[:, list(HB)].X.sum())


def test_the_list_condemns_nothing_that_is_beyond_the_soup():
    cells = cohort(stroma_makes=0.06)
    table = ambient_genes(cells, cells.obs["qc_lineage"], LISTED)
    flags = table.pivot(index="lineage", columns="gene", values="ambient")
    assert not flags.loc["stroma", list(ALARMIN)].any()
    assert flags.loc["T", list(ALARMIN)].all()


def test_where_the_ambient_share_is_not_known_cells_keep_their_counts():
    """Two lineages make some genes, one more than the other, and there is no soup at all."""
    rng = np.random.default_rng(0)
    genes = [f"g{i}" for i in range(400)]
    rates = pd.DataFrame(1.0, index=["erythroid", "neutrophil"], columns=genes)
    rates = rates.div(rates.sum(axis=1), axis=0)
    rates.loc["erythroid", genes[:3]], rates.loc["neutrophil", genes[:3]] = 0.001, 0.015
    truth = np.repeat(list(rates.index), 120)
    counts = rng.poisson(2000 * rates.loc[truth].to_numpy())
    obs = pd.DataFrame({"sample": "s", "dataset": "d", "qc_lineage": truth, "donor": "s"})
    obs = obs.assign(ambient=np.nan, n_counts=counts.sum(axis=1).astype(float), donor_known=True)
    obs.index = [f"c{i}" for i in range(len(obs))]
    cells = ad.AnnData(sparse.csr_matrix(counts, dtype=np.float32), obs, pd.DataFrame(index=genes))
    cells.varm["ambient"] = pd.DataFrame({"s": counts.sum(axis=0) / counts.sum()}, index=genes)
    cells.varm["measured"] = pd.DataFrame({"d": True}, index=genes)
    table = ambient_genes(cells, cells.obs["qc_lineage"], LISTED)
    assert table["expected"].isna().all() and not table["ambient"].any()


def test_cells_without_a_lineage_keep_their_own():
    """Neutrophils that quality control could not name, among T cells that it could not."""
    cells = cohort()
    truth = cells.obs["qc_lineage"].to_numpy(str)
    odd = np.flatnonzero(truth == "neutrophil")[::4]
    odd = np.r_[odd, np.flatnonzero(truth == "T")[:60]]
    cells.obs["qc_lineage"] = np.where(np.isin(np.arange(len(truth)), odd), "unresolved", truth)
    table = ambient_genes(cells, cells.obs["qc_lineage"], LISTED)
    flags = table.pivot(index="lineage", columns="gene", values="ambient")
    assert not flags.loc["unresolved"].fillna(False).astype(bool).any()
    assert flags.loc["T", list(ALARMIN)].all()


def test_the_list_stands_in_for_a_source_that_the_library_lost():
    """All neutrophils lysed: nothing in the library makes S100a8, the droplets are full of it."""
    cells = cohort()
    kept = cells[(cells.obs["qc_lineage"] != "neutrophil") & (cells.obs["sample"] == "soupy")]
    sums = pd.DataFrame(kept.X.toarray(), columns=GENES).groupby(kept.obs["qc_lineage"].to_numpy())
    given = {"profile": kept.varm["ambient"]["soupy"], "genes": [*ALARMIN, "Gene0"]}
    known = pd.Series(SHARES["soupy"], index=sums.sum().index)
    for foreign, flagged in ((None, False), (foreign_genes(LISTED), True)):
        table = explained_by_ambient(sums.sum(), **given, contamination=known, foreign=foreign)
        found = table.pivot(index="group", columns="gene", values="ambient")
        assert (found[list(ALARMIN)] == flagged).all(axis=None)
        assert not found["Gene0"].any()


def test_without_an_estimate_of_the_soup_the_list_says_nothing():
    counts = pd.DataFrame([[50.0, 950.0]], index=["T"], columns=["S100a8", "Cd3e"])
    found = explained_by_ambient(
        counts, counts.loc["T"] / 1000, foreign={"T": {"S100a8"}}, genes=["S100a8"]
    )
    assert not found["ambient"].any()


@pytest.mark.parametrize("species", ["mouse", "human"])
def test_no_cell_is_named_by_a_gene_of_the_list_that_it_does_not_make(species):
    makers = load_ambient("resources/ambient.tsv", species).set_index("gene")["lineages"]
    lineages = load_lineages("resources/lineages.tsv", species)
    for row in lineages[lineages["polarity"] == "positive"].itertuples():
        for gene in makers.index.intersection(row.genes):
            assert row.lineage in makers[gene], f"{row.lineage} is named by {gene}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("alarmin", "S100a8;S100a9", "S100a8;S100a8"), "gene S100a8 is there twice"),
        (("erythroid;HSPC", "erythroid;HSPC", "red_cell"), "lineages 'red_cell' is unknown"),
        (("alarmin", "S100a8;S100a9", "S100a8;Igkc"), "gene Igkc is in another mouse row too"),
        (("alarmin", "S100a8;", "S100A8;"), "spelled as in human"),
    ],
)
def test_a_list_with_a_mistake_is_refused(tmp_path, change, message):
    marker, old, new = change
    lines = Path("resources/ambient.tsv").read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if marker in line and "\tmouse\t" in line)
    lines[at] = lines[at].replace(old, new, 1)
    path = tmp_path / "ambient.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_ambient(path, "mouse")
