"""What can be set, and what goes into the tables?

Writes ``config/README.md`` from the schemas, so that the documentation cannot differ from what is
checked: ``python -m emhniche.config_docs`` (or ``make docs``).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emhniche.schema import read_schema

ROOT = Path(__file__).resolve().parents[2]

_INTRODUCTION = """\
# Configuration

<!-- Written by `make docs` from workflow/schemas: edit those, not this file. -->

A run is described by one YAML file, the sample sheet that it names, and the registry of public
files. All three are checked before the first job, and what is wrong is said in one line.

| file | what it is |
| --- | --- |
| `config.yaml`, `study.yaml` | what `make demo` runs: a simulated cohort whose truth is known |
| `aliased.yaml`, `aliased_study.yaml` | the same, tissue aliased with chemistry: to be refused |
| `public.yaml`, `public.tsv` | four public mouse datasets of spleen and marrow: `make public` |
| `../resources/datasets.tsv` | the registry: where public files come from, their sizes and sums |

For data of your own, copy `public.yaml` and `public.tsv`, edit the copies and run
`uv run snakemake --cores 4 --configfile config/mine.yaml`. Single keys can also be set on the
command line: `--config seed=1 'qc={n_mads: 3}'`.

Only `run` and `samples` must be given, or for a simulated cohort `run` and `simulate`. Paths are
relative to the working directory; a file that is not there is looked for beside the Snakefile.
"""


def render(root: str | Path = ROOT) -> str:
    """Return the text of ``config/README.md``.

    Parameters
    ----------
    root
        Folder of the Snakefile.

    Returns
    -------
    str
        Markdown: one table for each section of the configuration, for the sample sheet, for the
        registry and for a simulated study.
    """
    schemas = Path(root) / "workflow" / "schemas"
    config = read_schema(schemas / "config.schema.yaml")
    plain = {key: part for key, part in config["properties"].items() if "properties" not in part}
    blocks = [_INTRODUCTION, "## Configuration file\n", _settings(plain, config["required"])]
    for key, part in config["properties"].items():
        if key not in plain:
            blocks += [f"### `{key}`\n", f"{part['description']}\n", _settings(_flat(part), [])]
    for name, title in (("samples", "Sample sheet"), ("datasets", "Registry")):
        schema = read_schema(schemas / f"{name}.schema.yaml")
        blocks += [f"## {title}\n", f"{schema['description']}\n", _columns(schema)]
    study = read_schema(schemas / "study.schema.yaml")
    blocks += ["## Simulated study\n", f"{study['description']}\n", _settings(_flat(study), [])]
    return "\n".join(blocks)


def _flat(section: dict[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    """Return the keys of a section and of the sections and lists in it, by dotted name."""
    keys = {}
    for key, part in section["properties"].items():
        keys[prefix + key] = part
        if "properties" in part:
            keys |= _flat(part, f"{prefix}{key}.")
        elif "properties" in part.get("items", {}):
            keys |= _flat(part["items"], f"{prefix}{key}[].")
    return keys


def _settings(keys: dict[str, dict[str, Any]], needed: list[str]) -> str:
    """Return a table of settings."""
    rows = [("key", "value", "default", "meaning")]
    for key, part in keys.items():
        default = "needed" if key in needed else part.get("x-default") or _default(part)
        rows.append((f"`{key}`", _allowed(part), default, part["description"]))
    return _table(rows)


def _columns(schema: dict[str, Any]) -> str:
    """Return a table of the columns of a tab-separated file."""
    rows = [("column", "value", "when left out", "meaning")]
    for column, part in schema["properties"].items():
        default = "needed" if column in schema["required"] else _default(part)
        rows.append((f"`{column}`", _allowed(part), default, part["description"]))
    return _table(rows)


def _allowed(part: dict[str, Any]) -> str:
    """Say which values a key takes."""
    if "enum" in part:
        return ", ".join(f"`{choice}`" for choice in part["enum"] if choice)
    if part["type"] == "array":
        items = part["items"]
        return "list of sections" if "properties" in items else f"list of {_allowed(items)}"
    if "properties" in part:
        return "section"
    kind = {"string": "text", "integer": "whole number", "object": "`column: value`"}
    return kind.get(part["type"], part["type"]) + "".join(_limits(part))


def _limits(part: dict[str, Any]) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    for limit, sign in signs.items():
        if limit in part:
            yield f", {sign} {part[limit]}"


def _default(part: dict[str, Any]) -> str:
    """Write a default as it would stand in the file."""
    if "default" not in part:
        return "" if "properties" in part else "needed"
    default = part["default"]
    if isinstance(default, list):
        names = [next(iter(item.values())) if isinstance(item, dict) else item for item in default]
        return ", ".join(f"`{name}`" for name in names) or "none"
    return f"`{default}`" if default or default == 0 else "none"


def _table(rows: list[tuple[str, ...]]) -> str:
    """Write rows, the first of them the header, as a Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write ``config/README.md``."""
    (ROOT / "config" / "README.md").write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
