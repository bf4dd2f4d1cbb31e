"""A real Slurm and real Apptainer images: the demo's cohort, small, and jobs that a cluster ends.

All is installed and started here (`tests/infra`), on Debian as root; elsewhere the tests skip
and say why. Images are kept in ``~/.cache/emh-niche/images`` (or `EMH_IMAGES`), by what they are
built from. The run goes as far as the training, the pages of the samples and ``provenance.json``;
with `EMH_SLURM=whole` it has more mice, asks for all that a run can be asked for and goes to its
end.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from emhniche import io
from fake_celltypist import write_model
from planted import DEPTH
from workflow import ROOT, tables, without_network

pytestmark = pytest.mark.workflow

INFRA = ROOT / "tests" / "infra"
WHOLE = os.environ.get("EMH_SLURM") == "whole"
CONFIG = {
    "run": "small",
    "simulate": "study.yaml",
    "merge": {"n_hvg": 300},
    "integrate": {"n_latent": 8, "scvi": {"epochs": 2, "min_cell_visits": 1}},
}
STUDY = {
    "arms": [
        {"condition": "naive", "arm": "reference", "mice": 1},
        {"condition": "tumour", "arm": "case", "mice": 1},
    ],
    "cells_per_library": 250,
    "tissues": ["spleen"],
}
SAMPLES = ("naive1_spleen", "tumour1_spleen")
TARGETS = [
    "results/small/integration/scvi/latent.parquet",
    "results/small/provenance.json",
    *(f"results/small/samples/{sample}/qc.html" for sample in SAMPLES),
]
if WHOLE:
    STUDY["tissues"] = ["spleen", "bone marrow"]
    STUDY["arms"] = [arm | {"mice": 2} for arm in STUDY["arms"]]
    CONFIG["integrate"]["methods"] = ["scvi", "scanvi", "harmony", "pca"]
    CONFIG["cluster"] = {"zoom": ["myeloid"]}
    CONFIG["annotate"] = {"label_samples": ["naive1_spleen"], "celltypist": {"model": "model.pkl"}}
    CONFIG["niche"] = yaml.safe_load((ROOT / "config/config.yaml").read_text("utf-8"))["niche"]
    CONFIG["score"] = CONFIG["myeloid"] = {"n_random": 20}
    SAMPLES = tuple(
        f"{arm['condition']}{mouse}_{tissue.split()[-1]}"
        for arm in STUDY["arms"]
        for mouse in (1, 2)
        for tissue in STUDY["tissues"]
    )
    TARGETS = []  # what the workflow makes when it is not told what
PURPOSES = ("core", "scvi-gpu", "report")
IMAGE = {
    "integrate_scvi": "scvi-gpu",
    **dict.fromkeys(("qc_page", "planted_page", "atlas", "report", "crate"), "report"),
}
"""Rule -> purpose of its image, where that is not `core`."""
ELSEWHERE = {"fetch", "ambient"}
"""Rules that a simulated cohort has no use for."""
QUICK = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "1"]
WITHOUT_ACCOUNTING = ["--slurm-status-command", "squeue", "--slurm-no-account"]
WITHIN = 120
"""Seconds after which a job that failed is known to have failed."""
PATIENCE = 3600 if WHOLE else 600
"""Seconds after which a run of the cohort is given up."""


def run(*words: str, cwd: Path = ROOT, seconds: int = 300) -> subprocess.CompletedProcess:
    return subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, check=False, timeout=seconds
    )


def need(what: str, *words: str, seconds: int = 300) -> str:
    """Run a script that installs or starts something; skip with its own words where it fails."""
    done = run(*words, seconds=seconds)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        pytest.skip(f"{what}: {said}")
    return done.stdout


@pytest.fixture(scope="module")
def tools():
    """Slurm, Apptainer and what builds images."""
    if os.getuid() != 0:
        pytest.skip("Slurm and Apptainer are installed and started by root; this is another user")
    if not shutil.which("apt-get"):
        pytest.skip("Slurm and Apptainer come from Debian's packages; there is no apt-get here")
    need("Slurm", str(INFRA / "slurm.sh"), "install")
    need("Apptainer", str(INFRA / "apptainer.sh"))


@pytest.fixture(scope="module")
def cluster(tools, tmp_path_factory):
    """A Slurm of one node with one GPU, without accounting."""
    folder = tmp_path_factory.mktemp("slurm")
    need("Slurm", str(INFRA / "slurm.sh"), "start", str(folder), seconds=60)
    yield folder
    run(str(INFRA / "slurm.sh"), "stop", str(folder), seconds=60)


def call(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--directory", str(folder), *words]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The small cohort, in a folder that is copied for each run of it."""
    folder = tmp_path_factory.mktemp("cohort")
    if WHOLE:
        model = CONFIG["annotate"]["celltypist"]
        mix = dict.fromkeys(DEPTH, 60)
        model["sha256"] = write_model(folder / "model.pkl", mix, only_markers=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def start(project: Path, folder: Path, *words: str, before: Sequence[str] = ()):
    """Start a run of the cohort in a copy of its folder, its output in `run.log`."""
    shutil.copytree(project, folder)
    with open(folder / "run.log", "w") as log:
        return subprocess.Popen(
            [*before, *call(folder, "--configfile", "config.yaml", *words)],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture(scope="module")
def alone(project, tmp_path_factory):
    """The same run without cluster and images, begun first, with no network."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    apart = without_network()
    snakefile = ["--snakefile", str(ROOT / "Snakefile")]
    process = start(project, folder, *snakefile, "--cores", "1", *TARGETS, before=apart)
    yield folder, process, apart
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def images(tools, alone):
    """Purpose -> its image, built here."""
    cache = Path(os.environ.get("EMH_IMAGES", "~/.cache/emh-niche/images")).expanduser()
    done = run("bash", str(ROOT / "envs" / "build.sh"), str(cache), *PURPOSES, seconds=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return {purpose: Path(entry["image"]) for purpose, entry in yaml.safe_load(done.stdout).items()}


@pytest.fixture(scope="module")
def failures(cluster, tmp_path_factory):
    """Jobs that fail, take too long and need too much memory, begun before the cohort's."""
    folder = tmp_path_factory.mktemp("failures")
    words = ["--snakefile", str(INFRA / "failures.smk"), "--workflow-profile"]
    words += [str(ROOT / "workflow" / "profiles" / "slurm-no-accounting"), *QUICK]
    with open(folder / "run.log", "w") as log:
        process = subprocess.Popen(
            ["timeout", "--kill-after", "10", "280", *call(folder, *words), "all", "bad", "slow"],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield folder, process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def finished(cluster, images, failures, project, tmp_path_factory):
    """The cohort after its run through Slurm, with a GPU for the training, in the images."""
    # Apptainer shows its containers all of /tmp by itself, so the pipeline lies elsewhere
    pipeline = images["core"].parent / f".pipeline-{os.getpid()}"
    for name in ("workflow", "scripts", "resources", "config", "envs"):
        shutil.copytree(ROOT / name, pipeline / name)
    shutil.copy(ROOT / "Snakefile", pipeline)
    entries = yaml.safe_load((pipeline / "envs" / "images.yaml").read_text())
    for purpose, image in images.items():
        entries[purpose]["image"] = str(image)
    (pipeline / "envs" / "images.yaml").write_text(yaml.safe_dump(entries))
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "-qm", "copy"]):
        assert run("git", *words, cwd=pipeline).returncode == 0
    folder = tmp_path_factory.mktemp("slurm_run") / "run"
    words = ["--snakefile", str(pipeline / "Snakefile"), "--workflow-profile"]
    words += [str(pipeline / "workflow" / "profiles" / "slurm-gpu"), *TARGETS, *QUICK]
    process = start(project, folder, *words, *WITHOUT_ACCOUNTING, "--sdm", "apptainer")
    try:
        status = process.wait(timeout=max(PATIENCE, 900))
    finally:
        process.kill()
        shutil.rmtree(pipeline)
    assert status == 0, (folder / "run.log").read_text()[-6000:]
    return folder


def in_image(image: Path, *words: str) -> str:
    done = run("apptainer", "exec", "--cleanenv", "--contain", str(image), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs_run(folder: Path) -> dict[Path, str]:
    """Return log and rule of each job of a run."""
    said = re.findall(
        r"(?m)^ *rule (\w+):\n(?: .*\n)*? +log: (\S+)", (folder / "run.log").read_text()
    )
    return {folder / log: rule for rule, log in said}


def test_every_rule_ran_in_its_image(finished, images):
    jobs = jobs_run(finished)
    assert sorted(jobs) == sorted((finished / "logs" / "small").rglob("*.log"))
    if WHOLE:
        files = (ROOT / "workflow" / "rules").glob("*.smk")
        rules = {one for path in files for one in re.findall(r"(?m)^rule (\w+):", path.read_text())}
        assert set(jobs.values()) == rules - ELSEWHERE
    else:
        assert len(jobs) == 14 - 2
    for log, rule in jobs.items():
        purpose = IMAGE.get(rule, "core")
        key = images[purpose].stem.rpartition("-")[2]
        with log.open() as text:
            line = text.readline().rstrip()
        assert line.endswith(f"image {purpose} {key}"), (rule, line)
        assert "Debian GNU/Linux 13 (trixie)" in line, (rule, line)


def test_provenance_names_image_and_commit(finished, images):
    record = json.loads((finished / "results/small/provenance.json").read_text())
    key = images["core"].stem.rpartition("-")[2]
    assert record["surroundings"]["image"] == f"core {key}"
    assert record["surroundings"]["system"] == "Debian GNU/Linux 13 (trixie)"
    assert record["surroundings"]["python"] == record["python"]
    # the image has no git: the commit was asked for outside of it
    assert re.fullmatch("[0-9a-f]{40}", record["pipeline"]["git_commit"])


def test_the_training_got_a_gpu_and_nothing_else_did(finished):
    jobs = run("scontrol", "--oneliner", "show", "job").stdout.splitlines()
    of_run = [line for line in jobs if f"WorkDir={finished}" in line]
    with_gpu = [line for line in of_run if "gres" in line]
    assert len(of_run) >= 9
    assert len(with_gpu) == Counter(jobs_run(finished).values())["integrate_scvi"] >= 1
    for job in with_gpu:
        assert "integrate_scvi" in job
        assert "TresPerJob=gres:gpu:1" in job and "JobState=COMPLETED" in job


def test_the_jobs_of_samples_share_slurm_jobs(finished):
    jobs = run("scontrol", "--oneliner", "show", "job").stdout.splitlines()
    of_run = [line for line in jobs if f"WorkDir={finished}" in line]
    # ingest, qc and the pages of all samples are one job each
    assert len(of_run) == len(jobs_run(finished)) - 3 * (len(SAMPLES) - 1)


def test_tables_are_those_of_a_run_without_cluster_and_images(finished, alone):
    folder, process, _ = alone
    assert process.wait(timeout=PATIENCE) == 0, (folder / "run.log").read_text()[-6000:]
    expected = tables(folder / "results/small")
    found = tables(finished / "results/small")
    of_sample = ("soup.parquet", "qc.parquet", "qc_barcodes.tsv", "qc_ambient.tsv")
    assert {"samples.tsv", "simulate/cells.parquet", "integration/scvi/latent.parquet"} | {
        f"samples/{sample}/{name}" for sample in SAMPLES for name in of_sample
    } < expected.keys()
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_no_network_is_needed(alone):
    folder, process, apart = alone
    if not apart:
        pytest.skip("unshare --net is not allowed here")
    assert process.wait(timeout=PATIENCE) == 0, (folder / "run.log").read_text()[-6000:]


def seconds_until(log: str, rule: str, ended: float) -> float:
    """Return how long after `ended` Snakemake said that a job of a rule failed."""
    found = re.findall(rf"\[(.+)\]\nError in rule {rule}:\n    message: SLURM", log)
    times = [time.mktime(time.strptime(one)) for one in found]
    assert times, f"no failure of {rule} was reported"
    return times[0] - ended


def test_each_failure_is_known_within_two_minutes(failures):
    folder, process = failures
    assert process.wait(timeout=300) == 1, "Snakemake must end by itself, and say that jobs failed"
    log = (folder / "run.log").read_text()

    def written(name: str) -> float:
        return float((folder / name).read_text().split()[0])

    # ended with an error: known, tried again, given up
    assert -1 <= seconds_until(log, "bad", written("bad.ended")) <= WITHIN
    assert log.count("Error in rule bad:\n    message: SLURM") == 2
    assert (folder / "bad.ended").read_text().count("\n") == 2
    # over its time: Slurm gives a job its minute, and up to half a minute more
    assert seconds_until(log, "slow", written("slow.began") + 60) <= WITHIN
    assert not (folder / "slow.txt").exists()
    # over its memory: killed, and then given what it needs
    assert seconds_until(log, "greedy", written("greedy.began")) <= WITHIN
    assert (folder / "greedy.txt").read_text() == "2000\n"
    assert (folder / "fine.txt").read_text() == "0\n", "CUDA_VISIBLE_DEVICES of a job with the GPU"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_an_image_holds_what_it_should_and_no_more(images, purpose):
    image = images[purpose]
    names = {path.name for path in (ROOT / "envs").iterdir()}
    assert purpose in names
    # Snakemake mounts the caller's packages last on the path: without them, all must be there too
    modules = {"faiss-cpu": "faiss", "pyyaml": "yaml", "scikit-image": "skimage"}
    modules |= {"scikit-learn": "sklearn", "scvi-tools": "scvi", "umap-learn": "umap"}
    packages = (ROOT / "envs" / purpose / "packages.txt").read_text().split()
    imports = ", ".join(modules.get(name, name) for name in packages)
    tools = "gcc cc g++ clang ld make apt apt-get pip git"
    # in one call: without /dev/fuse each unpacks the whole image
    asked = [
        "command -v python && command -v bash",
        "python -c 'import bz2, ctypes, lzma, sqlite3, ssl, curses, zoneinfo, asyncio, venv'",
        f"python -c 'import {imports}'",
        "grep --quiet ^emh:x: /etc/passwd",
        "echo",
        f"for one in {tools}; do command -v $one || true; done",
    ]
    said = in_image(image, "bash", "-ec", "\n".join(asked))
    assert said.endswith("\n\n"), f"a tool that should not be there: {said}"


def test_a_user_without_rights_can_use_an_image(images, tmp_path_factory):
    folder = Path("/var/tmp") / f"emh-niche-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        # unpacked, for /dev/fuse may be root's alone on a machine like this
        image = shutil.copy(images["report"], folder)
        os.chmod(image, 0o644)
        user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        words = ["apptainer", "exec", "--unsquash", "--cleanenv", "--contain", image]
        code = "import os, scipy; print(os.getuid()); open('/etc/x', 'w')"
        done = run(*user, *words, "python", "-c", code, cwd=folder)
        assert done.stdout == "65534\n", done.stderr
        assert "PermissionError" in done.stderr or "Read-only file system" in done.stderr
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(not WHOLE, reason="EMH_SLURM=whole runs the cohort to its end")
def test_the_whole_run_ends_with_all_that_was_asked_for(finished, images):
    results = finished / "results" / "small"
    page = (results / "report" / "index.html").read_text(encoding="utf-8")
    for part in ("celltypist-table", "transferred-table", "zoom-myeloid", "planted.html"):
        assert part in page, part
    # what an image holds is told, and not what lies behind it on the path
    told = json.loads((results / "provenance.json").read_text())["packages"]
    code = "from importlib.metadata import version; print(version('scanpy'), version('igraph'))"
    assert in_image(images["core"], "python", "-c", code).split() == [
        told["scanpy"],
        told["igraph"],
    ]
    table = io.read_table(results / "annotate" / "celltypist.tsv")
    assert set(table["label"]) <= {*DEPTH, "unknown"}
    assert table["n_cells"].sum() == len(io.read_table(results / "annotate/annotation.parquet"))


@pytest.mark.skipif(not WHOLE, reason="EMH_SLURM=whole takes the node away from its jobs, too")
def test_a_node_that_dies_costs_a_job_its_time_and_nothing_else(cluster, failures, tmp_path):
    """Its daemon is killed, and one of two jobs with it; then the daemon is started again."""
    failures[1].wait(timeout=300)
    words = ["--snakefile", str(INFRA / "failures.smk"), "--workflow-profile"]
    words += [str(ROOT / "workflow" / "profiles" / "slurm-no-accounting"), *QUICK]
    with open(tmp_path / "run.log", "w") as log:
        process = subprocess.Popen(
            [*call(tmp_path, *words), "carried.txt", "lost.txt"],
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        began = [tmp_path / "carried.began", tmp_path / "lost.began"]
        deadline = time.monotonic() + 120
        while not all(one.exists() for one in began) and time.monotonic() < deadline:
            time.sleep(0.2)
        os.kill(int((cluster / "slurmd.pid").read_text()), signal.SIGKILL)
        job = began[1].read_text().split()[1]
        steps = run("pgrep", "-f", rf"slurmstepd: \[{job}\.").stdout.split()
        assert steps
        inside = [one for step in steps for one in psutil.Process(int(step)).children(True)]
        for one in [*(psutil.Process(int(step)) for step in steps), *inside]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        assert run("slurmd").returncode == 0
        # a daemon tells every few minutes what runs, and a job that is lost waits for two more
        deadline = time.monotonic() + 120
        while "PENDING" not in run("scontrol", "show", "job", job).stdout:
            assert time.monotonic() < deadline, "Slurm does not miss the job"
            assert run("scontrol", "reconfigure").returncode == 0
            time.sleep(5)
        assert run("scontrol", "update", f"jobid={job}", "starttime=now").returncode == 0
        assert process.wait(timeout=300) == 0, (tmp_path / "run.log").read_text()[-4000:]
    finally:
        process.kill()
    for one, times in zip(began, (1, 2), strict=True):
        assert one.read_text().count("\n") == times, one.name
        assert one.with_suffix(".txt").read_text() == "whole\n"


@pytest.fixture
def accounting(failures, finished, cluster, tmp_path):
    """The cluster anew, with accounting, once the jobs without it have ended."""
    failures[1].wait(timeout=300)
    need("Slurm's accounting", str(INFRA / "slurm.sh"), "install", "accounting")
    run(str(INFRA / "slurm.sh"), "stop", str(cluster), seconds=60)
    start_it = [str(INFRA / "slurm.sh"), "start", str(tmp_path / "slurm"), "accounting"]
    need("Slurm's accounting", *start_it, seconds=90)
    yield
    run(str(INFRA / "slurm.sh"), "stop", str(tmp_path / "slurm"), seconds=60)


def test_with_accounting_the_state_of_jobs_comes_from_sacct(accounting, tmp_path):
    words = ["fine", "bad", "--snakefile", str(INFRA / "failures.smk"), "--workflow-profile"]
    words += [str(ROOT / "workflow" / "profiles" / "slurm"), *QUICK, "--retries", "0"]
    begun = time.monotonic()
    done = run("timeout", "--kill-after", "10", "200", *call(tmp_path, *words), cwd=tmp_path)
    assert done.returncode == 1, done.stderr[-3000:]
    assert time.monotonic() - begun <= WITHIN
    assert "SLURM status is: 'FAILED'" in done.stderr
    assert "status command is not 'sacct'" not in done.stderr
    assert (tmp_path / "fine.txt").read_text() == "0\n"
    listed = run("sacct", "-X", "-n", "-P", "-o", "state,alloctres").stdout
    assert re.search(r"COMPLETED\|.*gres/gpu=1", listed), listed
    assert "FAILED|" in listed
