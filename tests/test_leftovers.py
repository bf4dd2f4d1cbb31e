"""What killed jobs leave is known by its name and removed; nothing else is."""

import os
import time

import pytest

from emhniche.io import atomic_path
from emhniche.leftovers import AGE, leftovers, remove_leftovers


@pytest.mark.parametrize("name", ["contrasts.tsv", "umap.parquet", "qc.json", "a.b.h5ad", "plain"])
def test_a_file_that_is_being_written_is_known(tmp_path, name):
    with atomic_path(tmp_path / "niche" / name) as temporary:
        assert leftovers(tmp_path) == [temporary]
        temporary.write_text("x")
    assert leftovers(tmp_path) == []
    assert (tmp_path / "niche" / name).read_text() == "x"


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
    (tmp_path / ".folder.a1b2c3_4").mkdir()
    assert remove_leftovers(tmp_path) == 1
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([*stay, young, ".folder.a1b2c3_4"])


def test_a_run_without_results_has_none(tmp_path):
    assert remove_leftovers(tmp_path / "results") == 0
