"""How does a column of the map of cells become as few bytes as possible?

A cell takes one byte: a category's number, or a value in 255 steps. A column that follows from the
sample (all of the sample sheet) takes one byte a sample, whatever the number of cells. The code 255
means "not measured" or "not given" and is never drawn as zero.
"""

import base64
import gzip
from collections.abc import Mapping

import numpy as np
import pandas as pd

from emhniche.report import figures, words
from emhniche.report.binned import NOT_GIVEN, Bins, composition, means

NOT_MEASURED = NOT_GIVEN
MAX_CATEGORIES = 250
OTHERS = "others"
"""Name of all categories beyond the most frequent ones that a column has colours for."""


def pack(values: np.ndarray) -> str:
    """Compress an array and write it as text; equal arrays give equal text."""
    raw = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(gzip.compress(raw, compresslevel=9, mtime=0)).decode("ascii")


def unpack(text: str, dtype: type) -> np.ndarray:
    """Return what :func:`pack` packed."""
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype=dtype)


def packed_category(
    values: pd.Series,
    bins: Bins | None,
    *,
    verbatim: bool = False,
    fixed: Mapping[str, str] | None = None,
) -> dict:
    """Pack a column of names.

    Parameters
    ----------
    values
        One name a cell; missing or empty where not given.
    bins
        Squares of the map, or None where cells are drawn one by one.
    verbatim
        Whether names are shown as they stand in the tables.
    fixed
        Name -> colour of names with a colour of their own.

    Returns
    -------
    dict
        ``kind``, ``names``, ``colours`` and ``data`` (packed codes; of squares those of
        :func:`emhniche.report.binned.composition`, each packed). No name: no ``names``.
    """
    text = _text(values)
    names = _names(text)
    if len(names) > MAX_CATEGORIES:
        frequent = text[text != ""].value_counts().index[: MAX_CATEGORIES - 1]
        text = text.where(text.isin(frequent) | (text == ""), OTHERS)
        names = _names(text)
    codes = _codes(names, text)
    data = (
        pack(codes)
        if bins is None
        else {key: pack(part) for key, part in composition(bins, codes).items()}
    )
    return {**_legend(names, verbatim=verbatim, fixed=fixed), "data": data}


def packed_by_sample(
    values: pd.Series,
    samples: pd.Series,
    by: int,
    names: list[str],
    *,
    fixed: Mapping[str, str] | None = None,
) -> dict | None:
    """Pack a column of names that follows from the sample, as one code a sample.

    Parameters
    ----------
    values
        One name a cell; missing or empty where not given.
    samples
        The cells' samples.
    by
        Place of the samples' own column among the page's columns.
    names
        Samples in the order of that column's codes.
    fixed
        Name -> colour of names with a colour of their own.

    Returns
    -------
    dict or None
        ``kind``, ``names``, ``colours``, ``by`` and ``of_sample``; None where a sample has several
        values or no code of its own.
    """
    pairs = pd.DataFrame({"sample": samples.astype(str), "value": _text(values)}).drop_duplicates()
    if sorted(pairs["sample"]) != sorted(names):
        return None
    own = pairs.set_index("sample")["value"].loc[names]
    found = _names(own)
    codes = _codes(found, own).tolist()
    return {**_legend(found, verbatim=False, fixed=fixed), "by": by, "of_sample": codes}


def packed_value(values: pd.Series, bins: Bins | None, *, zero: bool = False) -> dict:
    """Pack a column of numbers; what lies above the 99.5 % quantile is drawn like that.

    Parameters
    ----------
    values
        One number a cell, some of them known; NaN where not measured.
    bins
        Squares of the map, which take the mean of their cells, or None.
    zero
        Whether 0 has a code of its own, as it must where it says "no count": code 0 is 0 exactly,
        and what is above 0 has a code above. No value may be negative.

    Returns
    -------
    dict
        ``kind``, ``low``, ``high`` (limits of the colours), ``missing`` (cells), ``data`` and, with
        `zero`, ``zeros`` (cells with exactly 0).
    """
    numbers = values.to_numpy(dtype=float)
    missing = int((~np.isfinite(numbers)).sum())
    zeros = {"zeros": int((numbers == 0).sum())} if zero else {}
    numbers = numbers if bins is None else means(bins, numbers)
    known = np.isfinite(numbers)
    low = 0.0 if zero else float(numbers[known].min())
    high = float(np.quantile(numbers[known], 0.995))
    high = high if high > low else float(numbers[known].max())
    share = np.clip((numbers - low) / max(high - low, 1e-12), 0, 1)
    codes = np.full(len(numbers), NOT_MEASURED, dtype=np.uint8)
    codes[known] = np.round(share[known] * (NOT_MEASURED - 1)).astype(np.uint8)
    if zero:
        codes[known & (numbers > 0) & (codes == 0)] = 1
    return {
        "kind": "value",
        "low": float(f"{low:.4g}"),
        "high": float(f"{high:.4g}"),
        "missing": missing,
        **zeros,
        "data": pack(codes),
    }


def _text(values: pd.Series) -> pd.Series:
    """Return names as text, empty where not given."""
    if isinstance(values.dtype, pd.CategoricalDtype):  # a name is written once, not once a cell
        given = values.cat.categories.astype(str).to_numpy(dtype=object)
        return pd.Series(np.append(given, "")[values.cat.codes], index=values.index, dtype=object)
    return values.astype(object).where(values.notna(), "").astype(str).astype(object)


def _names(text: pd.Series) -> list[str]:
    """Return the distinct names; numbers in their order."""
    names = [name for name in text.unique() if name != ""]
    return sorted(names, key=int) if all(n.isdecimal() for n in names) else sorted(names)


def _codes(names: list[str], text: pd.Series) -> np.ndarray:
    codes = pd.Index(names, dtype=object).get_indexer(text)
    return np.where(codes < 0, NOT_MEASURED, codes).astype(np.uint8)


def _legend(names: list[str], *, verbatim: bool, fixed: Mapping[str, str] | None) -> dict:
    palette = figures.colours(names, dict(fixed or {}))
    return {
        "kind": "category",
        "names": names if verbatim else [words.name(name) for name in names],
        "colours": [palette[name] for name in names],
    }
