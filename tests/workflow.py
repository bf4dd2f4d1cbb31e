"""Running Snakemake on a project folder, as a user would."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
MARKS = ("OPENBLAS_CORETYPE", "PATH", "HOME", "LANG", "TMPDIR")


def command(folder: Path, *args: str, config: str = "config.yaml") -> list[str]:
    """Return the call that runs the workflow in `folder` with its own configuration."""
    return [*SNAKEMAKE, "--directory", str(folder), "--configfile", str(folder / config), *args]


def snakemake(folder: Path, *args: str, config: str = "config.yaml", **environment: str):
    """Run the workflow and return the finished process, with its output as text."""
    return finish(command(folder, *args, config=config), folder, environment)


def run_snakemake(folder: Path, *args: str, **environment: str):
    """Run the Snakefile that lies in `folder`, as its author would."""
    return finish([sys.executable, "-m", "snakemake", *args], folder, environment)


def finish(words: list[str], folder: Path, environment: dict[str, str]):
    """Run a command in a folder and return the finished process, with its output as text."""
    return subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=2400,
    )


def kill_when(folder: Path, seen: Path, *args: str) -> None:
    """Start the workflow and kill it and all its jobs, without warning, once `seen` exists."""
    process = subprocess.Popen(
        command(folder, *args),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 600
        while not seen.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.poll() is None, "the workflow ended before it could be killed"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def without_network() -> list[str]:
    """Return the words that leave a command no network; none where that is not allowed."""
    words = ["unshare", "--net"]
    try:
        allowed = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    return words if allowed else []


def tables(results: Path) -> dict[str, bytes]:
    """Return the bytes of every table of a run."""
    return {
        str(path.relative_to(results)): path.read_bytes()
        for kind in ("*.tsv", "*.parquet", "*.npz", "qc.json")
        for path in sorted(results.rglob(kind))
        if "raw" not in path.relative_to(results).parts
    }
