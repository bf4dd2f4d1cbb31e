"""Another workflow imports this one with `module:`, from a folder and from a git tag."""

import os
import shutil
import subprocess
from pathlib import Path

import anndata as ad
import pytest
import yaml

from small_project import CONFIG, make_project
from workflow import ROOT, run_snakemake

pytestmark = pytest.mark.workflow

OUTER = """
configfile: "outer.yaml"

module emh:
    snakefile: {snakefile}
    config: config["emh"]
    prefix: "niche"

use rule * from emh as emh_*

rule all:
    default_target: True
    input:
        rules.emh_all.input,
        "cells.txt",

rule count:
    input:
        "niche/results/planted/samples/m0_spleen/counts.h5ad",
    output:
        "cells.txt",
    shell:
        "wc -c < {{input}} > {{output}}"
"""
TAG = "v9.9.9"
HOSTED = f'github("emh-niche/emh-niche", path="Snakefile", tag="{TAG}")'


@pytest.fixture(scope="module")
def outer(tmp_path_factory):
    """A workflow of someone else, with the small project's files."""
    folder = make_project(tmp_path_factory.mktemp("outer"))
    (folder / "config.yaml").unlink()
    (folder / "outer.yaml").write_text(yaml.safe_dump({"emh": CONFIG}))
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A git repository of the working copy, with a tag."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("Snakefile", "workflow", "scripts", "resources", "envs", "config"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    who = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"], ["tag", TAG]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def planned(folder: Path, snakefile: str, *args: str, **environment: str) -> str:
    """Write the outer Snakefile and return what Snakemake says, which must have worked."""
    (folder / "Snakefile").write_text(OUTER.format(snakefile=snakefile))
    run = run_snakemake(folder, "--cores", "1", *args, **environment)
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
    return run.stdout + run.stderr


def test_a_workflow_imports_this_one_from_a_folder(outer):
    said = planned(outer, repr(str(ROOT / "Snakefile")), "-n")
    for line in ("niche/results/planted/report/index.html", "niche/logs/planted/merge/merge.log"):
        assert line in said
    assert "rule emh_integrate_scvi:" in said
    assert "niche/m0_spleen.tsv.gz" not in said
    assert "niche/resources" not in said


def test_rules_of_the_module_run_to_completion(outer):
    planned(outer, repr(str(ROOT / "Snakefile")), "cells.txt")
    counts = outer / "niche/results/planted/samples/m0_spleen/counts.h5ad"
    assert int((outer / "cells.txt").read_text()) == counts.stat().st_size
    assert ad.read_h5ad(counts).n_obs == 250
    assert (outer / "niche/logs/planted/ingest/m0_spleen.log").is_file()
    assert not (outer / "results").exists()


def test_a_workflow_imports_this_one_from_a_tag(outer, repository, tmp_path):
    """The documented form, with the host's address led to a local repository."""
    shutil.copytree(outer, tmp_path / "project", ignore=shutil.ignore_patterns("niche", ".snake*"))
    address = "https://github.com/emh-niche/emh-niche"
    environment = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": "",
    }
    target = "niche/results/planted/samples/m0_spleen/qc.json"
    planned(tmp_path / "project", HOSTED, target, **environment)
    assert (tmp_path / "project" / target).is_file()
    unpacked = list((tmp_path / "project/.snakemake/emh-niche").iterdir())
    assert len(unpacked) == 1
    assert (unpacked[0] / "resources" / "panel.tsv").is_file()
    log = (tmp_path / "project/niche/logs/planted/qc/m0_spleen.log").read_text()
    assert "done" in log


def test_a_mistake_in_the_modules_configuration_is_one_line(outer, tmp_path):
    shutil.copytree(outer, tmp_path / "project", ignore=shutil.ignore_patterns("niche", ".snake*"))
    config = {"emh": {**CONFIG, "qcc": {}}}
    (tmp_path / "project" / "outer.yaml").write_text(yaml.safe_dump(config))
    snakefile = repr(str(ROOT / "Snakefile"))
    (tmp_path / "project" / "Snakefile").write_text(OUTER.format(snakefile=snakefile))
    run = run_snakemake(tmp_path / "project", "--cores", "1", "-n", **os.environ)
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert run.returncode != 0
    assert len(errors) == 1
    assert "qcc: unknown key; did you mean 'qc'?" in errors[0]
