"""How does a project of one's own begin?

Writes a configuration in which every key stands with its default and its meaning, and a sample
sheet to fill in. Both come from the schemas in ``workflow/schemas``, so that they cannot differ
from what is checked.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from emhniche.errors import InputError
from emhniche.schema import read_schema

CONFIG = "config.yaml"
SAMPLES = "samples.tsv"
EXAMPLE = (
    {"sample": "m1_spleen", "file": "counts/m1_spleen.h5", "tissue": "spleen", "donor": "m1"},
    {"sample": "m1_marrow", "file": "counts/m1_marrow.h5", "tissue": "bone marrow", "donor": "m1"},
)
"""Rows of the new sample sheet, to be replaced."""
_EVERYWHERE = {"dataset": "mine", "format": "auto", "species": "mouse", "condition": "naive"}
_WIDTH = 96


def start_project(folder: str | Path, root: str | Path) -> list[Path]:
    """Write a configuration and a sample sheet to edit.

    Parameters
    ----------
    folder
        The project's folder; made when absent.
    root
        Folder of the Snakefile.

    Returns
    -------
    list of pathlib.Path
        What was written: ``config.yaml`` and ``samples.tsv``.

    Raises
    ------
    InputError
        When one of them is there already; then nothing is written.
    """
    folder = Path(folder)
    texts = {
        folder / CONFIG: render_config(folder.resolve().name, root),
        folder / SAMPLES: render_samples(root),
    }
    for path in texts:
        if path.exists():
            raise InputError(f"{path}: is there already; name another folder, or move the file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}; name a folder that can be made and written to"
        ) from None
    return list(texts)


def render_config(run: str, root: str | Path) -> str:
    """Return a configuration with every key, its default and its meaning.

    Parameters
    ----------
    run
        Name of the run; what a run may not be called is replaced by ``_``.
    root
        Folder of the Snakefile.

    Returns
    -------
    str
        YAML. Keys with a default are commented out; without the ``#`` in their first column they
        say the same.
    """
    schemas = Path(root) / "workflow" / "schemas"
    schema = read_schema(schemas / "config.schema.yaml")
    columns = read_schema(schemas / "samples.schema.yaml")
    allowed = re.sub(r"[^A-Za-z0-9_.-]", "_", run)
    given = {"run": allowed.lstrip("_.-") or "mine", "samples": SAMPLES}
    blocks = [
        "# What this run does. Edit the sample sheet, then `emhniche check config.yaml`.",
        "# A key that is commented out has the default that stands there. To change one, take away",
        "# the # in the first column: of the key, and of the name of its section.",
        "",
    ]
    for key, part in schema["properties"].items():
        if key in given:
            blocks += [*_prose(part["description"]), f"{key}: {json.dumps(given[key])}"]
            if key == "samples":
                blocks += ["#", "# Its columns:", *_columns(columns)]
            blocks.append("")
        elif key != "simulate":
            blocks += [*_setting(key, part), ""]
    return "\n".join(blocks)


def render_samples(root: str | Path) -> str:
    """Return a sample sheet with every column and two rows to replace.

    Parameters
    ----------
    root
        Folder of the Snakefile.

    Returns
    -------
    str
        Tab-separated, with a header.
    """
    schema = read_schema(Path(root) / "workflow" / "schemas" / "samples.schema.yaml")
    columns = list(schema["properties"])
    rows = [[(_EVERYWHERE | row).get(column, "") for column in columns] for row in EXAMPLE]
    return "".join("\t".join(row) + "\n" for row in [columns, *rows])


def _setting(key: str, part: dict[str, Any]) -> list[str]:
    """Write a key with a default, or a section of keys, commented out below its meaning."""
    lines = _prose(part["description"])
    if "properties" not in part:
        return [*lines, *(f"#{line}" for line in _dumped(key, part["default"]))]
    lines.append(f"#{key}:")
    for line in _section(part):
        lines.append(f"#  {line}")
    return lines


def _section(section: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a section's keys, each below its meaning."""
    for key, part in section["properties"].items():
        yield from _prose(part.get("description", ""))
        if "required" in part:
            yield from (f"# {line}" for line in _to_fill_in(key, part))
        elif "properties" in part:
            yield f"{key}:"
            for line in _section(part):
                yield f"  {line}"
        else:
            yield from _dumped(key, part["default"])


def _to_fill_in(key: str, section: dict[str, Any]) -> Iterator[str]:
    """Yield a section that is left out unless the user fills it in, with a word for each value."""
    yield "To have it, take away this # too, and the space behind it; then fill in:"
    yield f"{key}:"
    for name, part in section["properties"].items():
        meaning = textwrap.shorten(part["description"], _WIDTH)
        yield f"  {name}: {name.upper()}  # {meaning}"


def _columns(schema: dict[str, Any]) -> Iterator[str]:
    for column, part in schema["properties"].items():
        needed = "needed. " if column in schema["required"] else ""
        choices = [choice for choice in part.get("enum", []) if choice]
        listed = f" One of: {', '.join(choices)}." if choices else ""
        text = f"{column}: {needed}{part['description']}{listed}"
        yield from textwrap.wrap(text, _WIDTH, initial_indent="#   ", subsequent_indent="#       ")


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _dumped(key: str, value: object) -> list[str]:
    """Write one key as YAML."""
    return yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True).splitlines()
