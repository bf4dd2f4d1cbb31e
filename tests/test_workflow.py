"""The whole workflow on a small planted study: spleen and marrow of three mice."""

import gzip
import json
import os
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from rocrate.rocrate import ROCrate

from emhniche import io
from emhniche.leftovers import leftovers
from emhniche.report.provenance import checksum
from small_project import SPLEEN, make_project
from workflow import (
    ROOT,
    command,
    finish,
    kill_when,
    run_snakemake,
    snakemake,
    tables,
    without_network,
)

pytestmark = pytest.mark.workflow

PATHS = [
    "cells.h5ad",
    "integration/scvi/latent.parquet",
    "integration/scvi/history.tsv",
    "integration/scvi/device.json",
    "integration/scvi/model",
    "integration/pca/latent.parquet",
    "integration/metrics.tsv",
    "integration/mixing.tsv",
    "integration/verdict.tsv",
    "cluster/graph.npz",
    "cluster/clusters.parquet",
    "cluster/umap.parquet",
    "cluster/stability.tsv",
    "cluster/resolutions.tsv",
    "cluster/found_again.tsv",
    "cluster/tree.tsv",
    "cluster/zoom/myeloid/clusters.parquet",
    "cluster/zoom/myeloid/resolutions.tsv",
    "cluster/zoom/myeloid/found_again.tsv",
    "cluster/zoom/myeloid/markers.tsv",
    "annotate/annotation.parquet",
    "annotate/markers.tsv",
    "annotate/marker_levels.tsv",
    "annotate/transferred.parquet",
    "annotate/transferred.tsv",
    "annotate/celltypist.parquet",
    "annotate/celltypist.tsv",
    "score/scores.parquet",
    "score/null.tsv",
    "niche/design.tsv",
    "niche/contrasts.tsv",
    "niche/composition.tsv",
    "niche/ligand_receptor.tsv",
    "niche/scores.tsv",
    "niche/responses.tsv",
    "niche/emh_index.tsv",
    "niche/emh_contrasts.tsv",
    "niche/emh_axes.tsv",
    "niche/axes.tsv",
    "niche/supply.tsv",
    "niche/ligand_receptor_contrasts.tsv",
    "myeloid/calls.parquet",
    "myeloid/subsets.tsv",
    "myeloid/clusters.tsv",
    "known_answers.tsv",
    "atlas.h5ad",
    "report/index.html",
    "provenance.json",
    "ro-crate-metadata.json",
    "inputs/config.yaml",
]


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A project folder as a user has it: files, sample sheet, configuration."""
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def finished(project):
    """The project after one run, which had no network where that can be arranged."""
    run = finish([*without_network(), *command(project, "--cores", "2")], project, {})
    assert run.returncode == 0, run.stderr[-4000:]
    return project


def test_every_path_of_the_design_is_there(finished):
    results = finished / "results" / "planted"
    assert not [path for path in PATHS if not (results / path).exists()]
    for sample in pd.read_csv(finished / "samples.tsv", sep="\t")["sample"]:
        for name in ("counts.h5ad", "qc.parquet", "qc.json", "qc.html"):
            assert (results / "samples" / sample / name).is_file()


def test_nothing_is_written_beside_results_logs_and_benchmarks(finished):
    given = {"samples.tsv", "config.yaml", "model.pkl"}
    given |= {path.name for path in finished.glob("*.tsv.gz")}
    found = {path.name for path in finished.iterdir()}
    assert found - given == {"results", "logs", "benchmarks", ".snakemake"}
    left = [path for path in (finished / "results").rglob("*") if path.name.startswith(".")]
    assert [path for path in left if not path.name.startswith(".snakemake")] == []


def test_planted_lineages_and_the_planted_effect_are_found(finished):
    results = finished / "results" / "planted"
    contrasts = io.read_table(results / "niche" / "contrasts.tsv")
    design = io.read_table(results / "niche" / "design.tsv")
    assert design["verdict"].tolist() == ["tested"]
    row = contrasts.query("gene == 'Kitl' and cell_type == 'monocyte_macrophage'").iloc[0]
    assert row["status"] == "tested"
    assert row["q"] < 0.05
    assert row["effect"] < -1.5  # log2(0.4 / 3) is -2.9, shrunken: lower outside the marrow
    tnf = contrasts.query("gene == 'Tnf' and status == 'tested'")
    assert len(tnf) > 1
    assert (tnf["q"] >= 0.05).all()
    lif = contrasts.query("gene == 'Lif'")
    assert set(lif["status"]) == {"not_testable"}
    assert lif["p"].isna().all()


def test_labels_of_one_spleen_reach_the_other_libraries_and_no_cell_type_it_lacks(finished):
    results = finished / "results" / "planted"
    given = io.read_table(results / "annotate" / "transferred.parquet").set_index("cell_id")
    names = io.read_table(results / "annotate" / "annotation.parquet").set_index("cell_id")
    lineage = names["lineage"].astype(str).loc[given.index]
    shared = lineage.isin(SPLEEN)
    assert (given["label"].astype(str) == lineage)[shared].mean() > 0.9
    assert (given["label"] == "unknown")[lineage == "erythroid"].mean() > 0.9
    zoomed = io.read_table(results / "cluster/zoom/myeloid/clusters.parquet")
    assert set(names.loc[zoomed["cell_id"], "lineage"]) == {"monocyte_macrophage", "neutrophil"}


def test_the_labels_of_a_model_stand_beside_the_names_in_table_and_page(finished):
    results = finished / "results" / "planted"
    opinion = io.read_table(results / "annotate" / "celltypist.parquet").set_index("cell_id")
    names = io.read_table(results / "annotate" / "annotation.parquet").set_index("cell_id")
    lineage = names["lineage"].astype(str).loc[opinion.index]
    known = lineage.isin(SPLEEN)
    assert (opinion["label"].astype(str) == lineage)[known].mean() > 0.9
    assert (opinion["label"] == "unknown")[lineage == "erythroid"].mean() > 0.7
    table = io.read_table(results / "annotate" / "celltypist.tsv")
    assert table["n_cells"].sum() == len(names)
    page = (results / "report" / "index.html").read_text(encoding="utf-8")
    assert 'id="celltypist-table"' in page
    assert "model.pkl" in page


def test_no_stage_needs_the_network(finished):
    apart = without_network()
    if not apart:
        pytest.skip("unshare --net is not allowed here, so the run could have used the network")
    look = "import socket; socket.create_connection(('127.0.0.1', 80), timeout=5)"
    tried = finish([*apart, sys.executable, "-c", look], finished, {})
    assert "Network is unreachable" in tried.stderr, "what the run saw of the network"
    assert (finished / "results/planted/report/index.html").is_file()


def test_a_second_call_does_nothing(finished):
    run = snakemake(finished, "--cores", "2")
    assert run.returncode == 0
    assert "Nothing to be done" in run.stdout + run.stderr


def planned(run):
    """Return the rules of a dry run's job table."""
    lines = [line.split() for line in (run.stdout + run.stderr).splitlines()]
    return {line[0] for line in lines if len(line) == 2 and line[1].isdigit()}


def test_fetch_settings_rerun_nothing(finished):
    run = snakemake(finished, "-n", "--cores", "2", "--config", "fetch={retries: 9}")
    assert run.returncode == 0
    assert planned(run) == set()


def test_without_scvi_the_comparator_carries_the_run(finished):
    settings = "integrate={methods: [pca], primary: pca}"
    run = snakemake(finished, "-n", "-F", "--cores", "2", "--config", settings)
    assert run.returncode == 0, run.stderr
    assert "integrate_components" in planned(run)
    assert "integrate_scvi" not in planned(run)


@pytest.mark.parametrize(
    ("section", "changes", "first", "untouched"),
    [
        ("cluster", {"resolutions": [2.0]}, "cluster", {"qc", "merge", "integrate_scvi", "score"}),
        ("myeloid", {"q": 0.2}, "myeloid", {"qc", "merge", "cluster", "niche", "score"}),
        ("niche", {"min_cells": 25}, "niche", {"annotate", "myeloid", "score"}),
    ],
)
def test_a_changed_setting_reruns_only_what_hangs_on_it(
    finished, section, changes, first, untouched
):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config[section] = {**config.get(section, {}), **changes}
    other = finished / ".snakemake" / f"{section}.yaml"
    other.write_text(yaml.safe_dump(config))
    run = snakemake(finished, "-n", "--cores", "2", config=str(other.relative_to(finished)))
    jobs = planned(run)
    assert run.returncode == 0
    assert first in jobs
    assert "report" in jobs
    assert not jobs & untouched


STAGES = {"ingest", "qc", "merge", "cluster", "score", "niche", "atlas", "report", "crate"}


def copied(project, folder):
    """Copy what a user has before the first run."""
    names = ["samples.tsv", "config.yaml", "model.pkl"]
    names += [path.name for path in project.glob("*.tsv.gz")]
    for name in names:
        shutil.copy(project / name, folder / name)
    return folder


def test_a_killed_run_completes_on_one_core_with_the_tables_of_two(finished, tmp_path):
    """From nothing, and killed on the way: the tables of a run that nothing disturbed."""
    copied(finished, tmp_path)
    results = tmp_path / "results" / "planted"
    kill_when(tmp_path, results / "integration" / "pca" / "latent.parquet", "--cores", "2")
    locked = snakemake(tmp_path, "--cores", "1")
    assert locked.returncode != 0  # a crashed run leaves its lock, and Snakemake says so
    assert "lock" in locked.stdout + locked.stderr
    assert snakemake(tmp_path, "--unlock").returncode == 0
    left = results / ".clusters.ab_cd123.parquet"
    left.write_text("what a killed job leaves")
    os.utime(left, (0, 0))
    run = snakemake(tmp_path, "--cores", "1", "--rerun-incomplete")
    assert run.returncode == 0, run.stderr[-4000:]
    before, after = tables(finished / "results" / "planted"), tables(results)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []
    assert left not in leftovers(results)


def test_a_copied_project_goes_on_elsewhere(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "project", symlinks=True)
    results = tmp_path / "project" / "results" / "planted"
    moved = snakemake(tmp_path / "project", "-n", "--cores", "1")
    assert "Nothing to be done" in moved.stdout + moved.stderr
    shutil.rmtree(results / "report")
    moved = snakemake(tmp_path / "project", "-n", "--cores", "1")
    assert planned(moved) & STAGES == {"report", "crate"}


def test_a_project_goes_on_with_a_pipeline_that_lies_elsewhere(finished, tmp_path):
    """Gene lists have other paths then, so all would run again; --touch calls them equal."""
    shutil.copytree(finished, tmp_path / "project", symlinks=True)
    for name in ("Snakefile", "workflow", "scripts", "resources", "envs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    results = tmp_path / "project" / "results" / "planted"
    shutil.rmtree(results / "report")
    before = tables(results)
    there = (str(tmp_path / "Snakefile"), "--cores", "1", "--configfile", "config.yaml")
    moved = run_snakemake(tmp_path / "project", "--snakefile", *there, "-n")
    assert "merge" in planned(moved)
    touched = run_snakemake(tmp_path / "project", "--snakefile", *there, "--touch")
    assert touched.returncode == 0, touched.stderr[-3000:]
    moved = run_snakemake(tmp_path / "project", "--snakefile", *there, "-n")
    assert planned(moved) & STAGES == {"report", "crate"}
    assert tables(results) == before


def jobs_with_outputs(run):
    """Return rule and output of each job of a dry run."""
    assert run.returncode == 0, run.stderr[-3000:]
    return set(
        re.findall(r"(?m)^rule (\w+):\n(?: .*\n)*?    output: (.*)$", run.stdout + run.stderr)
    )


def test_the_run_is_planned_alike_from_its_crate(finished, tmp_path):
    results = finished / "results" / "planted"
    for name in ("config.yaml", "samples.tsv"):
        assert (results / "inputs" / name).is_file()
    shutil.copytree(results / "inputs", tmp_path / "inputs")
    for counts in finished.glob("*.tsv.gz"):
        shutil.copy(counts, tmp_path)
    before = jobs_with_outputs(snakemake(finished, "-n", "-F", "--cores", "1"))
    again = snakemake(tmp_path, "-n", "--cores", "1", config="inputs/config.yaml")
    assert len(before) > 30
    assert jobs_with_outputs(again) == before


def test_the_crate_holds_every_result_with_its_sum(finished):
    results = finished / "results" / "planted"
    crate = ROCrate(results)
    files = {one.id: one["sha256"] for one in crate.get_by_type("File") if "sha256" in one}
    assert {"niche/contrasts.tsv", "report/index.html", "atlas.h5ad", "provenance.json"} < set(
        files
    )
    for name, digest in files.items():
        assert checksum(results / name) == digest, name
    record = io.read_json(results / "provenance.json")
    assert record["accelerator"]["used"] in {"cpu", "cuda", "mps"}


def embedded(page, name):
    """Return what a page of Snakemake's report holds under a name."""
    start = f"var {name} = "
    return json.JSONDecoder().raw_decode(page, page.index(start + "{") + len(start))[0]


def test_snakemake_report_holds_every_result_with_its_caption_labels_and_category(
    finished, tmp_path
):
    run = snakemake(finished, "--cores", "1", "--report", str(tmp_path / "report.html"))
    assert run.returncode == 0, run.stderr[-4000:]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    results, categories = embedded(page, "results"), embedded(page, "categories")
    shown = {path.removeprefix("results/planted/"): one for path, one in results.items()}
    figures = {path.name for path in (finished / "results/planted/report/figures").glob("*.svg")}
    samples = pd.read_csv(finished / "samples.tsv", sep="\t")["sample"]
    assert {f"report/figures/{name}" for name in figures} <= set(shown)
    assert {f"samples/{sample}/qc.html" for sample in samples} <= set(shown)
    assert {"report/index.html", "report/losses.tsv", "niche/contrasts.tsv"} <= set(shown)
    for name, one in shown.items():
        assert one["labels"], name
        assert len(re.sub("<[^>]+>", "", one["caption"]).strip()) > 40, name
        assert "{{" not in one["caption"], name
    # what only simulated runs write has a caption too, and no caption is without its result
    said = {re.sub(r"\W+", "", re.sub("<[^>]+>", "", one["caption"])) for one in shown.values()}
    for path in (ROOT / "workflow/report").glob("*.rst"):
        if path.stem in ("workflow", "qc_page", "planted", "recovered"):
            continue
        assert re.sub(r"\W+", "", path.read_text(encoding="utf-8")) in said, path.name
    assert set(categories) == {"Figures", "Quality control", "Report", "Tables"}


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def normalise(path):
    table = pd.read_csv(path, sep="\t", index_col=0)
    np.log1p(table).round(3).to_csv(path, sep="\t")


def rename_genes(path):
    table = pd.read_csv(path, sep="\t", index_col=0)
    table.columns = [f"Nowhere{number}" for number in range(table.shape[1])]
    table.to_csv(path, sep="\t")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "m0_spleen.tsv.gz"),
        (normalise, "raw counts"),
        (rename_genes, "named alike"),
    ],
)
def test_a_bad_file_ends_the_run_before_integration_in_one_line(project, tmp_path, damage, message):
    copied(project, tmp_path)
    damage(tmp_path / "m0_spleen.tsv.gz")
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    sheet = pd.read_csv(tmp_path / "samples.tsv", sep="\t").iloc[:2]
    sheet.to_csv(tmp_path / "samples.tsv", sep="\t", index=False)
    run = snakemake(tmp_path, "--cores", "2")
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert run.returncode != 0
    assert len(errors) == 1, run.stderr[-3000:]
    assert message in errors[0]
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "results" / "planted" / "integration").exists()


def test_a_wrong_checksum_names_both_sums_and_leaves_nothing(project, tmp_path):
    data = (project / "m0_spleen.tsv.gz").read_bytes()
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "m0_spleen.tsv.gz").write_bytes(gzip.compress(b"not the file"))
    wrong = "0" * 64
    row = {
        "dataset": "planted",
        "file": "m0_spleen.tsv.gz",
        "url": "https://example.org/m0_spleen.tsv.gz",
        "bytes": (mirror / "m0_spleen.tsv.gz").stat().st_size,
        "sha256": wrong,
        "format": "tsv_cells_by_genes",
        "licence": "none",
        "citation": "planted",
        "doi": "",
        "accession": "",
        "note": "",
    }
    assert data
    pd.DataFrame([row]).to_csv(tmp_path / "datasets.tsv", sep="\t", index=False)
    sheet = pd.read_csv(project / "samples.tsv", sep="\t").iloc[:1]
    sheet = sheet.assign(file="m0_spleen.tsv.gz", labels="")
    sheet.to_csv(tmp_path / "samples.tsv", sep="\t", index=False)
    config = yaml.safe_load((project / "config.yaml").read_text())
    config |= {"registry": "datasets.tsv", "annotate": {}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    run = snakemake(tmp_path, "--cores", "1", EMH_MIRROR=str(mirror))
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert run.returncode != 0
    assert len(errors) == 1
    assert wrong in errors[0]
    raw = tmp_path / "results" / "planted" / "raw"
    assert not [path for path in raw.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda sheet: sheet.rename(columns={"tissue": "tisue"}), "did you mean 'tissue'"),
        (lambda sheet: sheet.drop(columns="donor").drop(columns="species"), "missing"),
        (lambda sheet: pd.concat([sheet, sheet.iloc[:1]]), "m0_spleen"),
        (lambda sheet: sheet.assign(tissue="spleeen"), "spleen"),
        (lambda sheet: sheet.assign(species="mosue"), "mouse"),
        (lambda sheet: sheet.replace("m0_marrow.tsv.gz", "gone.tsv.gz"), "gone.tsv.gz"),
    ],
)
def test_a_bad_sheet_ends_the_run_before_its_first_job(project, tmp_path, edit, message):
    copied(project, tmp_path)
    edit(pd.read_csv(project / "samples.tsv", sep="\t")).to_csv(
        tmp_path / "samples.tsv", sep="\t", index=False
    )
    run = snakemake(tmp_path, "--cores", "1")
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert run.returncode != 0
    assert len(errors) == 1
    assert "samples.tsv" in errors[0]
    assert message in errors[0]
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "results").exists()
