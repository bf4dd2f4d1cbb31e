"""Figures of agreement with the truth are what they say they are."""

import pandas as pd
import pytest

from emhniche.truth_cells import ambient_shares, doublet_auroc, lineage_f1, pathological_rates
from fake_truth import STRICT, calls, fake_cells


def test_auroc_is_that_of_all_pairs_within_a_library():
    cells = pd.DataFrame(
        {
            "cell_id": [f"{s}:{i}" for s in "ab" for i in range(4)],
            "sample": ["a"] * 4 + ["b"] * 4,
            "cell_type": "T",
            "lineage": "T",
            "state": ["cell", "cell", "doublet", "doublet"] * 2,
            "doublet_of": ["", "", "T+T", "T+B", "", "", "T+B", "T+B"],
        }
    )
    # library b scores everything higher, which must not count
    scores = [0.1, 0.3, 0.2, 0.4, 10.1, 10.3, 10.3, 10.0]
    barcodes = pd.DataFrame({"cell_id": cells["cell_id"], "doublet_score": scores, "keep": True})
    table = doublet_auroc(barcodes, cells).set_index("sample")
    assert table.loc["a", "auroc"] == pytest.approx(3 / 4)
    assert table.loc["a", ["doublets", "mixed"]].tolist() == [2, 1]
    assert table.loc["a", "auroc_mixed"] == 1
    assert table.loc["b", "auroc"] == pytest.approx(1.5 / 4)


def test_ambient_shares_are_of_counts_and_of_kept_single_cells_alone():
    cells = pd.DataFrame({"cell_id": [f"a:{i}" for i in range(24)], "sample": "a", "state": "cell"})
    cells["lineage"] = ["T"] * 20 + ["B"] * 4
    cells["counts"] = [1000] * 10 + [3000] * 14
    cells["ambient"] = [0.3] * 10 + [0.1] * 14
    cells.loc[18, "state"] = "doublet"
    barcodes = pd.DataFrame({"cell_id": cells["cell_id"], "ambient": 0.2, "keep": True})
    barcodes.loc[19, "keep"] = False
    barcodes.loc[17, "ambient"] = None
    table = ambient_shares(barcodes, cells, ["sample", "lineage"])
    assert table["lineage"].tolist() == ["T"]  # of four cells nothing is said
    assert table["cells"].tolist() == [17]
    assert table["planted"].tolist() == pytest.approx([(10 * 300 + 7 * 300) / (10_000 + 21_000)])
    assert table["estimated"].tolist() == pytest.approx([0.2])


def test_f1_is_two_hits_over_named_and_true_cells():
    cells = pd.DataFrame({"cell_id": list("abcdefg"), "lineage": list("TTTTBBB"), "state": "cell"})
    cells.loc[6, "state"] = "doublet"
    named = pd.DataFrame(
        {"cell_id": list("abcdefg"), "lineage": ["T", "T", "B", "unresolved", "B", "B", "T"]}
    )
    table = lineage_f1(named, cells)
    assert table.loc["T", "f1"] == pytest.approx(2 * 2 / (4 + 2))
    assert table.loc["B", "f1"] == pytest.approx(2 * 2 / (2 + 3))
    assert table["unresolved"].to_dict() == {"B": 0, "T": 1}


def test_rates_count_planted_cells_that_were_lost():
    cells = fake_cells()
    table = calls(cells)
    planted = cells.loc[cells["planted"] != "", "cell_id"].tolist()
    table = table[table["cell_id"] != planted[0]]
    place = {"condition": "tumour", "tissue": "spleen", "lineage": "neutrophil"}
    rates = pathological_rates(table, cells, truth="state", signature=STRICT, **place)
    assert (rates.called, rates.false, rates.planted, rates.found, rates.lost) == (18, 1, 20, 17, 1)
    assert rates.false_share == pytest.approx(1 / 18)
    assert rates.found_share == pytest.approx(17 / 20)
