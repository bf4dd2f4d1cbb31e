"""Does a configuration, or a row of a table, hold what its schema says?

The schemas in ``workflow/schemas`` are the one place where names, types, defaults and descriptions
of settings are written. Here they are applied: defaults are filled in, and the first thing that is
wrong is put into one line for the user.
"""

import copy
import difflib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from emhniche.errors import InputError

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a section of keys",
}


def read_schema(path: str | Path) -> dict[str, Any]:
    """Read a JSON Schema that is written in YAML.

    Parameters
    ----------
    path
        A file of ``workflow/schemas``.

    Returns
    -------
    dict
        The schema.
    """
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def complete(value: Any, schema: dict[str, Any]) -> Any:
    """Return a copy of `value` with the defaults of `schema`, and numbers and text told apart.

    Parameters
    ----------
    value
        What was given; an empty section (None where the schema has an object) counts as ``{}``.
    schema
        Schema of `value`.

    Returns
    -------
    Any
        A copy in the schema's order, with every key that has a default and every section of keys,
        but for a section with keys that must be given: that one may be left out.
        A number that came as text (YAML reads ``8e-3`` so, and ``--config`` all that is nested) is
        a number, and a number where text is wanted (a donor called 4) is text. Nothing is checked.
    """
    kind = schema.get("type")
    if kind == "object" and (value is None or isinstance(value, dict)):
        given, parts = value or {}, schema.get("properties", {})
        filled = {
            key: complete(given.get(key, part.get("default")), part)
            for key, part in parts.items()
            if key in given
            or "default" in part
            or (part.get("type") == "object" and "required" not in part)
        }
        further = schema.get("additionalProperties") or {}
        for key in given:
            if key not in parts:
                filled[key] = complete(given[key], further)
        return filled
    if kind == "array" and isinstance(value, list):
        return [complete(item, schema["items"]) for item in value]
    if kind in {"integer", "number"} and isinstance(value, str):
        return _number(value)
    if kind == "string" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return copy.deepcopy(value)


def check(value: Any, schema: dict[str, Any], where: str) -> None:
    """Raise when `value` breaks `schema`, naming the first place that does.

    Parameters
    ----------
    value
        What is checked.
    schema
        Its schema.
    where
        Start of the message: the file, and the row if there is one.

    Raises
    ------
    InputError
        ``<where>: <key>: <what is wrong>; <what would be right>``.
    """
    errors = sorted(
        Draft202012Validator(schema).iter_errors(value),
        key=lambda error: (error.validator != "additionalProperties", list(map(str, error.path))),
    )
    if errors:
        raise InputError(f"{where}: {_describe(errors[0])}")


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ``did you mean '...'?`` for the choice most like `word`, or the list of all choices.

    Parameters
    ----------
    word
        What was written.
    choices
        What could have been meant.

    Returns
    -------
    str
        A clause for an error message.
    """
    names = {str(choice).lower(): str(choice) for choice in choices if str(choice)}
    matches = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if matches:
        return f"did you mean '{names[matches[0]]}'?"
    return f"use one of: {', '.join(names.values())}"


def _describe(error: ValidationError) -> str:
    """Put one validation error as ``<key>: <what is wrong>; <what would be right>``."""
    key, value, wanted = _dotted(error.path), error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = next(name for name in value if name not in known)
        return f"{_join(key, extra)}: unknown key; {nearest(str(extra), known)}"
    if error.validator == "required":
        absent = next(name for name in wanted if name not in value)
        return f"{_join(key, absent)}: missing; {_purpose(error.schema['properties'][absent])}"
    if error.validator == "enum":
        choices = ", ".join(repr(item) if item == "" else str(item) for item in wanted)
        hint = nearest(str(value), wanted) if str(value) else ""
        if hint.startswith("did"):
            return f"{key}: '{value}' is not allowed; {hint} (one of: {choices})"
        return f"{key}: '{value}' is not allowed; use one of: {choices}"
    if error.validator == "type":
        return (
            f"{key}: {value!r} is not {_KINDS[wanted]}; {_right_type(value, wanted, error.schema)}"
        )
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    if error.validator in limits:
        return f"{key}: {value} is out of range; it must be {limits[error.validator]} {wanted}"
    if error.validator in {"pattern", "minLength"}:
        wrong = f"'{value}' cannot be used" if value else "empty"
        return f"{key}: {wrong}; {_purpose(error.schema)}"
    if error.validator == "minItems":
        return f"{key}: the list is empty; {_purpose(error.schema)}"
    return f"{key}: {error.message}; {_purpose(error.schema)}"


def _right_type(value: Any, wanted: str, schema: dict[str, Any]) -> str:
    """Say what a value of the wrong type should have been."""
    if wanted == "string" and isinstance(value, bool):
        return "YAML takes yes, no, true and false for that; put the word in quotes"
    default = f", such as the default {schema['default']!r}" if "default" in schema else ""
    return f"give {_KINDS[wanted]}{default}"


def _number(text: str) -> int | float | str:
    """Return the finite number that `text` writes, or `text` where it writes none."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text


def _purpose(schema: dict[str, Any]) -> str:
    """Return what a key is for: its description, with its first letter in lower case."""
    text = schema.get("description", "see its schema").rstrip(".")
    return text[0].lower() + text[1:]


def _dotted(path: Iterable[str | int]) -> str:
    """Write a path into nested keys and lists as ``niche.contrasts[0].test``."""
    dotted = ""
    for part in path:
        dotted = f"{dotted}[{part}]" if isinstance(part, int) else _join(dotted, part)
    return dotted


def _join(left: str, right: object) -> str:
    return f"{left}.{right}" if left else str(right)
