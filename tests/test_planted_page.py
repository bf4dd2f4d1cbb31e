"""The page Planted and recovered says what the judge found, and every simulated page says so."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from emhniche.evidence import VERDICTS, Evidence
from emhniche.io import read_table, write_table
from emhniche.judging import judge
from emhniche.report import words
from emhniche.report.index_page import build_index
from emhniche.report.planted_figures import MARKS, planted_rows, state_cells
from emhniche.report.planted_page import build_planted, describe_plant, summarise
from emhniche.report.sample_page import build_sample_page
from emhniche.truths import Truth
from fake_names import SAMPLES, SCRIPT
from fake_run import CONFIG, make_run, registry, sample_sheet, write_provenance
from fake_truth import SPLEEN, STRICT, fake_results, fake_study

PLANTS = (
    {
        "kind": "expression",
        "where": {"condition": "tumour", "tissue": "spleen"},
        "cell_types": ["EC_spleen"],
        "genes": ["Kitl"],
        "log2_fold": 1.5,
    },
    {"kind": "abundance", "where": {}, "cell_types": ["EC_spleen"], "fold": 2.0},
)
HERE = {"contrast": SPLEEN, "cell_types": ["endothelium"], "level": "lineage"}
CALLED = {"table": "myeloid", "finding": "called", "condition": "tumour", "tissue": "spleen"}
CALLED |= {"lineage": "neutrophil", "signature": STRICT}
CALLED |= {"max_false_share": 0.1, "min_found_share": 0.7}
LATER = {"when": {"condition": "LPS"}}
TRUTHS = [
    Truth(
        "producers",
        f"Kitl rises {SCRIPT}",
        f"A & B {SCRIPT}",
        PLANTS,
        (
            {"table": "contrasts", "finding": "up", "genes": ["Kitl"], **HERE},
            {"table": "composition", "finding": "up", **HERE},
        ),
    ),
    Truth("state", "A state.", "A source.", (), (CALLED,)),
    Truth(
        "later",
        "A truth of another study.",
        "A source.",
        (),
        ({"table": "design", "finding": "tested", "contrast": "x", **LATER},),
    ),
]


def build(root: Path, **changes: Callable) -> Path:
    """Write the results, the judgement and the page of a made-up run."""
    fake_results(root, **changes)
    write_table(judge(TRUTHS, root, fake_study()), root / "simulate" / "recovered.tsv")
    build_planted(root, truths=TRUTHS, study=fake_study(), run_name="fake", title=f"T {SCRIPT}")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "report" / "planted.html").read_text(encoding="utf-8")


def missed(root: Path) -> str:
    """Return the page of a run that missed a truth and holds no answer to another."""
    build(
        root,
        contrasts=lambda t: t.assign(q=t["q"].where(t["gene"] != "Kitl", 0.8)),
        gates=lambda t: t.iloc[:0],
    )
    return (root / "report" / "planted.html").read_text(encoding="utf-8")


def badges(page: str) -> list[str]:
    """Return the verdicts in the rows of the table."""
    table = page[page.index("<tbody>") : page.index("</tbody>")]
    return re.findall(r'badge badge-(\w+)"', table)


def test_the_page_needs_no_other_file(page: str):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src" in policy
    assert not re.search(r"<(?:link|img|iframe|script)[^>]*(?:src|href)=", page)
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page


def test_names_are_text_and_never_markup(page: str):
    assert SCRIPT not in page
    assert "A &amp; B" in page
    assert "&lt;script" in page
    assert len(re.findall(r"<script", page)) == 1


def test_the_page_says_first_that_the_data_are_simulated(page: str):
    body = page[page.index("<body>") :]
    assert re.sub(r"<[^>]*>", "", body).strip().startswith("Simulated data:")
    assert "does not show that the pipeline is right on real\ndata" in page


def test_every_verdict_of_the_table_is_on_the_page(root: Path, page: str):
    recovered = read_table(root / "simulate" / "recovered.tsv")
    assert badges(page) == [verdict.replace(" ", "_") for verdict in recovered["verdict"]]
    assert badges(page) == ["right", "right", "right", "not_asked"]
    assert "3 of 3 expectations from 2 truths are right; 1 was not asked" in page
    for text in recovered["found"]:
        assert text.replace("<", "&lt;").replace("'", "&#39;") in page


def test_a_wrong_truth_is_seen_at_once(tmp_path: Path):
    page = missed(tmp_path)
    assert badges(page) == ["wrong", "right", "cannot_tell", "not_asked"]
    before = page[: page.index('id="truths"')]
    assert "1 of 3 expectations from 2 truths are right, 1 wrong, 1 cannot be told" in before
    assert 'href="#truth-producers"' in before and 'id="truth-producers"' in page
    assert "badge-wrong" in before and "✗ wrong" in before
    assert "q 0.8" in page


def test_verdicts_differ_in_words_not_in_colour_alone():
    told = [words.judged(verdict) for verdict in VERDICTS]
    assert len({one.word for one in told}) == len(VERDICTS)
    assert all(one.meaning for one in told)


def test_linked_tables_exist(root: Path, page: str):
    links = {link for link in re.findall(r'href="([^"#]+)"', page) if link != "index.html"}
    assert links
    for link in links:
        assert (root / "report" / link).exists(), link


def test_the_figure_sets_found_beside_planted(root: Path):
    rows = planted_rows(TRUTHS, Evidence(root, fake_study()))
    assert rows["name"].tolist() == ["Kitl in endothelium", "endothelium, frequency"]
    assert rows["planted"].tolist() == [1.5, 1.0]
    assert rows["effect"].tolist() == [1.4, 1.1]
    assert rows["called"].all()


def test_the_figure_of_the_state_counts_its_cells(root: Path):
    cells = state_cells("state", CALLED, Evidence(root, fake_study()))
    number = cells.groupby(["donor", "mark"]).size()
    assert set(cells["mark"]) <= set(MARKS)
    assert number["tumour1"].to_dict() == {
        "planted, called": 18,
        "planted, not called": 2,
        "not planted, called": 1,
        "not planted, not called": 39,
    }
    assert number["naive1"].to_dict() == {"not planted, not called": 60}


def test_plants_are_put_in_words():
    assert describe_plant(PLANTS[0]) == "Kitl 2.8-fold higher in EC spleen (tumour, spleen)."
    assert describe_plant(PLANTS[1]) == "EC spleen 2 times as frequent."
    state = {**PLANTS[0], "kind": "state", "share": 0.3}
    assert describe_plant(state) == "Kitl 2.8-fold higher in 30 % of EC spleen (tumour, spleen)."
    assert describe_plant({"kind": "silence", "genes": ["Lif"]}) == "Lif in no cell."


def test_the_summary_counts_what_was_asked(root: Path):
    recovered = read_table(root / "simulate" / "recovered.tsv")
    assert summarise(recovered.iloc[:2]) == "2 of 2 expectations from 1 truth are right."


def test_the_same_tables_give_the_same_page(tmp_path: Path, page: str):
    again = build(tmp_path)
    assert (again / "report" / "planted.html").read_text(encoding="utf-8") == page


def test_every_page_of_a_run_says_whether_it_is_simulated(tmp_path: Path):
    root = make_run(tmp_path)
    write_provenance(root)
    sheet = sample_sheet()
    for study in ("", "config/study.yaml"):
        build_sample_page(
            root / "samples" / SAMPLES[0] / "qc.json",
            root / "samples" / SAMPLES[0] / "qc.parquet",
            root / "qc.html",
            verdicts=root / "samples.tsv",
            sheet=sheet.loc[SAMPLES[0]].to_dict(),
            settings=CONFIG["qc"],
            simulated=bool(study),
        )
        config = CONFIG | ({"simulate": study} if study else {})
        build_index(root, config=config, samples=sheet, registry=registry())
        for path, link in (("report/index.html", ""), ("qc.html", "../../report/")):
            text = (root / path).read_text(encoding="utf-8")
            assert ("Simulated data:" in text) == bool(study), path
            assert (f'href="{link}planted.html"' in text) == bool(study), path
