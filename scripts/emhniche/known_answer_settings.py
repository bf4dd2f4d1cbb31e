"""What does each kind of known answer need to be told?

A kind has settings that it needs, settings that it may have, and a rule for each value. They are
checked when the configuration is read, so nothing heavy is imported here.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from emhniche.errors import InputError
from emhniche.resources import LINEAGES
from emhniche.schema import nearest

Rule = Callable[[str], str]
"""Takes the text of a value; returns what would be right, or nothing where it is."""

ARMS = ("reference", "inflammation_control", "case")
COLUMNS = ("label", "cell_type", "lineage")
LEVELS = ("lineage", "cell_type")
MIN_ORDERED = 4
"""Groups that an order needs."""

_OTHERS = (("group", "than"), ("present", "absent"), ("higher", "lower"))
"""Settings that are compared with each other."""


@dataclass(frozen=True)
class Kind:
    """The settings of a kind of check.

    Attributes
    ----------
    needed, possible
        Name of a setting -> the rule for its value.
    """

    needed: Mapping[str, Rule]
    possible: Mapping[str, Rule] = field(default_factory=dict)


def read_settings(where: str, kind: str, text: str) -> dict[str, str]:
    """Read the settings of a check.

    Parameters
    ----------
    where
        File and row, for the message.
    kind
        Kind of the check, a key of :data:`KINDS`.
    text
        ``key=value; key=value``.

    Returns
    -------
    dict
        Name of a setting -> its value, as text.

    Raises
    ------
    InputError
        When `text` has another form, or a setting is missing, unknown, there twice or wrong.
    """
    settings = _split(where, text)
    needed = KINDS[kind].needed
    rules = {**needed, **KINDS[kind].possible}
    for key in settings:
        if key not in rules:
            raise InputError(f"{where}: kind {kind} has no setting {key!r}; {nearest(key, rules)}")
    missing = [key for key in needed if key not in settings]
    if missing:
        raise InputError(
            f"{where}: settings lack {', '.join(missing)}; kind {kind} needs {', '.join(needed)}"
        )
    for key, value in settings.items():
        right = rules[key](value)
        if right:
            raise InputError(f"{where}: {key} is {value!r}; it would be {right}")
    _check_together(where, kind, settings)
    return settings


def parts(text: str) -> list[str]:
    """Return the values that a setting lists."""
    return [part.strip() for part in text.split(",")]


def _split(where: str, text: str) -> dict[str, str]:
    """Return the pairs of a text, each key once."""
    settings: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        key, _, value = map(str.strip, part.partition("="))
        if not key or not value:
            raise InputError(f"{where}: settings hold {part!r}; they would be key=value; key=value")
        if key in settings:
            raise InputError(f"{where}: settings hold {key} twice; give it once")
        settings[key] = value
    return settings


def _check_together(where: str, kind: str, settings: Mapping[str, str]) -> None:
    """Refuse values that are allowed one by one but not together."""
    for one, other in _OTHERS:
        if one in settings and settings[one] == settings.get(other):
            raise InputError(f"{where}: {one} and {other} are both {settings[one]!r}; name two")
    if kind == "ordered" and ("rho_at_least" in settings) == ("rho_at_most" in settings):
        raise InputError(f"{where}: settings need one of rho_at_least, rho_at_most, and only one")
    if kind == "rising" and int(settings["at_least"]) > len(parts(settings["genes"])):
        raise InputError(
            f"{where}: at_least is {settings['at_least']}, of {len(parts(settings['genes']))} "
            "genes; it would be no more than the genes"
        )


def _text(value: str) -> str:
    return ""


def _list(least: int, most: float = math.inf) -> Rule:
    """Return the rule of a list without gaps and repeats."""
    number = f"{least} " if least == most else f"at least {least} " if least > 1 else ""
    wanted = "one name" if most == 1 else f"{number}names, each once, with ',' between them"

    def rule(value: str) -> str:
        names = parts(value)
        right = all(names) and len(names) == len(set(names)) and least <= len(names) <= most
        return "" if right else wanted

    return rule


def _among(choices: Iterable[str], *, several: bool = False) -> Rule:
    """Return the rule of a choice, or of a list of choices."""
    wanted = f"{'some' if several else 'one'} of {', '.join(choices)}"
    return lambda value: "" if set(parts(value) if several else [value]) <= {*choices} else wanted


def _number(low: float, high: float, wanted: str) -> Rule:
    """Return the rule of a number between two bounds, which it may reach."""

    def rule(value: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return wanted
        return "" if low <= number <= high else wanted

    return rule


def _count(value: str) -> str:
    right = value.isascii() and value.isdigit() and int(value) > 0
    return "" if right else "a whole number of at least 1"


_names, _name = _list(1), _list(1, 1)
_lineage, _lineages = _among(LINEAGES), _among(LINEAGES, several=True)
_tiny = math.ulp(0.0)
_share = _number(_tiny, 1, "a number above 0 and at most 1")
_rho = _number(-1, 1, "a number from -1 to 1")
_doublings = _number(0, 100, "a number from 0 to 100")
_groups = {"genes": _names, "by": _among(COLUMNS), "libraries": _count}
_maturation = {"genes": _names, "early": _names, "late": _names}
_whole, _tally = {"whole": _lineages}, {"share": _share}

KINDS: Mapping[str, Kind] = {
    "highest": Kind({**_groups, "top": _names}, {**_whole, **_tally}),
    "above": Kind(
        {**_groups, "group": _text, "than": _text, "log2": _doublings}, {**_whole, **_tally}
    ),
    "detected": Kind({**_groups, "groups": _names}, _whole),
    "ordered": Kind(
        {**_groups, "order": _list(MIN_ORDERED)},
        {"rho_at_least": _rho, "rho_at_most": _rho, **_whole, **_tally},
    ),
    "matures": Kind({**_maturation, "libraries": _count}, {"lineage": _lineages, **_tally}),
    "rising": Kind({**_maturation, "at_least": _count}, {"lineage": _lineages, "tissue": _names}),
    "rare": Kind(
        {"by": _among(COLUMNS), "group": _text, "below": _share, "libraries": _count},
        {"tissue": _names, "arm": _among(ARMS, several=True), **_whole, **_tally},
    ),
    "cycling": Kind({"sets": _names, "higher": _name, "lower": _name}, {"lineage": _lineages}),
    "exclusive": Kind(
        {"genes": _list(2, 2), "without": _name}, {"lineage": _lineages, "tissue": _names}
    ),
    "too_few_counts": Kind({"genes": _names}, {"tissue": _names}),
    "excess": Kind({"signatures": _names, "lineage": _lineages}),
    "restricted": Kind(
        {"signature": _name, "lineage": _lineage, "present": _name, "absent": _name}
    ),
    "tested_up": Kind(
        {"contrast": _name, "genes": _names, "cell_type": _text, "level": _among(LEVELS)}
    ),
    "raw_rise": Kind({"signature": _name, "lineage": _lineage}),
    "refused": Kind({"human_only": _names, "mouse_only": _names}),
}
"""Kind of a check -> its settings."""
