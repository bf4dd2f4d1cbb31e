"""What tests share: where the real files are."""

import os
from pathlib import Path

import pytest

from own_project import REGISTRY, SHEET

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that run whole workflows begin, so that none is left over at the end."""
    long = {item.path for item in items if item.get_closest_marker("workflow")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Return the folder with the public files, as `EMH_MIRROR` names it or beside the checkout."""
    named = os.environ.get("EMH_MIRROR")
    folder = (ROOT / named if named else ROOT / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip(
            f"no real files: {folder} is no folder; set EMH_MIRROR to the one that has them"
        )
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with a good sample sheet, registry and counts file."""
    monkeypatch.chdir(tmp_path)
    Path("samples.tsv").write_text(SHEET, encoding="utf-8")
    Path("registry.tsv").write_text(REGISTRY, encoding="utf-8")
    Path("local.h5ad").touch()
    return tmp_path
