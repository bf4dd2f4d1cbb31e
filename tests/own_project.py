"""A project folder of a user: sheet, registry and configuration, good until a test edits them."""

from pathlib import Path

import pytest

from emhniche.errors import InputError
from emhniche.settings import Run, load_run

ROOT = Path(__file__).resolve().parents[1]
SHEET = """\
sample\tdataset\tfile\tspecies\ttissue\tdonor\tcondition\tselect\tsex
s1\tone\tone.h5ad\tmouse\tspleen\tm1\tcontrol\tmouse == 1\tmale
s2\tone\tone.h5ad\tmouse\tspleen\tm2\tLPS\tmouse == 2; gate != "hemato lineages"\tmale
b1\ttwo\tlocal.h5ad\tmouse\tbone marrow\t\t\t\t
b2\ttwo\thttps://example.org/b2.h5ad\tmouse\tblood\tm3\t\t\t
"""
SCHEMA = "workflow/schemas/{}.schema.yaml"
REGISTRY = f"""\
dataset\tfile\turl\tbytes\tsha256\tlicence
one\tone.h5ad\thttps://example.org/one.h5ad\t1024\t{"0f" * 32}\tCC-BY-4.0
"""
CONFIG = {"run": "test", "samples": "samples.tsv", "registry": "registry.tsv"}


def load(**changes: object) -> Run:
    return load_run(CONFIG | changes, ROOT)


def refusal(**changes: object) -> str:
    """Return the message that a configuration is refused with; it must be one line."""
    with pytest.raises(InputError) as caught:
        load(**changes)
    message = str(caught.value)
    assert "\n" not in message
    return message


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new), encoding="utf-8")
