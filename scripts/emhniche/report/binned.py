"""How is a map of a million cells drawn in a page of a few megabytes, without leaving any out?

Beyond some hundred thousand cells single dots hide each other, so the map is divided into squares.
Of each square the page holds how many cells lie in it, how many of each category, and the mean of
each value: every cell counts, and a reader can ask a square what is in it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

SIDE = 192
"""Squares along each side of the map: a few pixels each on a screen."""

NOT_GIVEN = 255
"""Code of a cell without a category."""


@dataclass(frozen=True)
class Bins:
    """The squares that hold cells.

    Attributes
    ----------
    column, row
        Place of each square, 0 to ``SIDE - 1``, row 0 at the bottom; uint8, n_bins.
    of_cell
        Number of the square that each cell lies in, n_cells.
    """

    column: np.ndarray
    row: np.ndarray
    of_cell: np.ndarray

    def __len__(self) -> int:
        """Return the number of squares."""
        return len(self.column)

    def sizes(self) -> np.ndarray:
        """Return the number of cells in each square, uint32."""
        return np.bincount(self.of_cell, minlength=len(self)).astype(np.uint32)


def bin_cells(x: pd.Series, y: pd.Series) -> Bins:
    """Divide the map into squares.

    Parameters
    ----------
    x, y
        Coordinates of the cells, of any range.

    Returns
    -------
    Bins
        Squares by row and column.
    """
    places = [_places(values.to_numpy(dtype=float)) for values in (x, y)]
    occupied, of_cell = np.unique(places[1] * SIDE + places[0], return_inverse=True)
    return Bins((occupied % SIDE).astype(np.uint8), (occupied // SIDE).astype(np.uint8), of_cell)


def composition(bins: Bins, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Count the categories of the cells in each square.

    Parameters
    ----------
    bins
        The squares.
    codes
        Category of each cell, 0 to 255.

    Returns
    -------
    dict
        ``entries`` (categories found in each square, uint16, n_bins) and, square after square and
        the most frequent first, ``codes`` (uint8) and ``counts`` (uint32); :data:`NOT_GIVEN` comes
        last. The counts of a square add up to its cells.
    """
    keys, counts = np.unique(bins.of_cell * 256 + codes.astype(np.int64), return_counts=True)
    square, code = keys // 256, keys % 256
    order = np.lexsort((code, -counts, code == NOT_GIVEN, square))
    return {
        "entries": np.bincount(square, minlength=len(bins)).astype(np.uint16),
        "codes": code[order].astype(np.uint8),
        "counts": counts[order].astype(np.uint32),
    }


def means(bins: Bins, values: np.ndarray) -> np.ndarray:
    """Return the mean of a value over the cells of each square where it was measured, else NaN."""
    known = np.isfinite(values)
    of_cell, size = bins.of_cell[known], len(bins)
    total = np.bincount(of_cell, values[known], minlength=size)
    number = np.bincount(of_cell, minlength=size)
    return np.divide(total, number, out=np.full(size, np.nan), where=number > 0)


def _places(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    share = (values - low) / max(high - low, 1e-9)
    return np.minimum((share * SIDE).astype(np.int64), SIDE - 1)
