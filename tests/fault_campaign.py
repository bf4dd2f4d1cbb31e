"""Do random kills change what a run finds?

    python tests/fault_campaign.py FOLDER docs/faults.tsv --project demo --kills 40 --each 20

The demo, or the small study of the tests, is made undisturbed, then again and again from nothing,
each time with up to `each` kills at random moments, and started again after each. What is killed
without warning (SIGKILL): the process of one running job (`job`), Snakemake alone, whose jobs go on
as orphans (`snakemake`), or Snakemake with all its jobs, as a power cut does (`all`). Every table
is compared byte by byte with the undisturbed run's: after each kill those that are there, in the
end all. It takes an hour or so, so no test runs it. With `--done` a run begins with what these
stages of the undisturbed run made, so that kills strike the stages after them:

    python tests/fault_campaign.py FOLDER late.tsv --kills 20 --each 20 \
        --done simulate samples samples.tsv cells.h5ad integration score
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

from emhniche.leftovers import leftovers
from small_project import make_project
from workflow import ROOT, command, snakemake, tables

KINDS = ("job", "snakemake", "all")
ARGS = ("--cores", "2", "--rerun-incomplete", "--retries", "50")
PAUSE = 20.0
"""A kill comes up to so many seconds after the job that it waited for."""


@dataclass(frozen=True)
class Project:
    """What is run: the folder of its results, its configuration, and what writes its inputs."""

    results: Path
    config: str
    make: Callable[[Path], Path]


def no_inputs(folder: Path) -> Path:
    """Make the folder of a run that simulates what it needs."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


PROJECTS = {
    "demo": Project(Path("results/demo"), str(ROOT / "config" / "config.yaml"), no_inputs),
    "small": Project(Path("results/planted"), "config.yaml", make_project),
}


def campaign(
    folder: Path, made: Project, *, done: list[str], kills: int, each: int, seed: int
) -> Iterator[dict]:
    """Make run after run until enough kills have struck, and yield a row for each kill and end."""
    chance = random.Random(seed)
    inputs = made.make(folder / "inputs")
    reference = folder / "undisturbed"
    if not (reference / made.results / "report" / "index.html").exists():
        shutil.copytree(inputs, reference, dirs_exist_ok=True)
        run = snakemake(reference, *ARGS, config=made.config)
        assert run.returncode == 0, run.stderr[-4000:]
    expected = tables(reference / made.results)
    struck, number = 0, 0
    while struck < kills:
        number += 1
        project = folder / f"run_{number}"
        shutil.rmtree(project, ignore_errors=True)
        shutil.copytree(inputs, project)
        for name in done:
            take(reference / made.results / name, project / made.results / name)
        if done:
            # the files that they were made from can be younger, in another checkout
            snakemake(project, "--touch", "--cores", "1", config=made.config)
        for row in disturbed_run(project, made.config, min(each, kills - struck), chance):
            struck += row["killed"] != "nothing"
            seen = compare(project / made.results, expected, row["killed"] == "nothing")
            yield {"run": number, **row, **seen}
        shutil.rmtree(project)


def take(source: Path, target: Path) -> None:
    """Copy a file or a folder with its times."""
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)


def compare(results: Path, expected: dict[str, bytes], ended: bool) -> dict[str, int]:
    """Count tables that are there, and those of other bytes than the undisturbed run's.

    A table that is absent or too many counts only once the run has ended.
    """
    found = tables(results)
    different = {name for name in found if found[name] != expected.get(name)}
    if ended:
        different |= expected.keys() - found.keys()
    left = len(leftovers(results))
    return {
        "tables": len(found),
        "of": len(expected),
        "different": len(different),
        "leftovers": left,
    }


def disturbed_run(project: Path, config: str, kills: int, chance: random.Random) -> Iterator[dict]:
    """Run a project to its end through kills at random moments; the last row is its end."""
    process, seen = start(project, config), set()
    for _ in range(kills):
        kind = chance.choices(KINDS, weights=(2, 1, 1))[0]
        row = strike(process, project, kind, chance, seen)
        if row is None:
            break
        if kind != "job":
            process.wait()
        yield row
        if kind != "job":
            done = snakemake(project, "--unlock", config=config)
            assert done.returncode == 0, done.stderr[-4000:]
            process = start(project, config)
    assert process.wait() == 0, (project / "run.log").read_text()[-4000:]
    yield {"killed": "nothing", "after_s": "", "scripts": ""}


def start(project: Path, config: str) -> subprocess.Popen:
    """Start the workflow in a session of its own."""
    with open(project / "run.log", "w") as log:
        return subprocess.Popen(
            command(project, *ARGS, config=config),
            cwd=project,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def strike(
    process: subprocess.Popen, project: Path, kind: str, chance: random.Random, seen: set[str]
) -> dict | None:
    """Kill what `kind` says at a random moment; None when the run ended before.

    Before it, one to three jobs must end that had not ended before (`seen`): a run gets on, however
    long its jobs are.
    """
    begun, wanted = time.monotonic(), len(seen) + chance.choice((1, 2, 3))
    moment = None
    while True:
        if process.poll() is not None:
            return None
        seen |= ended_jobs(project)
        if moment is None and len(seen) >= wanted:
            moment = time.monotonic() + chance.uniform(0, PAUSE)
        running = jobs(process)
        if moment is not None and time.monotonic() > moment and running:
            break
        time.sleep(0.2)
    names = sorted(name for name, _ in running)
    if kind == "job":
        name, job = chance.choice(running)
        names = [name]
        with suppress(psutil.NoSuchProcess):  # it ended just now
            job.kill()
    elif kind == "snakemake":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    seconds = round(time.monotonic() - begun, 1)
    return {"killed": kind, "after_s": seconds, "scripts": ", ".join(names)}


def ended_jobs(project: Path) -> set[str]:
    """Return the log of each job that has ended well."""
    ended = set()
    for log in (project / "logs").rglob("*.log"):
        with suppress(FileNotFoundError):  # the job begins again just now
            if log.read_text(encoding="utf-8").endswith("emhniche: done\n"):
                ended.add(str(log))
    return ended


def jobs(process: subprocess.Popen) -> list[tuple[str, psutil.Process]]:
    """Return script and process of each running job."""
    found = []
    try:
        for one in psutil.Process(process.pid).children():
            scripts = [word for word in one.cmdline() if "/.snakemake/scripts/" in word]
            found += [(Path(word).name.split(".")[1], one) for word in scripts]
    except psutil.NoSuchProcess:
        return []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the runs go")
    parser.add_argument("out", type=Path, help="table of the kills")
    parser.add_argument("--project", choices=PROJECTS, default="demo")
    parser.add_argument("--done", nargs="*", default=[], help="results that a run begins with")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--each", type=int, default=20, help="most kills of one run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = []
    settings = {"done": given.done, "kills": given.kills, "each": given.each, "seed": given.seed}
    for row in campaign(given.folder.resolve(), PROJECTS[given.project], **settings):
        rows.append(row)
        pd.DataFrame(rows).to_csv(given.out, sep="\t", index=False, lineterminator="\n")
    sys.exit(int(any(row["different"] for row in rows)))


if __name__ == "__main__":
    main()
