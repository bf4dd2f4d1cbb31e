import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche.sex_genes import SEX_GENES, count_sex_genes, judge_sex, observed_sex


def cells_of(sexes, species="mouse", drop=()):
    """One barcode a sex, with 10,000 counts and the sex's genes as libraries show them."""
    rng = np.random.default_rng(0)
    genes = [*sum(SEX_GENES[species].values(), ()), *(f"Gene{i}" for i in range(200))]
    rates = np.full((len(sexes), len(genes)), 50.0)
    for place, gene in enumerate(genes):
        for sex, own in SEX_GENES[species].items():
            if gene in own:
                rates[:, place] = [0.0 if sex != one else 2.0 / len(own) for one in sexes]
    counts = sparse.csr_matrix(rng.poisson(rates).astype(np.float32))
    cells = ad.AnnData(counts, var=pd.DataFrame(index=genes))
    return cells[:, ~cells.var_names.isin(drop)].copy()


def observe(sexes, **more):
    cells = cells_of(sexes, **more)
    return count_sex_genes(cells, np.ones(cells.n_obs, bool), more.get("species", "mouse"))


@pytest.mark.parametrize("species", ["mouse", "human"])
@pytest.mark.parametrize("sex", ["female", "male"])
def test_the_sex_of_a_library_is_seen(species, sex):
    assert observe([sex] * 100, species=species)["observed"] == sex


def test_a_pool_of_both_sexes_is_mixed_and_a_trace_is_not():
    assert observe(["female"] * 80 + ["male"] * 20)["observed"] == "mixed"
    assert observe(["female"] * 990 + ["male"] * 10)["observed"] == "female"


def test_unlisted_genes_and_few_counts_say_nothing():
    every = [gene for genes in SEX_GENES["mouse"].values() for gene in genes]
    found = observe(["female"] * 100, drop=every)
    assert (found["female"], found["male"], found["observed"]) == (None, None, "")
    assert "lists no sex gene" in found["reason"]
    assert observe(["female"] * 5)["observed"] == ""
    assert observed_sex(0.0, 0.0, 1e6)[0] == ""
    assert observed_sex(25.0, None, 1e8)[0] == ""  # noise in a deep library


def test_a_male_library_whose_file_lists_no_y_gene_is_not_called_female():
    assert observe(["male"] * 100, drop=SEX_GENES["mouse"]["male"])["observed"] == ""


def judged(*rows):
    columns = ["sample", "sex", "donor", "observed"]
    return judge_sex(pd.DataFrame(rows, columns=columns).set_index("sample"))


def test_a_contradiction_with_the_sheet_fails():
    table = judged(("a", "female", "m1", "male"), ("b", "female", "m1", "female"))
    assert table.loc["a", ["sex_status", "level"]].tolist() == ["contradicts", "fail"]
    assert table.loc["b", ["sex_status", "level"]].tolist() == ["agrees", "pass"]
    assert "female by the sample sheet, but genes of a male" in table.at["a", "text"]


def test_two_libraries_of_one_donor_that_disagree_both_fail():
    table = judged(("a", "", "m1", "male"), ("b", "", "m1", "female"), ("c", "", "m2", "male"))
    assert table["level"].tolist() == ["fail", "fail", "pass"]
    assert "b, a library of the same donor" in table.at["a", "text"]


def test_what_the_sheet_says_of_a_donor_holds_for_all_its_libraries():
    """One swapped library does not take the donor's good ones along."""
    table = judged(
        ("a", "female", "m1", "female"), ("b", "female", "m1", "female"), ("c", "", "m1", "male")
    )
    assert table["level"].tolist() == ["pass", "pass", "fail"]
    assert table.at["c", "sex_status"] == "contradicts"


def test_a_pool_may_show_either_sex_in_its_libraries():
    table = judged(("a", "mixed", "pool", "female"), ("b", "mixed", "pool", "male"))
    assert table["sex_status"].tolist() == ["one_sex", "one_sex"]
    assert table["level"].tolist() == ["warn", "warn"]


def test_both_sexes_where_one_is_expected_is_a_warning():
    table = judged(("a", "male", "m1", "mixed"), ("b", "mixed", "m2", "mixed"), ("c", "", "m3", ""))
    assert table["level"].tolist() == ["warn", "pass", "pass"]
    assert table["sex_status"].tolist() == ["mixed", "agrees", "not_testable"]
