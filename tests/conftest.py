"""What tests share: where the real files are."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
