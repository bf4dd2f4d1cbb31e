"""How poor may the measures of a library be, before it carries a warning or fails?

Light enough for the Snakefile to import.
"""

from collections.abc import Mapping

LEVELS = ("pass", "warn", "fail")
"""Verdicts, from mild to severe."""

MEASURES = {
    "kept_cells": ("{value:.0f} cells kept, fewer than {limit:g}", False),
    "median_genes": ("{value:.0f} genes in the median kept cell, fewer than {limit:g}", False),
    "median_pct_mito": (
        "{value:.0f} % mitochondrial counts in the median barcode of enough counts and genes, "
        "more than {limit:g} %",
        True,
    ),
    "ambient": (
        "{value:.2f} of the median kept cell's counts are estimated to be ambient RNA, more than "
        "{limit:g}",
        True,
    ),
}
"""Measure of a library -> what is said beyond its limit, and whether more of it is worse."""


def judge_measures(measures: Mapping[str, float], limits: Mapping) -> list[tuple[str, str]]:
    """Hold the measures of one library against the limits.

    Parameters
    ----------
    measures
        A value for each of :data:`MEASURES`; NaN where it was not measured, which breaks no limit.
    limits
        For each, ``{"warn": x, "fail": y}``.

    Returns
    -------
    list of (str, str)
        Level (``warn`` or ``fail``) and what is wrong, worst first.
    """
    found = []
    for name, (text, more_is_worse) in MEASURES.items():
        value = measures[name]
        for level in ("fail", "warn"):
            limit = limits[name][level]
            if value > limit if more_is_worse else value < limit:
                found.append((level, text.format(value=value, limit=limit)))
                break
    return sorted(found, key=lambda one: -LEVELS.index(one[0]))


def worst(found: list[tuple[str, str]]) -> tuple[str, str]:
    """Return the verdict on a list of levels and texts, and its reason, worst first."""
    if not found:
        return "pass", ""
    ordered = sorted(found, key=lambda one: -LEVELS.index(one[0]))
    return ordered[0][0], "; ".join(dict.fromkeys(text for _, text in ordered))
