"""The demo run: every planted truth is recovered, and every page opens without a network.

The run is brought up to date where `make demo` puts it; after `make demo` that takes seconds.
"""

import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from anndata import read_h5ad
from sklearn.metrics import adjusted_rand_score

import browser
from browser import WIDTHS, downloaded, opened
from emhniche import io
from emhniche.report.tables import read_run
from emhniche.settings import load_run
from map_reading import ZERO, colour_map, dots
from stated import Tables, glance, sentences
from traced import expected_glance, numbers_off_by_one, untraced
from traced_page import Tracer
from traced_sample import Sample, untraced_sample
from traced_tables import untraced_tables
from workflow import ROOT, SNAKEMAKE

pytestmark = pytest.mark.workflow

INDEX_BYTES = 6_000_000
REST_BYTES = 4_000_000
SAMPLE_BYTES = 1_000_000
DEMO = "config/config.yaml"


@pytest.fixture(scope="module")
def demo() -> Path:
    """Return the results folder of the demo, with every page made by the code of this checkout."""
    done = subprocess.run(
        [*SNAKEMAKE, "--cores", "2", "--resources", "mem_mb=4000", "--configfile", DEMO],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return ROOT / "results" / "demo"


@pytest.fixture(scope="module")
def pages(demo: Path) -> list[Path]:
    found = sorted(demo.rglob("*.html"))
    assert {"index.html", "planted.html", "qc.html"} == {page.name for page in found}
    return found


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as one:
        yield one


def test_every_planted_truth_is_recovered(demo):
    verdicts = io.read_table(demo / "simulate" / "recovered.tsv")
    asked = verdicts[verdicts["verdict"] != "not asked"]
    assert len(asked) >= 20
    wrong = asked[asked["verdict"] != "right"]
    assert wrong.empty, "\n" + wrong[["truth", "expected", "found", "verdict"]].to_string()


def test_every_page_opens_offline_fits_and_can_be_read_by_all(chromium, pages):
    faults = []
    for page in pages:
        for width in WIDTHS:
            with opened(chromium, page, width=width) as one:
                browser.unfold(one.page)
                browser.fits(one.page, width)
                if width == 1440:
                    assert browser.cut_boxes(one.page) == [], page
                    one.is_quiet()
                    faults += [f"{page}: {fault}" for fault in browser.serious_faults(one.page)]
                one.is_quiet()
    assert faults == []


def test_keyboard_reaches_everything_on_every_page(chromium, pages):
    for page in pages:
        with opened(chromium, page) as one:
            assert browser.tab_through(one.page) == ([], []), page


def test_pages_are_small_for_16_samples_and_10_000_cells(demo, pages):
    samples = [page for page in pages if page.name == "qc.html"]
    assert len(samples) == 16
    assert all(page.stat().st_size < SAMPLE_BYTES for page in samples)
    index = demo / "report/index.html"
    assert int(sentences(index)[0].split()[0].replace(",", "")) > 10_000
    assert index.stat().st_size < INDEX_BYTES
    # beside its map, so that there is room for that of a million cells (test_binned.py)
    written = re.search(r'id="map-data">(.*?)</script>', index.read_text(encoding="utf-8")).group(1)
    assert index.stat().st_size - len(written) < REST_BYTES


@pytest.fixture(scope="module")
def index(chromium, demo):
    with opened(chromium, demo / "report/index.html") as one:
        browser.unfold(one.page)
        yield one
        one.is_quiet()


def test_the_map_shows_the_cells_of_the_run_by_gene_and_sample(demo, index):
    cells = read_h5ad(demo / "cells.h5ad", backed="r")
    kit = np.asarray(cells[:, "Kit"].X.todense()).ravel()
    index.page.fill("#map-search", "kit")
    colour_map(index.page, "Kit")
    assert index.page.inner_text("#map-legend").startswith("Kit, log1p of counts per 10,000")
    file, content = downloaded(index.page, index.page.locator("#map-svg"))
    found = dots(content)
    assert file == "umap_Kit.svg" and found.total() == cells.n_obs
    assert found[ZERO] == (kit == 0).sum() > 0
    index.page.fill("#map-search", "")
    colour_map(index.page, "sample")
    found = dots(downloaded(index.page, index.page.locator("#map-svg"))[1])
    assert sorted(found.values()) == sorted(cells.obs["sample"].value_counts())


def test_tables_of_the_demo_are_sorted_searched_and_saved(demo, index):
    index.page.locator("#quality-table thead button", has_text="Mito").click()
    samples = io.read_table(demo / "samples.tsv").sort_values("kept_pct_mito", kind="stable")
    shown = index.page.locator("#quality-table tbody tr").all_inner_texts()
    assert [row.split()[0] for row in shown] == list(samples["sample"])
    table = "contrasts-table"
    gene = index.page.locator(f"#{table} tbody tr").first.locator("td, th").nth(2).inner_text()
    index.page.fill(f"input[data-filter={table}]", gene.lower())
    button = index.page.locator(f"#{table}-caption .table-tools button")
    file, content = downloaded(index.page, button)
    heading, *rows = (line.split("\t") for line in content.decode("utf-8").splitlines())
    contrasts = io.read_table(demo / "niche/contrasts.tsv")
    known = contrasts.loc[contrasts["gene"] == gene, "effect"].dropna()
    assert file == f"{table}.tsv" and all(gene.lower() in " ".join(row).lower() for row in rows)
    found = [dict(zip(heading, row, strict=True)) for row in rows]
    effects = [one["log2 fold change"] for one in found if one["Gene"] == gene]
    effects = [float(text.replace("\u2212", "-")) for text in effects if text != "–"]
    assert 0 < len(effects) <= len(known)
    assert all(np.abs(known - effect).min() <= 0.051 for effect in effects)


def test_every_figure_links_the_table_it_was_drawn_from(pages):
    for page in pages:
        figures = re.findall(
            r'<figure id="figure-([^"]+)".*?(<figcaption>.*?</figcaption>)',
            page.read_text(),
            flags=re.DOTALL,
        )
        assert len(figures) >= 2, page
        for name, caption in figures:
            # the map is of single cells: a point a cell, whose table is a parquet file
            kind = "parquet" if name == "umap" else "tsv"
            assert re.search(rf'href="[^"]+\.{kind}"', caption), (page, name)


def test_links_between_pages_lead_somewhere(chromium, pages):
    for page in pages:
        with opened(chromium, page, javascript=False) as one:
            links = one.page.evaluate_handle("document.links").evaluate(
                "(all) => [...all].map((one) => one.getAttribute('href'))"
            )
        files = {link.split("#")[0] for link in links if not link.startswith(("http", "#"))}
        missing = [file for file in files if not (page.parent / file).exists()]
        assert missing == [], page


def test_index_states_the_numbers_of_the_demos_tables(demo, monkeypatch):
    monkeypatch.chdir(ROOT)
    settings = yaml.safe_load((ROOT / DEMO).read_text(encoding="utf-8"))
    own = load_run(settings, ROOT, source=DEMO)
    run = read_run(demo, config=own.config, samples=own.samples, registry=own.registry)
    tables = Tables.of_run(run)
    said = sentences(demo / "report/index.html")
    assert glance(demo / "report/index.html") == expected_glance(tables)
    assert len(said) > 40
    assert untraced(tables, said) == []
    wrong = [one for sentence in said for one in numbers_off_by_one(sentence)]
    assert len(wrong) > 150
    assert [one for one in wrong if not untraced(tables, [one])] == []
    assert Tracer(tables, demo / "report/index.html").untraced() == []
    assert untraced_tables(tables, demo / "report/index.html") == []
    for sample, sheet in own.samples.iterrows():
        one = Sample.of_run(demo, sample, sheet.to_dict(), own.config["qc"])
        assert untraced_sample(one, demo / "samples" / sample / "qc.html") == []


def test_cells_are_named_as_they_were_simulated(demo):
    truth = pd.read_parquet(demo / "simulate/cells.parquet").set_index("cell_id")["cell_type"]
    named = pd.read_parquet(demo / "annotate/annotation.parquet").set_index("cell_id")["cell_type"]
    clusters = pd.read_parquet(demo / "cluster/clusters.parquet").set_index("cell_id")["cluster"]
    for names in (named, clusters):
        alike = adjusted_rand_score(truth.loc[names.index].astype(str), names.astype(str))
        assert alike >= 0.85
