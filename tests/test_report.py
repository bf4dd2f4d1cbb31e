import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from emhniche.io import read_json, read_table, write_table
from emhniche.report import figures, transferred_section, words, zoom_section
from emhniche.report.findings import all_findings
from emhniche.report.interactive import map_data, panel_expression
from emhniche.report.methods import cited, methods_text
from emhniche.report.niche_figures import panel_map
from emhniche.report.packed import NOT_MEASURED, unpack
from emhniche.report.sample_page import summarise
from emhniche.report.standfirst import standfirst
from emhniche.report.tables import TABLES, TRANSFERRED, ZOOM, read_run
from fake_names import CELL_TYPES, CONTRAST, EVIL_SAMPLE, GENES, LONG, SAMPLES, SCRIPT
from fake_run import (
    CONFIG,
    UNASKED,
    build_pages,
    libraries,
    make_run,
    registry,
    sample_sheet,
    write_provenance,
)

ROOT = Path(__file__).parents[1]
BUILT = ["s1", EVIL_SAMPLE, "s3"]
"""Samples whose page is built."""


class Page(HTMLParser):
    """What a browser would see: text, tags, and every attribute that could load something."""

    def __init__(self, path: Path):
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self._silent = ""
        self.feed(self.html)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent = tag if tag in ("script", "style") else self._silent

    def handle_endtag(self, tag: str) -> None:
        self._silent = "" if tag == self._silent else self._silent

    def handle_data(self, data: str) -> None:
        self.text += "" if self._silent else f"{data} "

    def find(self, tag: str) -> list[dict]:
        return [attrs for found, attrs in self.tags if found == tag]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"))
    write_provenance(folder)
    return build_pages(folder, BUILT)


@pytest.fixture(scope="module")
def bare_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("bare"), testable=False)
    write_provenance(folder)
    return build_pages(folder, [], UNASKED)


@pytest.fixture(scope="module")
def index(root: Path) -> Page:
    return Page(root / "report/index.html")


@pytest.fixture(scope="module")
def run(root: Path):
    return read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())


def pages(root: Path) -> list[Path]:
    return [root / "report/index.html", *sorted(root.glob("samples/*/qc.html"))]


def findings(run) -> list:
    return [one for _, ones in all_findings(run) for one in ones]


def test_no_page_loads_anything(root: Path):
    for path in pages(root):
        page = Page(path)
        for tag, attrs in page.tags:
            for key in ("src", "data", "poster", "srcset", "action"):
                assert attrs.get(key, "data:").startswith(("data:", "#")), (path, tag, attrs)
            for key in ("href", "xlink:href"):
                link = attrs.get(key, "#")
                outside = re.match(r"(?i)\w+:", link)
                if outside and tag != "a":
                    assert link.startswith("data:"), (path, tag, attrs)
            assert not any(key.startswith("on") for key in attrs), (path, tag, attrs)
        assert not page.find("link") and not page.find("iframe")
        assert "url(http" not in page.html and "@import" not in page.html


def test_names_are_text_and_never_markup(root: Path):
    for path in pages(root):
        page = Page(path)
        assert "alert(" not in "".join(
            re.findall(r"<script>(.*?)</script>", page.html, flags=re.DOTALL)
        )
        assert SCRIPT not in page.html
        assert "<b>G" not in page.html
        policy = next(
            m["content"]
            for m in page.find("meta")
            if "content" in m and "script-src" in m["content"]
        )
        assert "unsafe-inline'" in policy.split("style-src")[1]
        assert "unsafe-inline" not in policy.split("style-src")[0]


def test_hostile_names_are_shown(index: Page):
    for name in (SCRIPT, EVIL_SAMPLE, LONG.replace("_", " "), "../../β", GENES[5]):
        assert re.sub(r"\s+", " ", name) in index.text


def test_sample_links_lead_to_pages(root: Path, index: Page):
    links = [a["href"] for a in index.find("a") if a.get("href", "").endswith("qc.html")]
    assert len(set(links)) == len(SAMPLES)
    for link in links:
        folder = (root / "report" / unquote(link)).resolve().parent
        assert folder.parent == (root / "samples").resolve()
        assert folder.name in SAMPLES


def test_linked_tables_exist(root: Path, index: Page):
    links = {a["href"] for a in index.find("a") if a.get("href", "").startswith("../")}
    tables = {link for link in links if not link.endswith("qc.html")}
    assert {f"../{TABLES[name][0]}" for name in ("contrasts", "production", "gates")} <= tables
    for link in tables:
        assert (root / "report" / link).resolve().is_file(), link


def test_references_within_a_page_resolve(root: Path):
    for path in pages(root):
        page = Page(path)
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids)), "an id is used twice"
        for attrs in page.find("a"):
            if attrs.get("href", "").startswith("#"):
                assert attrs["href"][1:] in ids


def test_kept_cells_on_the_page_are_those_of_the_tables(root: Path, index: Page):
    kept = sum(read_json(root / f"samples/{s}/qc.json")["n_kept"] for s in SAMPLES)
    total = sum(read_json(root / f"samples/{s}/qc.json")["n_in"] for s in SAMPLES)
    assert f"{kept} of {total} barcodes were kept as cells (75 %) in 4 samples" in index.text
    assert "1 of 4 samples carries a warning" in index.text


def test_failed_samples_and_their_reasons_come_first(tmp_path: Path):
    root = make_run(tmp_path)
    write_provenance(root)
    reason = f"female by the sheet {SCRIPT}"
    write_table(libraries(root, s1=reason), root / "samples.tsv")
    run = read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())
    lines = standfirst(run)
    assert lines[0] == (
        f"1 of 4 samples failed quality control and is kept out of everything below: s1 ({reason})."
    )
    left = sum(run.qc[sample]["n_kept"] for sample in SAMPLES if sample != "s1")
    assert any(line.startswith(f"{left} cells of 3 samples") for line in lines)
    build_pages(root, ["s1"])
    page = Page(root / "samples/s1/qc.html")
    assert "This sample is kept out of everything that follows." in page.text
    assert reason in page.text
    index = Page(root / "report/index.html")
    assert "kept out" in index.text
    write_table(libraries(root, s1=reason).assign(kept=True), root / "samples.tsv")
    run = read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())
    assert "failed quality control but is kept, as the sample sheet says" in standfirst(run)[0]


def test_sample_page_tells_sex_twins_and_states(root: Path):
    text = Page(root / "samples/s3/qc.html").text
    assert "The sample sheet names no sex. No sex gene is listed; that is too little" in text
    assert "No earlier sample of the run holds the same cells." in text
    assert "10 of 50 cells (20 %) are in S (6) or G2/M (4)" in text
    assert "Expected by the configuration" in text
    assert "6 % of" in text


def test_sentences_state_the_tables_numbers(root: Path, run):
    text = " ".join(one.text for one in findings(run))
    contrasts = read_table(root / "niche/contrasts.tsv").query("level == 'cell_type'")
    assert f"of {len(contrasts)} pairs of gene and cell type 1 are tested" in text
    best = contrasts[contrasts["status"] == "tested"].iloc[0]
    assert f"{best['gene']} in LepR CAR MSC {2 ** best['effect']:.1f}-fold higher" in text
    production = read_table(root / "niche/production.tsv")
    top = production[(production["gene"] == "Kitl") & (production["niche"] == "marrow")].iloc[0]
    share = f"{100 * top['detection']:.0f} % of {top['n_cells']} cells"
    assert f"Kitl in LepR CAR MSC ({share})" in text
    annotation = read_table(root / "annotate/annotation.parquet")
    n = (annotation["lineage"] == "neutrophil").sum()
    assert f"neutrophil ({n})" in text


def test_statuses_are_words_with_reasons(index: Page, run):
    for word in ("tested", "effect only", "not identifiable", "not testable"):
        assert f" {word} " in index.text
    for key in ("not_identifiable", "effect_only", "not_testable"):
        assert key not in index.text
    said = [one for one in findings(run) if one.status == "not_identifiable"]
    assert said and "niche cannot be told from study and chemistry" in said[0].text
    assert any("So no p-value is given" in line for line in standfirst(run))


def test_what_integration_can_have_undone_is_said_of_the_method_that_was_used(root: Path):
    html = (root / "report/index.html").read_text(encoding="utf-8")
    told = re.search(r'<ul class="integration">(.*?)</ul>', html, re.S)[1].replace("\xa0", " ")
    assert "mix to 92 % of chance" in told
    assert "mix to 21 % of chance" not in told  # another method's
    assert "monocyte/macrophage &lt;b&gt;lie&lt;/b&gt;" in told


def test_what_cannot_be_judged_is_not_called_absent(run):
    spleen = [
        one.text for one in findings(run) if one.status == "not_testable" and "Cxcl12" in one.text
    ]
    assert spleen and "extramedullary" in spleen[0] and "not absence" in spleen[0]
    assert not any("Cxcl12 in" in one.text for one in findings(run) if "extramed" in one.text)


def test_ligands_that_cannot_be_compared_are_named(run):
    said = [one.text for one in findings(run) if "core ligands" in one.text]
    assert len(said) == 1 and "Lif and Csf3 cannot be compared" in said[0]


def test_not_testable_cells_are_hatched_not_zero(root: Path):
    production = read_table(root / "niche/production.tsv")
    figure = panel_map(production, "extramedullary")
    axis = figure.axes[0]
    shown = axis.images[0].get_array()
    genes = [label.get_text() for label in axis.get_yticklabels()]
    hatched = [patch for patch in axis.patches if patch.get_hatch()]
    gone = genes.index("Cxcl12")
    assert np.ma.getmaskarray(shown)[gone].all()
    assert len(hatched) == 2 * len(CELL_TYPES)
    assert not np.ma.getmaskarray(shown)[genes.index("Kitl")].any()


def test_unmeasured_gene_is_marked_in_the_map_and_the_expression(root: Path, run):
    expression = panel_expression(root / "cells.h5ad", ["Cxcl12", "Kitl", "Absent1"])
    assert list(expression.columns) == ["Cxcl12", "Kitl"]
    spleen = run.cells["dataset"] == "d_spleen"
    assert expression.loc[spleen, "Cxcl12"].isna().all()
    assert expression.loc[~spleen, "Cxcl12"].notna().all()
    counts = read_h5ad(root / "cells.h5ad")
    totals = np.asarray(counts.X.sum(axis=1)).ravel()
    expected = np.log1p(counts[:, "Kitl"].X.toarray().ravel() / totals * 1e4)
    np.testing.assert_allclose(expression["Kitl"], expected, rtol=1e-5)
    packed = map_data(run, ["Cxcl12"], seed=1)
    column = next(one for one in packed["columns"] if one["name"] == "Cxcl12")
    assert (unpack(column["data"], np.uint8) == NOT_MEASURED).sum() == spleen.sum()


def test_methods_say_what_estimated_the_false_discoveries_among_called_cells(root: Path):
    for mode, said, source in (
        ("fdr", "estimated by target-decoy over reference donors", "Elias"),
        ("power", "estimated by conformal p-values over pooled reference cells", "Bates"),
    ):
        config = {**CONFIG, "myeloid": CONFIG["myeloid"] | {"mode": mode}}
        provenance = read_json(root / "provenance.json")
        paragraph = methods_text(config, provenance, epochs=0, tables={})[-1]
        assert said in paragraph.text
        assert any(citation.startswith(source) for citation, _ in cited([paragraph], registry())[1])


def test_methods_warn_of_a_gpu_that_failed(root: Path):
    provenance = read_json(root / "provenance.json")

    def told(**device: str | None) -> str:
        record = provenance | {"accelerator": device}
        return " ".join(one.text for one in methods_text(CONFIG, record, epochs=9, tables={}))

    failed = told(used="cpu", fell_back="CUDA out of memory")
    assert "Warning: the GPU failed (CUDA out of memory), so a CPU trained the model." in failed
    gpu = told(used="cuda", name="Made-up GPU", precision="bf16", fell_back=None)
    assert "trained on a GPU (Made-up GPU, in 16 and 32 bits)" in gpu
    assert "GPU" not in told(used="cpu", fell_back=None)


def test_methods_tell_of_signals_only_what_the_run_used(root: Path):
    provenance = read_json(root / "provenance.json")

    def told(**tables: pd.DataFrame) -> str:
        return " ".join(
            one.text for one in methods_text(CONFIG, provenance, epochs=0, tables=tables)
        )

    answered = pd.DataFrame({"status": ["not_testable", "tested"]})
    assert "mixed model" in told(score_contrasts=answered)
    assert "mixed model" not in told(score_contrasts=answered.iloc[:1], supply=answered)
    assert "supply of a ligand" in told(supply=answered)


def test_map_keeps_places_and_categories(root: Path, run):
    packed = map_data(run, [], seed=1)
    assert packed["cells"] == len(run["umap"])
    assert packed["side"] == 0
    x = np.sort(unpack(packed["x"], np.uint16) / 65535)
    umap = run["umap"]["umap_1"].to_numpy(dtype=float)
    expected = np.sort((umap - umap.min()) / np.ptp(umap))
    np.testing.assert_allclose(x, expected, atol=1e-4)
    lineage = next(one for one in packed["columns"] if one["name"] == "lineage")
    counts = np.bincount(unpack(lineage["data"], np.uint8), minlength=len(lineage["names"]))
    truth = run["annotation"]["lineage"].map(words.name).value_counts()
    assert dict(zip(lineage["names"], counts, strict=True)) == truth.to_dict()


def test_embedded_data_parses_and_cannot_close_its_script(index: Page):
    block = re.search(r'id="map-data">(.*?)</script>', index.html, flags=re.DOTALL).group(1)
    assert "<" not in block
    assert SCRIPT in json.dumps(json.loads(block))


def test_pages_build_from_empty_tables(bare_root: Path):
    page = Page(bare_root / "report/index.html")
    assert "no difference has a size" in page.text
    assert "No combination of ligand and receptor could be scored" in page.text
    assert "No cell was called MDSC-like, so there is no subset" in page.text
    assert "nan" not in page.text.lower().split()
    assert ">None<" not in page.html


def test_what_was_asked_for_is_on_the_index_and_else_nothing(root: Path, bare_root: Path, run):
    page, bare = (Page(one / "report/index.html") for one in (root, bare_root))
    shown, unasked = ({attrs.get("id") for attrs in one.find("figure")} for one in (page, bare))
    assert {"figure-zoom-neutrophil", "figure-transferred"} <= shown
    for told in (*transferred_section.sentences(run), zoom_section.sections(run)[0]["text"]):
        assert told in page.text
    assert not {"figure-zoom-neutrophil", "figure-transferred"} & unasked
    assert "by itself" not in bare.text and "Published labels" not in bare.text


def test_every_figure_of_a_sample_links_tables_that_are_there(root: Path):
    for sample in BUILT:
        folder = root / "samples" / sample
        page = (folder / "qc.html").read_text(encoding="utf-8")
        captions = re.findall(r"<figcaption>.*?</figcaption>", page, flags=re.DOTALL)
        assert len(captions) == len(re.findall("<figure ", page)) >= 5
        for caption in captions:
            linked = re.findall(r'href="([^"]+\.tsv)"', caption)
            assert linked, caption
            assert all((folder / table).is_file() for table in linked), linked


def test_sample_page_answers_its_questions(root: Path):
    qc = read_json(root / "samples/s3/qc.json")
    page = Page(root / "samples/s3/qc.html")
    assert f"{qc['n_kept']} of {qc['n_in']} barcodes were kept" in page.text
    for reason, n in qc["removed"].items():
        assert f"{words.reason(reason)} ({n})" in page.text
    worst = max(
        (r for r in qc["lineages"] if r["n_in"] >= 10 and r["lineage"] != "unresolved"),
        key=lambda r: (1 - r["n_kept"] / r["n_in"], r["lineage"]),
    )
    lost = worst["n_in"] - worst["n_kept"]
    assert f"{lost} of {worst['n_in']} barcodes (main reason" in page.text
    assert "4 barcodes of 79 (5 %) were called doublets" in page.text


def test_sample_page_says_what_was_not_measured(root: Path):
    page = Page(root / "samples/s1/qc.html")
    assert "the file lists no mitochondrial gene" in page.text
    assert "Not searched for: 84 cells, fewer than 500." in page.text
    evil = Page(root / f"samples/{EVIL_SAMPLE}/qc.html")
    assert "Verdict: warning (erythroid lost" in evil.text


def test_sample_page_is_small(root: Path):
    assert all(path.stat().st_size < 1_000_000 for path in root.glob("samples/*/qc.html"))


def test_summary_without_loss():
    qc = {
        "n_in": 5,
        "n_kept": 5,
        "removed": {},
        "verdict": "pass",
        "verdict_reason": "",
        "lineages": [{"lineage": "B", "n_in": 5, "n_kept": 5, "removed": {}}],
        "medians": {"n_counts": None},
    }
    assert summarise(qc) == [
        "Verdict: pass. 5 of 5 barcodes were kept as cells (100 %); 0 were removed.",
    ]


def test_figures_are_written_even_when_nothing_can_be_drawn(bare_root: Path):
    drawn = {path.stem for path in (bare_root / "report/figures").glob("*.svg")}
    assert {"losses", "training", "metrics", "umap", "composition", "myeloid"} <= drawn
    assert {"panel-marrow", "panel-extramedullary", f"forest-{CONTRAST}"} <= drawn
    forest = (bare_root / f"report/figures/forest-{CONTRAST}.svg").read_text(encoding="utf-8")
    assert "no difference has a size" in unescape(forest)


def test_same_tables_give_the_same_page(root: Path):
    before = {path: path.read_bytes() for path in [*pages(root), *root.glob("report/figures/*")]}
    build_pages(root, ["s3"])
    for path, content in before.items():
        assert path.read_bytes() == content, path


def test_lacking_column_is_named(tmp_path: Path):
    make_run(tmp_path)
    design = read_table(tmp_path / "niche/design.tsv").drop(columns="verdict")
    design.to_csv(tmp_path / "niche/design.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match=r"design\.tsv: column 'verdict' is missing"):
        read_run(tmp_path, config=CONFIG, samples=sample_sheet(), registry=registry())


def test_lineage_colours_differ():
    assert len(set(figures.LINEAGE_COLOURS.values())) == len(figures.LINEAGE_COLOURS) == 17
    chosen = figures.colours(["B", "x", "y", "unknown:s3"])
    assert chosen["B"] == figures.LINEAGE_COLOURS["B"]
    assert chosen["unknown:s3"] == figures.GREY
    assert len(set(chosen.values())) == 4
    assert len(set(figures.colours([f"c{n}" for n in range(40)]).values())) == 40


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 5, "0 %"),
        (1, 1000, "<1 %"),
        (999, 1000, ">99 %"),
        (5, 5, "100 %"),
        (1, 0, "–"),
        (None, 5, "–"),
    ],
)
def test_percent(part: object, whole: object, text: str):
    assert words.percent(part, whole) == text


def test_missing_numbers_are_dashes():
    for write in (words.number, words.signed, words.significant, words.p_value):
        assert write(float("nan")) == write(None) == "–"
    assert words.signed(-2.25) == "−2.2"
    assert [words.signed(x) for x in (-0.0372, 0.06, 0.0, -0.001)] == [
        *("−0.04", "+0.06", "0.0", "0.00")
    ]
    assert words.number(-0.004, 2) == "0.00" and words.significant(-0.0) == "0"
    assert words.fold(-1) == "2.0-fold lower"


def test_rule_asks_for_every_table_the_page_reads():
    rules = (ROOT / "workflow/rules/report.smk").read_text(encoding="utf-8")
    body = rules[rules.index("rule report:") :]
    for path, _ in TABLES.values():
        assert f'"<results>/{path}"' in body, path
    asked = body[: body.index("output:")]
    assert f"table={json.dumps(list(ZOOM))}" in asked
    names = {path.partition(".")[0] for path, _ in TRANSFERRED.values()}
    assert all(f"{name}.{{kind}}" in asked for name in names)


def test_every_caption_named_in_the_rules_exists():
    rules = (ROOT / "workflow/rules/report.smk").read_text(encoding="utf-8")
    named = re.findall(r"report/(\w+)\.rst", rules)
    block = rules[rules.index("FIGURES") : rules.index("rule qc_page")]
    named += re.findall(r': "(\w+)"', block)
    named += re.findall(r'"(\w+)"\]? ?[,i]', block[block.index("FIGURE_TABLES =") :])
    assert {"panel", "myeloid_cells", "celltypist_by_lineage"} <= set(named)
    for name in named:
        assert (ROOT / "workflow/report" / f"{name}.rst").is_file(), name
