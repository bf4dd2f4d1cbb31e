"""What killed jobs leave is known by its name and removed; nothing else is."""

import os
import time

import pytest

from emhniche.io import atomic_folder, atomic_path
from emhniche.leftovers import AGE, leftovers, remove_leftovers


@pytest.mark.parametrize("name", ["contrasts.tsv", "umap.parquet", "qc.json", "a.b.h5ad", "plain"])
def test_a_file_that_is_being_written_is_known(tmp_path, name):
    with atomic_path(tmp_path / "niche" / name) as temporary:
        assert leftovers(tmp_path) == [temporary]
        temporary.write_text("x")
    assert leftovers(tmp_path) == []
    assert (tmp_path / "niche" / name).read_text() == "x"


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    model = tmp_path / "scvi" / "model"
    with atomic_folder(model) as temporary:
        (temporary / "model.pt").write_text("first")
        assert leftovers(tmp_path) == [temporary]
        assert not model.exists()
    with pytest.raises(RuntimeError), atomic_folder(model) as temporary:
        (temporary / "model.pt").write_text("half")
        raise RuntimeError
    assert [path.name for path in model.parent.iterdir()] == ["model"]
    assert (model / "model.pt").read_text() == "first"
    with atomic_folder(model) as temporary:
        (temporary / "other.pt").write_text("second")
    assert [path.name for path in model.iterdir()] == ["other.pt"]
    (tmp_path / "plain").mkdir()
    assert model.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_only_temporary_files_are_removed(tmp_path):
    stay = [
        ".counts.h5ad.part",
        ".snakemake_timestamp",
        ".gitignore",
        "contrasts.tsv",
        ".a.b1c2.tsv",
    ]
    for name in [*stay, ".contrasts.a1b2c3_4.tsv"]:
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (0, time.time() - AGE - 60))
    # another call of Snakemake may be writing this one
    young = ".production.z9y8x7_4.tsv"
    (tmp_path / young).write_text("x")
    for name, written in ((".model.a1b2c3_4", 0), (".model.z9y8x7_4", time.time())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.pt").write_text("x")
        os.utime(tmp_path / name / "model.pt", (0, written))
        os.utime(tmp_path / name, (0, 0))
    assert remove_leftovers(tmp_path) == 2
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([*stay, young, ".model.z9y8x7_4"])


def test_a_run_without_results_has_none(tmp_path):
    assert remove_leftovers(tmp_path / "results") == 0
