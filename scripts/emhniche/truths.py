"""Which truths are planted in a simulated cohort, and what must the results say of them?

The truths are a YAML file (``resources/demo/truth.yaml``). Nothing heavy is imported: the Snakefile
reads it for its mistakes. :mod:`emhniche.judging` compares them with the results.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emhniche.errors import InputError
from emhniche.schema import check, complete, nearest
from emhniche.study import Study


@dataclass(frozen=True)
class Truth:
    """A claim that holds in a simulated cohort.

    Attributes
    ----------
    id
        Its name, unique in the file.
    claim
        What is true, in one sentence.
    source
        Where it comes from, and what of it was chosen.
    plant
        What is changed in the cells: entries with ``kind`` and what it needs.
    expect
        What the results must say: entries with ``table``, ``finding`` and what they need.
    """

    id: str
    claim: str
    source: str
    plant: tuple[dict[str, Any], ...]
    expect: tuple[dict[str, Any], ...]


def load_truths(path: str | Path, schema: dict[str, Any]) -> list[Truth]:
    """Read and check the planted truths.

    Parameters
    ----------
    path
        YAML file with the key ``truths``.
    schema
        ``workflow/schemas/truth.schema.yaml``, whose ``x-keys`` say which keys go together.

    Returns
    -------
    list of Truth
        In the order of the file. Whether a gene or cell type is simulated is not known here; see
        :func:`emhniche.planting.check_plants` and :func:`emhniche.planting.check_places`.

    Raises
    ------
    InputError
        When the file is no YAML, a key, kind or finding is unknown or missing, a name is listed
        twice, two truths have one id, or a truth plants two states.
    """
    given = _read(path)
    settings = complete(given, schema)
    check(settings, schema, str(path))
    known = schema["properties"]["truths"]["items"]["properties"]
    truths: list[Truth] = []
    for entry in settings["truths"]:
        where = f"{path}: truth '{entry['id']}'"
        if entry["id"] in [truth.id for truth in truths]:
            raise InputError(f"{where}: this id is used twice; give each truth an id of its own")
        for position, plant in enumerate(entry["plant"]):
            here = f"{where}: plant[{position}]"
            _check_keys(plant, plant["kind"], known["plant"], {"kind"}, here)
        for position, expected in enumerate(entry["expect"]):
            _check_finding(expected, known["expect"], f"{where}: expect[{position}]")
        _check_states(entry["plant"], where)
        truths.append(
            Truth(**{**entry, "plant": tuple(entry["plant"]), "expect": tuple(entry["expect"])})
        )
    return truths


def not_asked(expected: Mapping, study: Study) -> str:
    """Say why an expectation does not apply to a study; empty where it does.

    Parameters
    ----------
    expected
        An expectation, with ``when``.
    study
        The simulated study.

    Returns
    -------
    str
    """
    when = expected.get("when", {})
    condition, by = when.get("condition"), when.get("chemistry_by")
    if condition and condition not in study.conditions():
        return f"The study has no {condition} mice."
    if by and by != study.settings["chemistry_by"]:
        return f"In this study chemistry goes by {study.settings['chemistry_by']}, not by {by}."
    return ""


def _read(path: str | Path) -> Any:
    """Read a YAML file, or say in one line why it cannot be read."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; name a YAML file with the key `truths`")
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{path}: not YAML ({line}); write `truths:` and a list") from None


def _check_finding(expected: dict[str, Any], schema: dict[str, Any], where: str) -> None:
    """Refuse a finding that the table cannot have."""
    table, finding = expected["table"], expected["finding"]
    findings = [name.split()[1] for name in schema["x-keys"] if name.split()[0] == table]
    if finding not in findings:
        raise InputError(
            f"{where}: finding: '{finding}' is no finding of {table}; {nearest(finding, findings)}"
        )
    _check_keys(expected, f"{table} {finding}", schema, {"table", "finding", "when"}, where)


def _check_keys(
    entry: dict[str, Any], kind: str, schema: dict[str, Any], common: set[str], where: str
) -> None:
    """Refuse keys that an entry lacks, that mean nothing in it, and names listed twice."""
    keys = schema["x-keys"][kind]
    for key in keys["needs"]:
        if key not in entry:
            purpose = schema["items"]["properties"][key]["description"].rstrip(".")
            raise InputError(
                f"{where}.{key}: missing for '{kind}'; {purpose[0].lower()}{purpose[1:]}"
            )
    allowed = [*keys["needs"], *keys["may"]]
    for key, value in entry.items():
        if key not in common.union(allowed) and value != {}:
            raise InputError(
                f"{where}.{key}: means nothing for '{kind}'; it takes {', '.join(allowed)}"
            )
        if isinstance(value, list):
            for name in value:
                if value.count(name) > 1:
                    raise InputError(f"{where}.{key}: '{name}' is there twice; name it once")


def _check_states(plants: list[dict[str, Any]], where: str) -> None:
    """Refuse a second state in one truth: its cells could not be told apart."""
    states = [position for position, plant in enumerate(plants) if plant["kind"] == "state"]
    if len(states) > 1:
        raise InputError(
            f"{where}: plant[{states[1]}].kind: a second state; cells are marked with the truth's "
            "id, so give it a truth of its own"
        )
