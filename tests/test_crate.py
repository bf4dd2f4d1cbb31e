"""What a run was given and what it found can be told and checked later, and run again."""

import shutil
from pathlib import Path

import pytest
import yaml
from rocrate.rocrate import ROCrate

from emhniche.replay import replay_config, replay_files, replay_study
from emhniche.report.crate import write_crate, write_inputs
from emhniche.report.provenance import checksum, package_versions
from emhniche.settings import load_run
from own_project import ROOT, load

PROVENANCE = {
    "config": {"run": "test"},
    "pipeline": {"version": "0.1.0", "git_commit": None},
    "packages": {"numpy": "2.0.0", "unused": "1.0"},
    "python": "3.12.1",
    "written": "2026-01-02T03:04:05+00:00",
}
OTHERS = ("samples", "simulate", "registry", "resources", "fetch")


def replayed(run, folder: Path, monkeypatch):
    """Write the inputs of a run into a folder, and load the run again from there."""
    write_inputs(folder / "inputs", replay_files(run), replay_config(run), replay_study(run))
    monkeypatch.chdir(folder)
    return load_run(yaml.safe_load(Path("inputs/config.yaml").read_text("utf-8")), ROOT)


def test_a_run_is_the_same_from_its_inputs(project, tmp_path, monkeypatch):
    run = load(seed=3, qc={"n_mads": 3.5}, fetch={"retries": 1}, myeloid={"n_random": 20})
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copy("local.h5ad", other)
    again = replayed(run, other, monkeypatch)
    for key, value in run.config.items():
        if key not in OTHERS:
            assert again.config[key] == value, key
    assert again.samples.equals(run.samples)
    assert again.registry.equals(run.registry)
    for key, path in run.config["resources"].items():
        assert again.config["resources"][key] == f"inputs/{key}{Path(path).suffix}"
        assert checksum(again.config["resources"][key]) == checksum(path)


@pytest.mark.parametrize("name", ["config", "aliased"])
def test_a_simulated_run_is_the_same_from_its_inputs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    run = load_run(yaml.safe_load(Path(f"config/{name}.yaml").read_text("utf-8")), ROOT)
    again = replayed(run, tmp_path, monkeypatch)
    assert again.samples.equals(run.samples)
    assert again.truths == run.truths
    for key, path in again.sources.items():
        assert path.startswith("inputs/"), key
    files = ("truths", "profiles", "programmes", "cell_types")
    for key, value in run.study.settings.items():
        if key not in files:
            assert again.study.settings[key] == value, key


def test_two_tables_of_one_name_stay_apart(project):
    Path("lists").mkdir()
    Path("lists/registry.tsv").write_text((ROOT / "resources/panel.tsv").read_text("utf-8"))
    files = replay_files(load(resources={"panel": "lists/registry.tsv"}))
    assert files["panel.tsv"] == "lists/registry.tsv"
    assert files["registry.tsv"] == "registry.tsv"


def test_the_version_told_is_that_of_the_package_imported(tmp_path, monkeypatch):
    """An image's own packages come first on the path, then those of where Snakemake runs."""
    for place, version in (("image", "1.5"), ("outside", "1.4")):
        folder = tmp_path / place / f"Some_Package-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: Some_Package\nVersion: {version}\n")
    monkeypatch.setattr("sys.path", [str(tmp_path / "image"), str(tmp_path / "outside")])
    assert package_versions() == {"some-package": "1.5"}


def test_the_crate_names_every_file_with_its_sum_and_what_made_it(tmp_path):
    (tmp_path / "inputs").mkdir()
    given = tmp_path / "inputs" / "config.yaml"
    given.write_text("run: test\n")
    # what an earlier run or another program left there is not what this run was given
    (tmp_path / "inputs" / "old.tsv").write_text("x")
    (tmp_path / "inputs" / ".ipynb_checkpoints").mkdir()
    told = {"title": "A µ title", "provenance": PROVENANCE, "packages": ["numpy"]}
    (tmp_path / "niche").mkdir()
    found = tmp_path / "niche" / "contrasts.tsv"
    found.write_text("gene\n<b>Kitl</b>\n")
    write_crate(tmp_path, given=[given], results=[found], **told)
    crate = ROCrate(tmp_path)
    table = crate.dereference("niche/contrasts.tsv")
    assert table["sha256"] == checksum(found)
    assert table["contentSize"] == str(found.stat().st_size)
    action = crate.dereference("#run")
    assert [one.id for one in action["object"]] == ["inputs/config.yaml"]
    assert [one.id for one in action["result"]] == ["niche/contrasts.tsv"]
    assert crate.root_dataset["mentions"].id == "#run"
    assert crate.name == "A µ title"
    software = action["instrument"]
    assert software["softwareVersion"] == "0.1.0"
    used = {one["name"]: one["softwareVersion"] for one in software["softwareRequirements"]}
    assert used == {"python": "3.12.1", "numpy": "2.0.0"}
    before = (tmp_path / "ro-crate-metadata.json").read_bytes()
    write_crate(tmp_path, given=[given], results=[found], **told)
    assert (tmp_path / "ro-crate-metadata.json").read_bytes() == before
