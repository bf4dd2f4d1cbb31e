"""Figures that leave the page: SVG for slides, PDF for papers."""

import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from emhniche.io import read_json, read_table
from emhniche.report.index_page import build_index
from fake_names import SAMPLES
from fake_run import CONFIG, make_run, registry, sample_sheet, write_provenance

ROOT = Path(__file__).parents[1]
DRAW = """
import hashlib
from emhniche.report.figures import new_figure, to_pdf
figure, axes = new_figure(3, 2)
axes[0, 0].set_title("IL-1β of Zoë: 5 µm $x$")
axes[0, 0].scatter([1, 2], [1, 2], rasterized=True)
print(hashlib.sha256(to_pdf(figure)).hexdigest())
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_run(tmp_path_factory.mktemp("run"))
    write_provenance(root)
    build_index(root, config=CONFIG, samples=sample_sheet(), registry=registry())
    return root / "report"


def test_every_figure_is_there_as_svg_and_as_pdf_and_both_are_linked(report: Path):
    page = (report / "index.html").read_text(encoding="utf-8")
    drawn = {path.stem for path in (report / "figures").glob("*.svg")}
    assert len(drawn) >= 10
    assert {path.stem for path in (report / "figures").glob("*.pdf")} == drawn
    linked = set(re.findall(r'href="(figures/[^"]+)"', page))
    shown = set(re.findall(r'<figure id="figure-([^"]+)"', page))
    assert shown <= drawn
    assert linked == {f"figures/{name}.{kind}" for name in shown for kind in ("svg", "pdf")}


def test_every_figure_links_a_table(report: Path):
    page = (report / "index.html").read_text(encoding="utf-8")
    figures = re.findall(
        r'<figure id="figure-([^"]+)".*?(<figcaption>.*?</figcaption>)', page, flags=re.DOTALL
    )
    assert len(figures) == page.count("<figcaption>") >= 10
    for name, text in figures:
        tables = re.findall(r'href="([^"]+\.(?:tsv|parquet))"', text)
        assert all((report / table).resolve().is_file() for table in tables), name
        # the map is of single cells: a point a cell, whose table is a parquet file
        assert name == "umap" or any(table.endswith(".tsv") for table in tables), name


def test_pdfs_hold_vectors_and_their_fonts_and_no_date(report: Path):
    for path in (report / "figures").glob("*.pdf"):
        content = path.read_bytes()
        assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
        assert b"CreationDate" not in content, path
        # outlines of TrueType fonts are embedded; Type 3 is what journals refuse
        assert b"/FontFile2" in content and b"/Type3" not in content, path
    streams = re.findall(
        rb"stream\r?\n(.*?)\r?\nendstream", (report / "figures/losses.pdf").read_bytes(), re.DOTALL
    )
    unpacked = []
    for stream in streams:
        try:
            unpacked.append(zlib.decompress(stream))
        except zlib.error:
            continue
    # a bar is a filled path: the page holds paths, and no picture
    assert any(len(re.findall(rb"\bl\n", one)) > 20 for one in unpacked)
    assert b"/Subtype /Image" not in (report / "figures/losses.pdf").read_bytes()


def test_equal_figures_have_equal_bytes_in_every_process():
    sums = {
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(sums) == 1


def test_losses_are_told_as_a_table(report: Path):
    table = read_table(report / "losses.tsv")
    for sample in SAMPLES:
        qc = read_json(report.parent / "samples" / sample / "qc.json")
        own = table[table["sample"] == sample].set_index("fate")["barcodes"].to_dict()
        assert own == {"kept": qc["n_kept"], **qc["removed"]}
        assert sum(own.values()) == qc["n_in"]


def test_composition_is_told_as_a_table(report: Path):
    table = read_table(report / "composition_by_sample.tsv")
    cells = read_table(report.parent / "annotate/annotation.parquet")
    sample = cells["cell_id"].str.rsplit(":", n=1).str[0]
    counts = cells.groupby([sample, "lineage"]).size()
    assert table["n_cells"].sum() == len(cells)
    for row in table[table["n_cells"] > 0].itertuples():
        assert row.n_cells == counts[row.sample, row.lineage]
        assert row.share == pytest.approx(row.n_cells / counts[row.sample].sum(), rel=1e-5)


@pytest.mark.parametrize("kind", ["transferred", "celltypist"])
def test_labels_by_lineage_are_told_as_a_table(report: Path, kind: str):
    table = read_table(report / f"{kind}_by_lineage.tsv")
    cells = read_table(report.parent / f"annotate/{kind}.parquet")
    assert (
        table.groupby("label")["n_cells"].sum().to_dict() == cells["label"].value_counts().to_dict()
    )
