"""How many doublets does the loading of a library lead one to expect?

Light enough for the Snakefile to import.
"""

import re

RATE_PER_RECOVERED = 0.008 / 1000
"""Share of doublets a recovered cell of a 10x chip: 0.4 % at 500 to 8 % at 10,000 recovered cells
(10x Genomics, knowledge base, Next GEM 3' v3.1)."""

LOADED_PER_RECOVERED = 1.65
"""Cells loaded a cell recovered: 49,500 for 30,000 (10x Genomics, knowledge base)."""

MAX_RATE = 0.4
"""Beyond it the linear rule of the loading no longer holds."""


def is_10x(chemistry: str) -> bool:
    """Tell whether a library was made on a chip of 10x Genomics."""
    return re.search(r"\b10x|chromium", chemistry.lower()) is not None


def expected_rate(
    chemistry: str, cells_loaded: str, n_recovered: int, fallback: float
) -> tuple[float, str]:
    """Return the share of barcodes that should be doublets, and what that rests on.

    Parameters
    ----------
    chemistry, cells_loaded
        From the sample sheet; cells loaded may be empty.
    n_recovered
        Usable barcodes of the library.
    fallback
        The rate where chemistry is not of a 10x chip.

    Returns
    -------
    rate : float
        In (0, :data:`MAX_RATE`], or `fallback`.
    basis : str
        ``cells_loaded``, ``recovered`` or ``config``.
    """
    if not is_10x(chemistry):
        return fallback, "config"
    if cells_loaded:
        recovered = int(cells_loaded) / LOADED_PER_RECOVERED
        return min(RATE_PER_RECOVERED * recovered, MAX_RATE), "cells_loaded"
    return min(RATE_PER_RECOVERED * n_recovered, MAX_RATE), "recovered"


def loaded_for(rate: float) -> int:
    """Return how many cells, loaded on a 10x chip, lead to a share of doublets."""
    return round(rate / RATE_PER_RECOVERED * LOADED_PER_RECOVERED)
