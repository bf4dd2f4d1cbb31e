"""Maps of senders and receivers: what is averaged, what is marked and what is not drawn as zero."""

import numpy as np
import pandas as pd
import pytest

from emhniche.report.talk_figure import by_niche, changes, talk

CORE = pd.DataFrame({"axis": ["KIT", "CXCL12", "LIF"], "gene": ["Kitl", "Cxcl12", "Lif"]})


def rows(*scores: tuple) -> pd.DataFrame:
    """Return rows of ``ligand_receptor.tsv``: unit, axis, sender, receiver, score, ambient."""
    names = ["unit", "axis", "sender", "receiver", "score", "ambient"]
    table = pd.DataFrame(scores, columns=names).assign(niche="marrow", dataset="d", sign="agonist")
    ligand = table["axis"].map(CORE.set_index("axis")["gene"]).fillna("Csf1")
    table = table.assign(ligand=ligand, receptor="R_" + table["axis"], condition="")
    return table.assign(status=np.where(table["score"].isna(), "not_testable", "described"))


PAIRS = rows(
    ("m1", "KIT", "stroma", "HSPC", 8.0, False),
    ("m2", "KIT", "stroma", "HSPC", 6.0, False),
    ("m1", "KIT", "B", "HSPC", 4.0, True),
    ("m3", "KIT", None, None, np.nan, False),
    ("m1", "LIF", None, None, np.nan, False),
    ("m1", "M-CSF", "stroma", "B", 5.0, False),
)


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def collections(axis) -> list:
    """Return the fields of a map: centre, side and value."""
    fields = axis.collections[-1]
    boxes = [path.get_extents() for path in fields.get_paths()]
    return [
        ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2, box.width, value)
        for box, value in zip(boxes, fields.get_array(), strict=True)
    ]


def test_donors_with_a_score_are_averaged_and_the_others_are_not_zero():
    levels = by_niche(PAIRS).set_index(["axis", "sender"])
    assert levels.loc[("KIT", "stroma"), "score"] == pytest.approx(7)
    assert levels.loc[("KIT", "stroma"), "units"] == 2
    assert levels.loc[("KIT", "stroma"), "share"] == pytest.approx(2 / 3)
    assert not levels.loc[("KIT", "stroma"), "ambient"] and levels.loc[("KIT", "B"), "ambient"]


def test_a_map_shows_core_axes_few_donors_small_and_ambient_fields_crossed():
    figure = talk(PAIRS, CORE)
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["B", "stroma", "–"]
    assert "LIF" in texts(figure) and "none scored" in texts(figure)
    assert "M-CSF" not in texts(figure)
    fields = {(x, y): (side, value) for x, y, side, value in collections(axis)}
    assert [label.get_text() for label in axis.get_xticklabels()] == ["HSPC"]
    assert fields[0, 1][1] == 7 and fields[0, 0][1] == 4
    assert fields[0, 0][0] < fields[0, 1][0]
    crosses = [tuple(line.get_xydata()[0]) for line in axis.lines if line.get_marker() == "x"]
    assert crosses == [(0, 0)]


def test_triangles_mark_what_differs_and_nothing_else():
    table = PAIRS.iloc[[0, 0, 0, 0]].assign(
        receiver=["HSPC", "B", "T", "NK"],
        contrast="one",
        status=["tested", "tested", "tested", "not_testable"],
        effect=[1.0, -1.0, 0.5, np.nan],
        ci_low=[0.5, -2.0, -0.5, np.nan],
        ci_high=[1.5, -0.5, 1.5, np.nan],
        q=[0.01, 0.02, 0.01, np.nan],
    )
    axis = changes(table, CORE, {"one": "Test against reference"}).axes[0]
    receivers = [label.get_text() for label in axis.get_xticklabels()]
    assert set(receivers) == {"HSPC", "B", "T"}
    marked = {
        line.get_marker(): [receivers[int(x)] for x in line.get_xdata()]
        for line in axis.lines
        if line.get_marker() in ("^", "v")
    }
    assert marked == {"^": ["HSPC"], "v": ["B"]}
    assert changes(table.iloc[3:], CORE, {"one": "Test against reference"}) is None


def test_without_a_score_of_a_core_axis_there_is_no_map():
    assert talk(PAIRS[PAIRS["score"].isna()], CORE) is None
    assert talk(PAIRS.assign(sign="decoy"), CORE) is None
