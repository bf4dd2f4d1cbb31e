"""A release holds the commit, the lock and the sums, and the same commit gives the same bytes."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from emhniche.errors import InputError
from emhniche.release import pack

ROOT = Path(__file__).resolve().parents[1]


def git(folder, *words):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """A checkout of what the release must hold, as it is now."""
    folder = tmp_path / "code"
    folder.mkdir()
    for name in ("Snakefile", "uv.lock", "pyproject.toml", "LICENSE", "CITATION.cff"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "resources", "envs"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    return folder


def test_a_release_holds_every_file_with_its_sum(checkout, tmp_path):
    (checkout / "notes.txt").write_text("not tracked")
    archive = pack(checkout, tmp_path / "dist")
    said = (tmp_path / "dist" / f"{archive.name}.sha256").read_text()
    assert said == f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n"
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    (top,) = (tmp_path / "unpacked").iterdir()
    assert archive.name == f"{top.name}.tar.gz"
    sums = (top / "SHA256SUMS").read_text().splitlines()
    files = [one for one in top.rglob("*") if one.is_file() and not one.is_symlink()]
    tracked = {one.relative_to(top).as_posix() for one in files} - {"SHA256SUMS"}
    assert {row[66:] for row in sums} == {one for one in tracked if not one.startswith("profiles")}
    assert {"uv.lock", "Snakefile", "LICENSE", "resources/panel.tsv"} < tracked
    assert (top / "profiles" / "default" / "config.yaml").is_file()
    assert not (top / "notes.txt").exists()
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=top, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_the_same_commit_gives_the_same_bytes(checkout, tmp_path):
    first = pack(checkout, tmp_path / "one").read_bytes()
    assert pack(checkout, tmp_path / "two").read_bytes() == first
    git(checkout, "mv", "LICENSE", "LICENCE")
    git(checkout, "commit", "-qm", "other")
    assert pack(checkout, tmp_path / "three").read_bytes() != first


def test_what_is_not_committed_is_not_released(checkout, tmp_path):
    (checkout / "LICENSE").write_text("mine")
    with pytest.raises(InputError, match="LICENSE is not as it is committed"):
        pack(checkout, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()
    (tmp_path / "no_checkout").mkdir()
    with pytest.raises(InputError, match="from a git checkout"):
        pack(tmp_path / "no_checkout", tmp_path / "dist")
