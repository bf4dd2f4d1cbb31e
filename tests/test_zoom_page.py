"""What the index says of lineages clustered by themselves and of labels handed on."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emhniche.cluster import FOUND_AGAIN_COLUMNS
from emhniche.report import celltypist_section, index_tables, transferred_section, zoom_section
from emhniche.report.tables import read_run
from emhniche.zoom import MARKER_COLUMNS
from fake_names import SCRIPT
from fake_run import CONFIG, UNASKED, make_run, registry, sample_sheet


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def run(root: Path):
    return read_run(root, config=CONFIG, samples=sample_sheet(), registry=registry())


def column(table, heading: str) -> list[str]:
    place = [one.heading for one in table.columns].index(heading)
    return [row[place][1] for row in table.rows]


def test_clusters_of_a_lineage_are_those_of_its_tables(run):
    (one,) = zoom_section.sections(run)
    clusters = run.zooms["neutrophil"]["clusters"]["cluster"]
    assert f"{len(clusters)} cells in 2 clusters at resolution 1" in one["text"]
    assert "found again in 84 %" in one["text"] and "not stable" in one["text"]
    assert column(one["table"], "Cells") == [str((clusters == name).sum()) for name in "01"]
    assert column(one["table"], "Found again") == ["90 %", "72 %"]
    assert column(one["table"], "First markers") == ["</script><b>G, Kitl", "Lif"]
    (picture,) = zoom_section.pictures(run)
    assert picture.drawn
    dots = picture.figure.axes[0].collections
    assert [len(part.get_offsets()) for part in dots] == [
        len(run["umap"]) - len(clusters),
        len(clusters),
    ]
    bars = [bar.get_width() for bar in picture.figure.axes[1].patches]
    assert bars == [(clusters == name).sum() for name in "01"]


def test_a_lineage_of_few_cells_is_said_to_be_one(run):
    tables = run.zooms["neutrophil"]
    nothing = {name: table.iloc[:0] for name, table in tables.items()}
    nothing["found_again"] = pd.DataFrame(columns=FOUND_AGAIN_COLUMNS)
    nothing["markers"] = pd.DataFrame(columns=MARKER_COLUMNS)
    few = dataclasses.replace(run, zooms={"NK": nothing})
    (picture,), (one,) = zoom_section.pictures(few), zoom_section.sections(few)
    assert not picture.drawn and "NK: too few cells" in picture.caption
    assert (one["text"], one["table"].rows) == ("", [])


def test_labels_and_where_they_disagree_are_those_of_the_tables(run):
    cells = run.transferred["cells"]
    known = cells[cells["label"] != "unknown"]
    agree = int(known["agrees"].sum())
    assert 0 < agree < len(known) < len(cells)
    first, second, *third = transferred_section.sentences(run)
    assert f"Labels of s1 went to {len(known)} of {len(cells)} other cells" in first
    assert f"{len(cells) - len(known)} lie too far" in first
    assert second.startswith(f"{agree} of {len(known)} ")
    wrong = run.transferred["labels"].query("agree < 0.5")
    assert bool(third) == bool(len(wrong))
    counts = transferred_section.lineages_by_label(cells, run["annotation"])
    assert counts.to_numpy().sum() == len(cells)
    assert counts.index[-1] == "unknown"
    label = f"B {SCRIPT}"
    lineage = run["annotation"].set_index("cell_id")["lineage"]
    own = lineage.loc[cells.loc[cells["label"] == label, "cell_id"]]
    assert counts.loc[label, "HSPC"] == (own == "HSPC").sum() > 0
    (picture,) = transferred_section.pictures(run)
    drawn = picture.figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(drawn.sum(axis=1), 100)


def test_a_label_whose_cells_mostly_have_another_name_is_told(run):
    labels = run.transferred["labels"].assign(agree=0.1, n_cells=40, other_lineage="T")
    made_up = dataclasses.replace(run, transferred={**run.transferred, "labels": labels})
    told = transferred_section.sentences(made_up)[-1]
    assert f"B {SCRIPT} (10 % B; of the others most are T)" in told


def test_what_a_model_says_and_where_it_disagrees_are_those_of_its_tables(run):
    cells = run.celltypist["cells"]
    known = cells[cells["label"] != "unknown"]
    told, apart = celltypist_section.sentences(run)
    assert f"gives {len(known)} of {len(cells)} cells" in told
    assert f"{SCRIPT.split('/')[-1]}.pkl gives" in told
    lineage = run["annotation"].set_index("cell_id")["lineage"].loc[known["cell_id"]]
    (wrong,) = run.celltypist["clusters"].query("lineage == 'HSPC'")["cluster"]
    assert f"cluster {wrong} (" in apart and f"says B {SCRIPT} most often" in apart
    (picture,) = celltypist_section.pictures(run)
    axis = picture.figure.axes[0]
    shares = axis.images[0].get_array()
    np.testing.assert_allclose(shares.sum(axis=1), 100)
    row = [text.get_text().startswith("B ") for text in axis.get_yticklabels()].index(True)
    column_b = [text.get_text() for text in axis.get_xticklabels()].index("B")
    label_b = (known["label"] == f"B {SCRIPT}").to_numpy()
    assert shares[row, column_b] == pytest.approx(100 * (lineage[label_b] == "B").mean())
    table = celltypist_section.section(run)["table"]
    assert column(table, "Agree").count("0 %") == 1


def test_markers_stand_with_the_donors_that_bear_them_out(run):
    table = index_tables.marker_table(run)
    assert column(table, "Gene") == list(run["markers"]["gene"])
    assert column(table, "Donors higher") == ["4 of 4", "3 of 4", "–"]
    assert column(table, "Cells in") == ["90 %", "80 %", "70 %"]
    assert column(table, "q")[1:] == ["0.02", "–"]
    assert column(table, "Status") == ["tested", "tested", "not_testable"]
    assert column(table, "Flag") == ["–", "–", "ambient"]


def test_nothing_is_read_or_shown_where_it_was_not_asked(root: Path):
    unasked = read_run(root, config=UNASKED, samples=sample_sheet(), registry=registry())
    assert unasked.zooms == {} and unasked.transferred is unasked.celltypist is None
    assert celltypist_section.pictures(unasked) == []
    assert celltypist_section.section(unasked) is None
    assert zoom_section.pictures(unasked) == transferred_section.pictures(unasked) == []
    assert transferred_section.section(unasked) is None
