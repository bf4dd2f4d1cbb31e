"""By what the map of cells can be coloured: all that is known of a cell, and nothing twice."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.report import words
from emhniche.report.binned import bin_cells, means
from emhniche.report.interactive import cell_frame, map_data
from emhniche.report.map_columns import map_columns
from emhniche.report.packed import NOT_MEASURED, packed_value, unpack
from emhniche.report.tables import read_run
from fake_names import SAMPLES
from fake_run import CONFIG, make_run, registry, sample_sheet

NO_GENE = pd.DataFrame()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    root: Path = make_run(tmp_path_factory.mktemp("run"), myeloid="called")
    return read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())


@pytest.fixture(scope="module")
def offered(run) -> dict[str, dict]:
    columns = map_columns(run, cell_frame(run), NO_GENE, None)
    assert len({one["name"] for one in columns}) == len(columns)
    return {one["name"]: {**one, "at": at} for at, one in enumerate(columns)}


def shown(offered: dict[str, dict], name: str) -> list[str]:
    """Return what a column says of each cell, as the page unpacks it."""
    one = offered[name]
    if "by" in one:
        sample = next(other for other in offered.values() if other["at"] == one["by"])
        of_sample = np.append(one["of_sample"], [NOT_MEASURED] * (256 - len(one["of_sample"])))
        codes = of_sample[unpack(sample["data"], np.uint8)]
    else:
        codes = unpack(one["data"], np.uint8)
    return ["" if code == NOT_MEASURED else one["names"][code] for code in codes]


def test_every_column_of_the_sheet_tells_each_cell_its_own_value(run, offered):
    frame = cell_frame(run)
    differing = [
        column
        for column in sample_sheet()
        if column in frame and frame[column].astype(object).nunique() > 1
    ]
    differing.remove("donor_known")
    assert {"donor", "condition", "sex", "chemistry", "batch", "study"} <= set(differing)
    assert "own <b>column" in differing
    for column in differing:
        given = [words.name(value) if value else "" for value in frame[column].astype(str)]
        assert shown(offered, words.name(column)) == given, column
        assert offered[words.name(column)]["group"] == "Sample sheet"
    assert shown(offered, "sample") == list(frame["sample"].astype(str))
    verdicts = {name: words.VERDICTS[one["verdict"]] for name, one in run.qc.items()}
    told = shown(offered, "verdict of quality control")
    assert told == [verdicts[sample] for sample in frame["sample"].astype(str)]


def test_what_is_measured_is_offered_with_its_unit_and_what_is_not_is_left_out(run, offered):
    frame = cell_frame(run)
    share = unpack(offered["ribosomal counts (%)"]["data"], np.uint8) / 254
    low, high = (offered["ribosomal counts (%)"][key] for key in ("low", "high"))
    known = frame["pct_ribo"].clip(upper=high)
    np.testing.assert_allclose(low + share * (high - low), known, atol=(high - low) / 200)
    complexity = np.log10(frame["n_genes"]) / np.log10(frame["n_counts"])
    found = offered["complexity (log10 genes / log10 counts)"]
    assert found["low"] == pytest.approx(complexity.min(), rel=1e-3)
    assert {"counts", "genes", "S score", "G2/M score", "mitochondrial counts (%)"} <= set(offered)
    phases = frame["phase"].astype(str)
    assert shown(offered, "phase of the cell cycle") == list(phases)
    # one value for every cell, or none
    for name in ("haemoglobin counts (%)", "doublet score", "ambient share", "age", "species"):
        assert name not in offered


def test_lineages_by_themselves_and_transferred_labels_are_those_of_their_tables(run, offered):
    cells = list(cell_frame(run).index)
    clusters = run.zooms["neutrophil"]["clusters"].set_index("cell_id")["cluster"]
    assert shown(offered, "neutrophil by itself") == list(clusters.reindex(cells).fillna(""))
    found = run.transferred["cells"].set_index("cell_id").reindex(cells)
    assert shown(offered, "transferred label") == [
        words.name(x) if x == x else "" for x in found["label"]
    ]
    agreement = shown(offered, "lineage against transferred label")
    assert agreement.count("another lineage") == (found["agrees"] == False).sum() > 0  # noqa: E712
    called = shown(offered, "called MDSC-like")
    assert (
        called.count("yes")
        == run["calls"]
        .loc[run["calls"]["pathological"].fillna(False).astype(bool), "cell_id"]
        .nunique()
        > 0
    )


def test_columns_say_their_unit_and_whether_they_are_places(run):
    frame = cell_frame(run)
    genes = pd.DataFrame({"Kitl": np.arange(len(frame)) % 3 / 2.0}, index=frame.index)
    offered = {one["name"]: one for one in map_columns(run, frame, genes, None)}
    places = {name for name, one in offered.items() if one.get("places")}
    assert {"lineage", "cell type", "cluster", "neutrophil by itself"} <= places
    assert {"transferred label", "label of CellTypist"} <= places
    assert not places & {"sample", "donor", "condition", "tissue", "phase of the cell cycle"}
    assert not any(one["kind"] == "value" for one in offered.values() if one.get("places"))
    assert offered["Kitl"]["unit"] == "log1p of counts per 10,000"
    scores = [one for one in offered.values() if one["group"].endswith("(score)")]
    assert scores and {one["unit"] for one in scores} == {"UCell score, 0 to 1"}
    assert offered["counts"]["unit"] == "per cell"


@pytest.mark.parametrize("binned", [False, True])
def test_no_count_has_a_code_of_its_own(binned):
    rng = np.random.default_rng(0)
    values = pd.Series(np.where(rng.random(4000) < 0.6, 0, rng.gamma(0.3, size=4000)))
    values[:50] = np.nan
    values[50:60] = 1e-9
    place = pd.DataFrame(rng.integers(0, 30, (4000, 2)).astype(float))
    bins = bin_cells(place[0], place[1]) if binned else None
    packed = packed_value(values, bins, zero=True)
    codes = unpack(packed["data"], np.uint8)
    expected = values.to_numpy() if bins is None else means(bins, values.to_numpy())
    assert (packed["zeros"], packed["missing"]) == ((values == 0).sum(), 50)
    np.testing.assert_array_equal(codes == 0, expected == 0)
    np.testing.assert_array_equal(codes == NOT_MEASURED, np.isnan(expected))
    assert (packed["low"], "zeros" in packed_value(values, bins)) == (0, False)
    none = packed_value(pd.Series(np.zeros(9)), None, zero=True)
    assert (none["low"], none["high"], none["zeros"]) == (0, 0, 9)


def test_a_users_numbers_are_names_while_few_and_a_scale_when_many(run):
    names = [f"m{number}" for number in range(12)]
    rng = np.random.default_rng(0)
    frame = cell_frame(run)
    sample = rng.integers(0, 12, len(frame))
    frame = frame.assign(sample=np.array(names)[sample])
    frame["weight"] = np.array([f"{20 + n / 2}" for n in range(12)])[sample]
    frame["cage"] = np.array(["1", "2", "10"] * 4)[sample]
    frame["batch"] = np.array([str(n) for n in range(12)])[sample]
    frame["score"] = np.array(["4.5", "", "high"] * 4)[sample]
    frame["verdict"] = np.array(["mine"] * 6 + ["yours"] * 6)[sample]
    own = dict.fromkeys(("batch", "weight", "cage", "score", "verdict"), "")
    sheet = pd.DataFrame(own, index=names)
    made_up = dataclasses.replace(run, samples=sheet)
    offered = {one["name"]: one for one in map_columns(made_up, frame, NO_GENE, None)}
    assert offered["weight"]["kind"] == "value"
    assert (offered["weight"]["low"], offered["weight"]["high"]) == (20, 25.5)
    assert offered["cage"]["names"] == ["1", "2", "10"]
    assert len(offered["batch"]["names"]) == 12
    assert offered["score"]["names"] == ["4.5", "high"]
    assert offered["verdict"]["names"] == ["mine", "yours"]


def test_a_column_that_differs_within_samples_is_told_cell_by_cell(run):
    frame = cell_frame(run)
    frame["donor"] = np.where(np.arange(len(frame)) % 3, "a", "b")
    offered = {one["name"]: one for one in map_columns(run, frame, NO_GENE, None)}
    assert "by" not in offered["donor"]
    codes = unpack(offered["donor"]["data"], np.uint8)
    assert [offered["donor"]["names"][code] for code in codes] == list(frame["donor"])


def test_sheet_columns_take_no_room(run):
    """A column that follows from the sample costs bytes a sample, not a cell."""
    packed = map_data(run, [], seed=0)
    by_sample = [one for one in packed["columns"] if "by" in one]
    assert len(by_sample) >= 8
    assert all("data" not in one and len(one["of_sample"]) == len(SAMPLES) for one in by_sample)
