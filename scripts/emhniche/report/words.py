"""How are numbers, names and statuses written for a reader?

Every number on a page goes through one of these functions, so that the same value reads the same
everywhere and a missing value is never shown as zero.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MISSING = "–"
"""What a table cell holds when there is no value."""

LINEAGE_WORDS = {
    "monocyte_macrophage": "monocyte/macrophage",
    "mast_basophil": "mast cell/basophil",
    "plasma": "plasma cell",
    "HSPC": "HSPC",
}
"""Lineages whose name in the tables is not how a reader would write it."""

CELL_WORDS = {
    **{one: f"{one} cells" for one in ("B", "T", "NK", "erythroid")},
    **{"DC": "dendritic cells", "plasma": "plasma cells", "neutrophil": "neutrophils"},
    **{"megakaryocyte": "megakaryocytes", "eosinophil": "eosinophils"},
    "monocyte_macrophage": "monocytes and macrophages",
}
"""What the cells of a lineage are called in a sentence, where its name alone would not read."""

SET_WORDS = {".agonist": "ligands", ".receptor": "receptors", ".antagonist": "antagonists"}
"""Ending of the name of an axis' side -> what its genes are."""

REASON_WORDS = {
    "low_counts": "too few counts",
    "low_genes": "too few genes",
    "high_mito": "high mitochondrial share",
    "doublet": "doublet",
    "no_cell": "no cell, by CellBender",
}
"""Why a barcode was removed; other reasons are shown with their underscores as spaces."""

VERDICTS = {"pass": "pass", "warn": "warning", "fail": "fail"}


@dataclass(frozen=True)
class Status:
    """One status word and what it means to a reader."""

    key: str
    word: str
    meaning: str


STATUSES = {
    status.key: status
    for status in (
        Status(
            "tested",
            "tested",
            "enough independent donors in both arms: the effect has an interval and a p-value",
        ),
        Status(
            "no_difference",
            "tested, no difference",
            "tested, and no difference was found: that is no evidence that there is none",
        ),
        Status(
            "none_called",
            "tested, none called",
            "tested, and no cell is called, for the reason that stands beside it",
        ),
        Status(
            "effect_only",
            "effect only",
            "the size of the difference can be seen, but too few independent donors stand behind "
            "it for a p-value",
        ),
        Status(
            "not_identifiable",
            "not identifiable",
            "the comparison cannot be told from another difference between the samples (such as "
            "the study or the platform), so no p-value could mean anything",
        ),
        Status(
            "not_testable",
            "not testable",
            "too few counts, cells or samples to say anything: neither present nor absent",
        ),
        Status(
            "score_only",
            "score only",
            "cells have a score, but too few donors or genes stand behind it to call any of them",
        ),
        Status(
            "described",
            "described",
            "a number that describes these samples; nothing is compared",
        ),
    )
}


JUDGEMENTS = {
    judgement.key: judgement
    for judgement in (
        Status("right", "✓ right", "the results say what was planted"),
        Status("wrong", "✗ wrong", "the results say otherwise, or missed it"),
        Status("not_asked", "not asked", "the truth is about another kind of study"),
        Status(
            "cannot_tell",
            "? cannot tell",
            "the results do not hold what the truth could be judged by",
        ),
    )
}
"""What became of a planted truth."""


def judged(key: object) -> Status:
    """Return what became of a planted truth; an unknown word is shown as it stands."""
    return JUDGEMENTS.get(str(key).replace(" ", "_")) or Status("other", str(key), "")


def status(key: object) -> Status:
    """Return the status of a table's status word; an unknown word is shown as it stands."""
    text = "" if is_missing(key) else str(key)
    return STATUSES.get(text) or Status("other", text.replace("_", " ") or "no status", "")


def is_missing(value: object) -> bool:
    """Tell whether a table's value is absent: None, NaN, NA or an empty string."""
    if value is None or value == "" or type(value).__name__ == "NAType":
        return True
    return isinstance(value, float) and math.isnan(value)


def number(value: object, digits: int = 0) -> str:
    """Write a number with thousands separators, or a dash when there is none."""
    if is_missing(value):
        return MISSING
    text = f"{float(value):,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def signed(value: object, digits: int = 1) -> str:
    """Write a difference with its sign, or a dash when there is none.

    A difference below 0.1 has two digits at least, and one that these make zero has no sign.
    """
    if is_missing(value):
        return MISSING
    value = float(value)
    if 0 < abs(value) < 0.1:
        digits = max(digits, 2)
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def significant(value: object, digits: int = 3) -> str:
    """Write a number of any size with `digits` significant digits."""
    if is_missing(value):
        return MISSING
    value = float(value) or 0.0  # never −0
    if abs(value) >= 10 ** (digits - 1):
        return number(value)
    return f"{value:.{digits}g}".replace("-", "−")


def percent(part: object, whole: object = 1) -> str:
    """Write a share as a whole percentage; small and nearly full shares keep their meaning.

    Parameters
    ----------
    part
        Numerator, or the share itself (0 to 1) when `whole` is left out.
    whole
        Denominator.
    """
    if is_missing(part) or is_missing(whole) or float(whole) == 0:
        return MISSING
    share = 100 * float(part) / float(whole)
    if 0 < share < 1:
        return "<1 %"
    if 99 < share < 100:
        return ">99 %"
    return f"{share:.0f} %"


def p_value(value: object) -> str:
    """Write a p- or q-value with two significant digits."""
    if is_missing(value):
        return MISSING
    value = float(value)
    return "<0.0001" if value < 1e-4 else f"{value:.2g}"


def fold(effect: object) -> str:
    """Put a log2 fold change in words, such as ``4.2-fold higher``."""
    if is_missing(effect):
        return "of unknown size"
    times = 2 ** abs(float(effect))
    if times < 1.05:
        return "the same"
    size = f"{times:.1f}" if times < 10 else f"{times:.0f}"
    return f"{size}-fold {'higher' if float(effect) > 0 else 'lower'}"


def capital(text: str) -> str:
    """Write `text` with a capital at its start."""
    return text[:1].upper() + text[1:]


def plural(count: object, noun: str, nouns: str | None = None) -> str:
    """Write a count with its noun: ``1 donor``, ``1,204 cells``."""
    one = not is_missing(count) and float(count) == 1
    return f"{number(count)} {noun if one else nouns or noun + 's'}"


def join(items: Iterable[object]) -> str:
    """Write a list in words: ``a, b and c``."""
    items = [str(item) for item in items]
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def name(value: object) -> str:
    """Write a name of the tables for a reader."""
    if is_missing(value):
        return MISSING
    return LINEAGE_WORDS.get(str(value), str(value).replace("_", " "))


def cells(value: object) -> str:
    """Write a lineage or cell type as the cells that it is, such as ``T cells`` for ``T``."""
    return CELL_WORDS.get(str(value), name(value))


def set_name(value: object, *, control: bool = False) -> str:
    """Write the name of a set of genes: ``IL-1 ligands`` for ``IL-1.agonist``.

    Parameters
    ----------
    value
        Name of the set in the tables.
    control
        Whether the set is one that others are judged by: then it is called so.
    """
    text = name(value)
    for ending, noun in SET_WORDS.items():
        if text.endswith(ending):
            text = f"{text.removesuffix(ending)} {noun}"
    return f"{text} (a control)" if control and "control" not in text else text


def reason(value: object) -> str:
    """Write why a barcode was removed."""
    if is_missing(value):
        return "kept"
    return REASON_WORDS.get(str(value), str(value).replace("_", " "))


def held(text: object) -> str:
    """Keep a number and its sign on one line: no-break spaces in ``12 %`` and ``q ≤ 0.1``."""
    text = re.sub(r"(?<=\d) %", "\u00a0%", str(text))
    text = re.sub(r"(?<![\w-])([pq]) (?=[<≤]? ?\d)", "\\1\u00a0", text)
    return re.sub(r"(?<=[<≤≥]) (?=\d)", "\u00a0", text)


def sentence(text: object) -> str:
    """End `text` with a full stop, unless it has its own end."""
    text = "" if is_missing(text) else str(text).strip()
    return text if not text or text[-1] in ".?!" else f"{text}."


def short(text: object, limit: int = 40) -> str:
    """Cut a long name for an axis or a legend; the page's tables hold it in full."""
    text = str(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def order(values: Iterable[object], first: Sequence[str] = ()) -> list[str]:
    """Return the distinct `values` as text: those of `first` in its order, then the others."""
    present = {str(value) for value in values if not is_missing(value)}
    return [value for value in first if value in present] + sorted(present.difference(first))
