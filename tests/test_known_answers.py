"""Published facts are found where they hold, missed where not, and asked of no other data."""

import numpy as np
import pandas as pd
import pytest

from emhniche.ambient import flag_groups
from emhniche.errors import InputError
from emhniche.production import describe_production
from emhniche.pseudobulk import sum_cells
from made_up_answers import HUMAN, LEPR, SILENT, ask, group
from niche_cohort import cohort, library, panel_of

CAR, VESSEL, BONE = {"Cxcl12": 30, "Kitl": 5}, {"Cxcl12": 2, "Kitl": 4}, {"Cxcl12": 3, "Kitl": 0.3}


def marrow(sample, car=CAR, vessel=VESSEL):
    return [
        group("LepR", car, sample=sample),
        group("EC_sinusoidal", vessel, lineage="endothelium", sample=sample),
        group("Osteolineage", BONE, sample=sample),
    ]


def test_the_highest_group_is_found_in_each_library(tmp_path):
    found = ask(tmp_path, "highest", LEPR, *marrow("s1"), *marrow("s2"))
    assert (found["status"], found["datasets"]) == ("pass", "d")
    assert "in 2 of 2 libraries" in found["observed"]
    found = ask(tmp_path, "highest", LEPR, *marrow("s1"), *marrow("s2", car={"Cxcl12": 1}))
    assert found["status"] == "fail"
    found = ask(tmp_path, "highest", LEPR, *marrow("s1"))
    assert (found["status"], "2 are needed" in found["observed"]) == ("not_testable", True)


def test_the_two_highest_groups_may_hold_a_whole_lineage(tmp_path):
    asked = "genes=Kitl; by=cell_type; whole=endothelium; top=LepR,endothelium; libraries=1"
    assert ask(tmp_path, "highest", asked, *marrow("s1"))["status"] == "pass"
    none = {"Kitl": 0.1, "Cxcl12": 2}
    assert ask(tmp_path, "highest", asked, *marrow("s1", vessel=none))["status"] == "fail"


def test_a_gap_between_groups_is_measured_in_doublings(tmp_path):
    asked = "genes=Cxcl12; by=cell_type; group=LepR; than=EC_sinusoidal; libraries=1; log2="
    assert ask(tmp_path, "above", asked + "2", *marrow("s1"))["status"] == "pass"
    assert ask(tmp_path, "above", asked + "6", *marrow("s1"))["status"] == "fail"


def test_a_gene_is_detected_by_its_counts(tmp_path):
    asked = "genes=Kitl; by=cell_type; groups=LepR,EC_sinusoidal; libraries=2"
    both = [*marrow("s1"), *marrow("s2")]
    assert ask(tmp_path, "detected", asked, *both)["status"] == "pass"
    faint = [*marrow("s1"), *marrow("s2", vessel={"Kitl": 0.0})]
    assert ask(tmp_path, "detected", asked, *faint)["status"] == "fail"
    assert ask(tmp_path, "detected", asked, *marrow("s1"))["status"] == "not_testable"


def stage(place, **genes):
    return group(f"G{place}", genes, lineage="neutrophil")


def test_the_order_of_stages_is_asked_with_its_sign(tmp_path):
    stages = [stage(i, Cxcr2=2.0**i, Mki67=8 / 2.0**i) for i in range(5)]
    asked = "by=label; order=G0,G1,G2,G3,G4; libraries=1; "
    for gene, bound, status in (
        ("Cxcr2", "rho_at_least=0.8", "pass"),
        ("Mki67", "rho_at_most=-0.7", "pass"),
        ("Mki67", "rho_at_least=0.8", "fail"),
    ):
        assert (
            ask(tmp_path, "ordered", f"{asked}genes={gene}; {bound}", *stages)["status"] == status
        )
    few = ask(tmp_path, "ordered", f"{asked}genes=Cxcr2; rho_at_least=0.8", *stages[:3])
    assert few["status"] == "not_testable"


@pytest.mark.parametrize(
    ("bound", "against"),
    [("rho_at_least=0.8", (4, 3, 2, 1, 0)), ("rho_at_most=-0.7", (0, 1, 2, 3, 4))],
)
def test_a_gene_that_runs_strongly_against_the_order_is_not_passed_over(tmp_path, bound, against):
    weak = [4 - place for place in against]
    weak[0], weak[1] = weak[1], weak[0]
    stages = [stage(i, Cxcr2=2.0 ** weak[i], Mki67=2.0 ** against[i]) for i in range(5)]
    asked = f"by=label; order=G0,G1,G2,G3,G4; libraries=1; {bound}; genes="
    assert ask(tmp_path, "ordered", asked + "Cxcr2", *stages)["status"] == "pass"
    both = ask(tmp_path, "ordered", asked + "Cxcr2,Mki67", *stages)
    assert both["status"] == "fail", "a rho of the wrong sign is worse than a weak one"


def ripening(il1b, **sheet):
    """Neutrophils from early to late; Il1b rises with them or not."""
    return [
        group(
            "neutrophil",
            {"Camp": 10 * (1 - a), "Ngp": 9 * (1 - a), "Retnlg": 10 * a, "Sell": 6 * a}
            | {"Il1b": 0.5 + il1b * a, "Clec4e": 1, "Arg2": 1}
            | sheet.get("extra", {}),
            lineage="neutrophil",
            **{key: value for key, value in sheet.items() if key != "extra"},
        )
        for a in (0.1, 0.4, 0.7, 1.0)
    ]


MATURES = "genes=Il1b; lineage=neutrophil; early=preNeu; late=matNeu; libraries=1"


def test_a_gene_that_marks_the_mature_end_rises_with_maturation(tmp_path):
    assert ask(tmp_path, "matures", MATURES, *ripening(4))["status"] == "pass"
    assert ask(tmp_path, "matures", MATURES, *ripening(-0.45))["status"] == "fail"
    other = ask(tmp_path, "matures", MATURES.replace("neutrophil", "B"), *ripening(4))
    assert (other["status"], other["observed"]) == ("not_testable", "no cell has lineage B")


def test_maturation_is_not_read_off_genes_that_are_not_measured(tmp_path):
    found = ask(tmp_path, "matures", MATURES, *ripening(4), unmeasured=["Camp"])
    assert found["status"] == "not_testable"
    assert found["observed"] == "4 genes of preNeu can be used, 5 are needed"


RISING = "genes=Clec4e,Arg2,Il1b; lineage=neutrophil; tissue=spleen; early=preNeu; late=matNeu; "
RISING += "at_least="


def spleens():
    """Return naive spleens, and ill ones in which three genes are up."""
    up = {"Clec4e": 3, "Arg2": 3, "Il1b": 3}
    ill = ripening(0, arm="case", tissue="spleen", extra=up)
    return ripening(1, arm="reference", tissue="spleen"), ill


def test_genes_are_compared_at_like_maturation(tmp_path):
    asked, naive, ill = RISING + "3", *spleens()
    assert ask(tmp_path, "rising", asked, *naive, *ill)["status"] == "pass"
    same = ripening(1, arm="case", tissue="spleen", extra={"Clec4e": 0.3, "Arg2": 0.3})
    assert ask(tmp_path, "rising", asked, *naive, *same)["status"] == "fail"
    assert ask(tmp_path, "rising", asked, *naive)["status"] == "not_testable"


def test_a_gene_that_is_not_measured_has_not_stayed_level(tmp_path):
    naive, ill = spleens()
    found = ask(tmp_path, "rising", RISING + "3", *naive, *ill, unmeasured=["Arg2"])
    assert found["status"] == "not_testable"
    assert found["observed"] == "2 of 3 genes are measured, 3 are needed"
    enough = ask(tmp_path, "rising", RISING + "2", *naive, *ill, unmeasured=["Arg2"])
    assert enough["status"] == "pass"
    flat = ripening(0, arm="case", tissue="spleen", extra={"Clec4e": 3, "Il1b": 0.02})
    open_ = ask(tmp_path, "rising", RISING + "2", *naive, *flat, unmeasured=["Arg2"])
    assert (open_["status"], "1 not measured could be up" in open_["observed"]) == (
        "not_testable",
        True,
    )


def test_a_state_that_is_next_to_absent(tmp_path):
    asked = "by=label; group=T3; tissue=spleen; arm=reference; below=0.01; libraries=1"
    tumour = group("T3", {}, tissue="tumour", arm="case")
    naive = group("T1", {}, n=300, tissue="spleen", arm="reference")
    some = group("T3", {}, n=30, tissue="spleen", arm="reference")
    assert ask(tmp_path, "rare", asked, tumour, naive)["status"] == "pass"
    assert ask(tmp_path, "rare", asked, tumour, naive, some)["status"] == "fail"
    assert ask(tmp_path, "rare", asked, naive)["status"] == "not_testable"


def test_cycling_is_compared_within_matched_donors(tmp_path):
    asked = "lineage=HSPC; sets=CellCycle_S,CellCycle_G2M; higher=bone marrow; lower=spleen"
    pairs = [
        group("HSPC", {"MKI67": m, "PCNA": m}, lineage="HSPC", tissue=tissue, donor=donor)
        for donor in ("d1", "d2")
        for tissue, m in (("bone marrow", 2.0), ("spleen", 0.5))
    ]
    assert ask(tmp_path, "cycling", asked, *pairs, genes=HUMAN)["status"] == "pass"
    swapped = "lineage=HSPC; sets=CellCycle_S,CellCycle_G2M; higher=spleen; lower=bone marrow"
    assert ask(tmp_path, "cycling", swapped, *pairs, genes=HUMAN)["status"] == "fail"
    assert ask(tmp_path, "cycling", asked, pairs[0], genes=HUMAN)["status"] == "not_testable"
    blind = ["MKI67", "PCNA", "TOP2A", "MCM5", "TYMS", "CDK1"]
    found = ask(tmp_path, "cycling", asked, *pairs, genes=HUMAN, unmeasured=blind)
    assert found["status"] == "not_testable", (
        "genes that are not measured do not show equal cycling"
    )
    assert found["observed"].startswith("0 genes of CellCycle_S and CellCycle_G2M can be used")


def test_genes_that_exclude_each_other(tmp_path):
    asked = "genes=CD8A,CD34; without=CD3D; lineage=endothelium; tissue=spleen"
    littoral = group("EC", {"CD8A": 2}, lineage="endothelium", tissue="spleen")
    vessel = group("EC", {"CD34": 2}, lineage="endothelium", tissue="spleen")
    both = group("EC", {"CD34": 2, "CD8A": 2}, lineage="endothelium", tissue="spleen")
    neither = group("EC", {}, lineage="endothelium", tissue="spleen")
    assert ask(tmp_path, "exclusive", asked, littoral, vessel, genes=HUMAN)["status"] == "pass"
    assert ask(tmp_path, "exclusive", asked, both, neither, genes=HUMAN)["status"] == "fail"


SILENCE = ("too_few_counts", "genes=Csf3,Lif; tissue=spleen", group("B", {}))


def silent(reason="0 counts in all cells, 10 are needed"):
    """Return production of two genes without a number, for one reason."""
    rows = pd.DataFrame({"dataset": "d", "gene": SILENT, "tissue": "spleen", "reason": reason})
    return rows.assign(status="not_testable", logcpm=np.nan)


def test_a_silent_gene_must_be_not_testable_and_never_zero(tmp_path):
    assert ask(tmp_path, *SILENCE, tables={"production": silent()})["status"] == "pass"
    zero = silent().assign(logcpm=[0.0, np.nan])
    found = ask(tmp_path, *SILENCE, tables={"production": zero})
    assert (found["status"], "Csf3 has a number" in found["observed"]) == ("fail", True)
    assert ask(tmp_path, *SILENCE)["status"] == "not_testable"


def test_silence_for_another_reason_than_counts_shows_nothing_of_counts(tmp_path):
    unmeasured = {"production": silent("the dataset does not measure it")}
    found = ask(tmp_path, *SILENCE, tables=unmeasured, unmeasured=SILENT)
    assert (found["status"], found["observed"]) == (
        "not_testable",
        "Csf3, Lif not measured in d",
    )
    one = ask(tmp_path, *SILENCE, tables={"production": silent()}, unmeasured=["Lif"])
    assert (one["status"], one["observed"]) == ("not_testable", "Lif not measured in d")
    rare = ask(tmp_path, *SILENCE, tables={"production": silent("3 such cells, 20 are needed")})
    assert rare["status"] == "not_testable"
    assert "of Csf3: 3 such cells, 20 are needed" in rare["observed"]


@pytest.mark.parametrize(
    ("counts", "min_cells", "status"),
    [(3, 20, "pass"), (30, 1000, "not_testable"), (30, 20, "fail")],
)
def test_silence_is_read_off_the_table_as_production_writes_it(tmp_path, counts, min_cells, status):
    cells, annotation = cohort([library("s0", "a", "extramedullary")], seed=0, n_genes=20)
    matrix = cells.X.tolil()
    matrix[:, :2] = 0
    matrix[:counts, :2] = 1
    cells.X = matrix.tocsr()
    panel = panel_of(["g0", "g1"])
    bulk = sum_cells(cells, annotation, panel["gene"])
    soup = flag_groups(bulk, panel["gene"])
    table = describe_production(bulk, panel, soup, min_cells=min_cells, min_counts=10)
    names = dict(zip(panel["gene"], SILENT, strict=True))
    table = table.assign(gene=table["gene"].map(names), dataset="d", tissue="spleen")
    assert ask(tmp_path, *SILENCE, tables={"production": table})["status"] == status


def gates(lineage="neutrophil", **tissues):
    """Return gates of one signature: tissue -> q; each p by itself would be small."""
    rows = [
        {"dataset": "d", "signature": "X", "lineage": lineage, "tissue": tissue, "q": q}
        for tissue, q in tissues.items()
    ]
    table = pd.DataFrame(rows).assign(effect=0.1, reason="too few donors")
    return {"gates": table.assign(p=table["q"] * 0 + 0.001)}


def test_gates_answer_for_the_myeloid_claims(tmp_path):
    asked = ("excess", "signatures=X; lineage=neutrophil", group("B", {}))
    assert ask(tmp_path, *asked, tables=gates(spleen=0.01))["status"] == "pass"
    assert ask(tmp_path, *asked, tables=gates(spleen=0.4))["status"] == "fail"
    assert ask(tmp_path, *asked, tables=gates(spleen=np.nan))["status"] == "not_testable"
    only = "signature=X; lineage=neutrophil; present=tumour; absent=spleen"
    asked = ("restricted", only, group("B", {}))
    assert ask(tmp_path, *asked, tables=gates(spleen=0.5, tumour=0.01))["status"] == "pass"
    assert ask(tmp_path, *asked, tables=gates(spleen=0.5, tumour=0.2))["status"] == "fail"
    assert ask(tmp_path, *asked, tables=gates(spleen=0.01, tumour=0.01))["status"] == "fail"
    assert ask(tmp_path, *asked, tables=gates(spleen=0.01))["status"] == "not_testable"


def test_the_lowest_of_many_chances_is_no_excess(tmp_path):
    tissues = {f"t{i}": 0.8 for i in range(20)}
    luck = gates(**tissues)["gates"].assign(p=np.r_[0.04, np.linspace(0.1, 0.9, 19)])
    asked = ("excess", "signatures=X; lineage=neutrophil", group("B", {}))
    assert ask(tmp_path, *asked, tables={"gates": luck})["status"] == "fail"


def test_a_gate_of_another_lineage_does_not_answer(tmp_path):
    other = gates(lineage="monocyte_macrophage", spleen=0.001)
    asked = ("excess", "signatures=X; lineage=neutrophil", group("B", {}))
    found = ask(tmp_path, *asked, tables=other)
    assert found["status"] == "not_testable"
    assert found["observed"] == "the run has no gate of X in neutrophil"
    with pytest.raises(
        InputError, match=r"settings lack lineage; kind excess needs signatures, lineage"
    ):
        ask(tmp_path, "excess", "signatures=X", group("B", {}), tables=other)


UP = ("tested_up", "contrast=c; genes=Tnf; cell_type=HSPC; level=lineage", group("B", {}))
RISEN = {"contrast": "c", "gene": "Tnf", "cell_type": "HSPC", "level": "lineage"}
RISEN |= {"status": "tested", "effect": 1.2, "p": 0.001, "q": 0.01, "reason": ""}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "pass"),
        ({"effect": -1.2}, "fail"),
        ({"q": 0.3}, "fail"),
        ({"status": "effect_only", "p": np.nan, "q": np.nan}, "not_testable"),
    ],
)
def test_only_a_tested_contrast_answers(tmp_path, change, status):
    table = {"contrasts": pd.DataFrame([RISEN | change])}
    assert ask(tmp_path, *UP, tables=table)["status"] == status


def test_a_contrast_of_other_data_does_not_answer(tmp_path):
    other = RISEN | {"contrast": "liver_vs_marrow"}
    found = ask(tmp_path, *UP, tables={"contrasts": pd.DataFrame([other])})
    assert found["status"] == "not_testable"
    assert found["observed"] == "the run has no contrast c; it has liver_vs_marrow"
    level = RISEN | {"effect": 0.1, "p": 0.6, "q": 0.8}
    found = ask(tmp_path, *UP, tables={"contrasts": pd.DataFrame([other, level])})
    assert found["status"] == "fail", "the other contrast's q is lower, and not asked"
    unnamed = UP[1].removeprefix("contrast=c; ")
    with pytest.raises(InputError, match=r"settings lack contrast; kind tested_up needs contrast"):
        ask(tmp_path, UP[0], unnamed, UP[2])


def test_every_gene_of_the_claim_must_be_up(tmp_path):
    both = UP[1].replace("Tnf", "Tnf,Il1b")
    for change, status in (
        ({}, "pass"),
        ({"q": 0.5}, "fail"),
        ({"status": "not_testable", "q": np.nan}, "not_testable"),
    ):
        table = pd.DataFrame([RISEN, RISEN | {"gene": "Il1b"} | change])
        assert ask(tmp_path, UP[0], both, UP[2], tables={"contrasts": table})["status"] == status


def test_infection_is_reported_raw_and_residual(tmp_path):
    naive = group("n", {}, lineage="neutrophil", arm="reference", donor="a")
    ill = group("n", {}, lineage="neutrophil", arm="inflammation_control", donor="b")
    calls = pd.DataFrame({"cell_id": [f"cell{i}" for i in range(120)], "signature": "X"})
    calls = calls.assign(lineage="neutrophil", score=np.repeat([0, 0.4], 60), residual=0.1)
    asked = ("raw_rise", "signature=X; lineage=neutrophil")
    found = ask(tmp_path, *asked, naive, ill, tables={"calls": calls})
    assert found["status"] == "pass"
    assert "raw score +0.400, residual +0.000" in found["observed"]
    assert ask(tmp_path, *asked, naive, tables={"calls": calls})["status"] == "not_testable"


def test_genes_of_the_other_species_are_refused_and_others_are_not(tmp_path):
    asked = "human_only=OLR1,CXCL8,IL37; mouse_only=Wfdc17,Ngp,Ifitm6"
    found = ask(tmp_path, "refused", asked, group("B", {}), runs_on="*", simulated=True)
    assert (found["status"], found["datasets"]) == ("pass", "")
    own = "human_only=TREM2; mouse_only=Ngp"
    found = ask(tmp_path, "refused", own, group("B", {}), runs_on="*")
    assert found["status"] == "fail"
    assert "accepted: Trem2 in mouse" in found["observed"]


def test_other_data_and_simulated_data_are_not_asked(tmp_path):
    found = ask(tmp_path, "highest", LEPR, *marrow("s1"), runs_on="GSE1;Han2018")
    assert found["status"] == "not_testable"
    assert found["observed"] == "no dataset of this run is GSE1 or Han2018"
    by_study = LEPR.replace("libraries=2", "libraries=1")
    assert ask(tmp_path, "highest", by_study, *marrow("s1"), runs_on="s")["status"] == "pass"
    found = ask(tmp_path, "highest", LEPR, *marrow("s1"), simulated=True)
    assert found["observed"] == "the cells of this run are simulated"


def test_an_unmeasured_gene_is_no_answer(tmp_path):
    asked = LEPR.replace("Cxcl12", "Nowhere")
    found = ask(tmp_path, "highest", asked, *marrow("s1"))
    assert (found["status"], found["observed"]) == ("not_testable", "Nowhere not measured in d")
