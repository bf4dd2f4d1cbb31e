"""The panel's map and the plots and tables of differences say what may be named, and what not."""

import matplotlib.colors as colours
import numpy as np
import pandas as pd
import pytest

from emhniche.report import niche_figures, niche_tables
from emhniche.report.niche_figures import LOOKS, forest, panel_map

GENES, TYPES = ("Cxcl12", "Kitl", "Il1b"), ("EC", "T", "stroma")


def production(ambient: dict[tuple[str, str], bool]) -> pd.DataFrame:
    """Return shares of cells with a transcript, two conditions; Il1b is not testable in T cells."""
    rows = []
    for condition in ("naive", "tumour"):
        for gene in GENES:
            for place, kind in enumerate(TYPES):
                gone = (gene, kind) == ("Il1b", "T")
                rows.append(
                    {
                        **{"niche": "marrow", "dataset": "d", "condition": condition},
                        **{"tier": "core", "gene": gene, "axis": "A", "cell_type": kind},
                        **{"n_cells": 100 - place, "detection": np.nan if gone else 0.3 * place},
                        "status": "not_testable" if gone else "described",
                        "ambient": condition == "tumour" and ambient.get((gene, kind), False),
                    }
                )
    return pd.DataFrame(rows)


def crosses(table: pd.DataFrame) -> set[tuple[int, int]]:
    lines = panel_map(table, "marrow").axes[0].lines
    points = [line.get_xydata() for line in lines if line.get_marker() == "x"]
    return {(int(x), int(y)) for x, y in np.vstack(points)}


def test_fields_that_ambient_rna_explains_are_crossed_out():
    assert crosses(production({})) == set()
    # in EC nothing was seen: there is nothing to explain, and white needs no cross
    flagged = {("Cxcl12", "T"): True, ("Kitl", "stroma"): True, ("Kitl", "EC"): True}
    # naive in columns 0 to 2, tumour in 3 to 5
    assert crosses(production(flagged)) == {(4, 0), (5, 1)}


def contrasts() -> pd.DataFrame:
    """Return rows of a contrast: the size is not in the order of q."""
    rows = [  # gene, effect, low, high, q, status
        ("sure", 0.5, 0.3, 0.7, 0.001, "tested"),
        ("big", 3.0, 1.0, 5.0, 0.09, "tested"),
        ("unsized", 1.0, -0.2, 2.2, 0.01, "tested"),
        ("vague", 4.0, 1.0, 7.0, 0.2, "tested"),
        ("down", -1.0, -1.5, -0.5, 0.002, "tested"),
        ("weak", -2.0, -5.0, 1.0, 0.8, "tested"),
        ("alone", 6.0, np.nan, np.nan, np.nan, "effect_only"),
        ("soup", np.nan, np.nan, np.nan, np.nan, "not_testable"),
    ]
    table = pd.DataFrame(rows, columns=["gene", "effect", "ci_low", "ci_high", "q", "status"])
    table["ambient"] = table["gene"] == "soup"
    given = {"contrast": "c", "axis": "A", "role": "ligand", "cell_type": "EC"}
    return table.assign(level="cell_type", counts_test=9, counts_reference=9, **given)


def drawn(table: pd.DataFrame) -> tuple[list[str], dict[str, str], list[str]]:
    """Return the genes of a forest plot from top to bottom, the look of each, and the legend."""
    figure = forest(table, {"test": "tumour", "reference": "naive"})
    axis = figure.axes[0]
    genes = [label.get_text().split(" in ")[0] for label in axis.get_yticklabels()]
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    fills = {
        colours.to_hex(fill): key for key, (_, fill, _) in LOOKS.items() if key != "effect_only"
    }
    looks = [fills.get(colours.to_hex(dot.get_markerfacecolor()), "open") for dot in dots]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    return genes[::-1], dict(zip(genes, looks, strict=True)), legend


def test_a_forest_plot_shows_dark_what_the_findings_may_name():
    genes, looks, legend = drawn(contrasts())
    assert genes == ["sure", "big", "unsized", "vague", "alone", "down", "weak"]
    assert {gene for gene, look in looks.items() if look == "differs"} == {"sure", "big", "down"}
    assert {gene for gene, look in looks.items() if look == "tested"} == {
        "unsized",
        "vague",
        "weak",
    }
    assert legend[:2] == ["differs (q ≤ 0.1 and the interval without 0)", "tested, no difference"]
    assert len(legend) == 3


def test_a_short_forest_plot_keeps_the_clearest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(niche_figures, "MAX_EFFECTS", 4)
    assert drawn(contrasts())[0] == ["sure", "big", "unsized", "down"]


def test_the_table_of_differences_says_which_differ(monkeypatch: pytest.MonkeyPatch):
    kept = {}

    def keep(run: object, name: str, rows: pd.DataFrame, columns: list, **words: object) -> None:
        kept.update(rows=rows, columns=columns, **words)

    monkeypatch.setattr(niche_tables, "run_table", keep)
    monkeypatch.setattr(niche_tables, "contrast_titles", lambda run: {"c": "A against B"})
    run = {"contrasts": contrasts()}
    niche_tables.contrast_table(run)
    told = kept["rows"].set_index("gene")["differs"]
    assert told.index.tolist() == ["sure", "down", "unsized", "big", "vague", "weak", "alone"]
    assert told[:-1].tolist() == ["yes", "yes", "no", "yes", "no", "no"]
    assert pd.isna(told["alone"])
    assert "two models" in kept["caption"] and "1 further" in kept["caption"]
