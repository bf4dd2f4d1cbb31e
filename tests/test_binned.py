"""The map of a run with more cells than can be drawn one by one."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import browser
from benchmark_map import opening
from browser import opened
from emhniche.report import index_page, interactive, words
from emhniche.report.binned import SIDE, bin_cells, composition, means
from emhniche.report.index_page import build_index
from emhniche.report.interactive import map_data
from emhniche.report.packed import NOT_MEASURED, unpack
from emhniche.report.tables import read_run
from fake_run import CONFIG, make_run, registry, sample_sheet, write_provenance
from map_reading import colour_map

MILLION = 1_000_000
INDEX_BYTES = 10_000_000
REST_BYTES = 4_000_000
"""What the index takes beside its map: test_demo_pages.py holds the demo's to it."""
OPEN_SECONDS = 3


def split(found: dict[str, np.ndarray]) -> Iterator[dict[int, int]]:
    """Yield what :func:`composition` found as one dict a square: category -> cells."""
    stops = np.cumsum(found["entries"], dtype=np.int64)
    for stop, number in zip(stops, found["entries"], strict=True):
        own = slice(stop - number, stop)
        yield dict(zip(found["codes"][own].tolist(), found["counts"][own].tolist(), strict=True))


def test_every_cell_lies_in_the_square_of_its_place():
    x, y = pd.Series([0.0, 10.0, 5.0, 0.01, 10.0]), pd.Series([-1.0, 1.0, 0.0, -0.999, 1.0])
    bins = bin_cells(x, y)
    assert len(bins) == 3
    assert bins.of_cell[0] == bins.of_cell[3] != bins.of_cell[1]
    assert (bins.column[bins.of_cell[0]], bins.row[bins.of_cell[0]]) == (0, 0)
    assert (bins.column[bins.of_cell[1]], bins.row[bins.of_cell[1]]) == (SIDE - 1, SIDE - 1)
    assert (bins.column[bins.of_cell[2]], bins.row[bins.of_cell[2]]) == (SIDE // 2, SIDE // 2)
    assert bins.sizes()[bins.of_cell].tolist() == [2, 2, 1, 2, 2]


def test_composition_and_means_of_squares_are_those_of_their_cells():
    rng = np.random.default_rng(0)
    place = pd.DataFrame(rng.normal(size=(5000, 2)).round(1))
    codes = rng.choice([0, 1, 2, 254, NOT_MEASURED], 5000).astype(np.uint8)
    values = np.where(rng.random(5000) < 0.3, np.nan, rng.gamma(2, size=5000))
    bins = bin_cells(place[0], place[1])
    found = list(split(composition(bins, codes)))
    mean = means(bins, values)
    for number in range(0, len(bins), 37):
        own = bins.of_cell == number
        names, counts = np.unique(codes[own], return_counts=True)
        assert found[number] == dict(zip(names.tolist(), counts.tolist(), strict=True))
        given = [n for code, n in found[number].items() if code != NOT_MEASURED]
        assert given == sorted(counts[names != NOT_MEASURED], reverse=True)
        if NOT_MEASURED in names:
            assert list(found[number])[-1] == NOT_MEASURED
        known = values[own][np.isfinite(values[own])]
        if len(known):
            assert mean[number] == pytest.approx(known.mean())
        else:
            assert np.isnan(mean[number])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    root = make_run(tmp_path_factory.mktemp("run"))
    return read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())


def test_beyond_the_limit_every_cell_is_in_a_square(run, monkeypatch: pytest.MonkeyPatch):
    dots = map_data(run, ["Kitl", "Cxcl12"], seed=1)
    monkeypatch.setattr(interactive, "MAX_CELLS", 100)
    squares = map_data(run, ["Kitl", "Cxcl12"], seed=1)
    assert (dots["side"], squares["side"]) == (0, SIDE)
    sizes = unpack(squares["sizes"], np.uint32)
    assert sizes.sum() == squares["cells"] == len(run["umap"])
    assert [one["name"] for one in squares["columns"]] == [one["name"] for one in dots["columns"]]
    for one, dot in zip(squares["columns"], dots["columns"], strict=True):
        if one["kind"] == "value":
            assert len(unpack(one["data"], np.uint8)) == len(sizes)
            codes = unpack(dot["data"], np.uint8)
            assert one["missing"] == dot["missing"] == (codes == NOT_MEASURED).sum()
            continue
        if "by" in one:  # what follows from the sample is told once a sample
            assert one == dot
            continue
        kinds = {"entries": np.uint16, "codes": np.uint8, "counts": np.uint32}
        parts = {key: unpack(one["data"][key], kind) for key, kind in kinds.items()}
        held = list(split(parts))
        assert [sum(square.values()) for square in held] == sizes.tolist()
        total = pd.DataFrame(held).sum().astype(int)
        cells = pd.Series(unpack(dot["data"], np.uint8)).value_counts()
        assert total.sort_index().to_dict() == cells.sort_index().to_dict()


@pytest.fixture(scope="module")
def million(run) -> Iterator[tuple[Path, pd.DataFrame]]:
    """Write an index with a map of a million cells of 16 samples; yield it with its cells.

    Each sample is found everywhere on the map, which takes more room than in real data. All else on
    the page is of the made-up run.
    """
    write_provenance(run.root)
    more = [f"more{number}" for number in range(12)]
    sheet = pd.concat([run.samples, run.samples.iloc[np.arange(12) % 4].set_axis(more)])
    frame = million_cells(sheet)
    rng = np.random.default_rng(0)
    cluster = frame["cluster"].cat.codes.to_numpy()
    place = rng.uniform(-12, 12, (40, 2))[cluster] + rng.normal(0, 0.9, (MILLION, 2))
    umap = pd.DataFrame(place, frame.index, ["umap_1", "umap_2"]).reset_index()
    genes = list(dict.fromkeys(run["production"]["gene"])) + [f"G{n}" for n in range(150)]
    expression = pd.DataFrame(
        {
            gene: np.maximum(height[cluster] + rng.random(MILLION, np.float32), 0)
            for gene, height in zip(genes, rng.normal(size=(len(genes), 40)), strict=True)
        },
        index=frame.index,
        dtype=np.float32,
    )
    made_up = dataclasses.replace(run, tables={**run.tables, "umap": umap}, samples=sheet)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interactive, "cell_frame", lambda _: frame)
        patch.setattr(interactive, "panel_expression", lambda *_: expression)
        packed = map_data(made_up, genes, seed=0)
        patch.setattr(index_page, "map_data", lambda *_, **__: packed)
        build_index(run.root, config=CONFIG, samples=sample_sheet(), registry=registry())
    yield run.root / "report/index.html", frame


def million_cells(sheet: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    cluster = rng.integers(0, 40, MILLION)
    sample = rng.integers(0, len(sheet), MILLION)
    frame = {
        name: pd.Categorical.from_codes(cluster % many, [str(number) for number in range(many)])
        for name, many in (("cluster", 40), ("cell_type", 25), ("lineage", 12))
    }
    for column in ("donor", "condition", "tissue", "niche", "dataset", "own <b>column"):
        codes, given = pd.factorize(sheet[column])
        frame[column] = pd.Categorical.from_codes(codes[sample], given)
    frame["sample"] = pd.Categorical.from_codes(sample, list(sheet.index))
    cells = pd.Index([f"c{number}" for number in range(MILLION)], name="cell_id")
    return pd.DataFrame(frame, index=cells)


def test_the_index_of_a_million_cells_is_below_ten_megabytes_and_opens_at_once(million):
    page, frame = million
    assert page.stat().st_size < INDEX_BYTES
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    assert "All 1,000,000 cells are drawn, in squares" in text
    written = re.search(r'id="map-data">(.*?)</script>', text).group(1)
    assert len(written) < INDEX_BYTES - REST_BYTES
    packed = json.loads(written)
    assert unpack(packed["sizes"], np.uint32).sum() == packed["cells"] == MILLION
    assert sum(one["kind"] == "value" for one in packed["columns"]) >= 150
    with browser.started() as chromium:
        # seconds of the page's own processor time: what other jobs take does not count
        assert opening(chromium, page)["map, processor"] < OPEN_SECONDS
        with opened(chromium, page) as one:
            check_legends(one.page, frame)
            assert one.page.locator("#map-svg").is_hidden()
            one.is_quiet()


def check_legends(page, cells: pd.DataFrame) -> None:
    """Compare the legends of squares with the cells: what follows from the sample is put together
    in the browser."""
    for name in ("sample", "donor", "condition", "own <b>column"):
        colour_map(page, name)
        legend = page.evaluate(
            """() => [...document.querySelectorAll("#map-legend button")].map((one) =>
            [...one.querySelectorAll("span")].map((part) => part.textContent))"""
        )
        found = cells[name].astype(str)
        counts = found[found != ""].value_counts()
        expected = {words.name(key) if name != "sample" else key: n for key, n in counts.items()}
        assert {key: int(n.replace(",", "")) for key, n in legend} == expected, name
