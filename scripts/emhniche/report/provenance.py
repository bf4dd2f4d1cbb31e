"""Which code, settings, files and machine made this run?

``provenance.json`` is a record of one run on one machine, so it is not the same bytes twice; all
other files of a run are.
"""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import distributions, version
from pathlib import Path

import h5py
import pandas as pd
from anndata.io import read_elem

from emhniche.surroundings import surroundings


def collect_provenance(
    *,
    config: Mapping,
    samples: pd.DataFrame,
    sources: Mapping[str, str],
    registry: pd.DataFrame,
    counts: Mapping[str, Path],
    device: Mapping[str, str | None] | None,
    commit: str | None,
) -> dict:
    """Record what a run was made with.

    Parameters
    ----------
    config
        The run's settings, with defaults.
    samples
        The sample sheet, indexed by sample.
    sources
        Key of a setting -> file, for the files that say what the samples are.
    registry
        The dataset registry, indexed by file.
    counts
        Sample -> its ``counts.h5ad``, which holds the sums of the files that were read.
    device
        What the trained method of integration asked for and used
        (:class:`emhniche.integrate.Integration`); None where nothing was trained.
    commit
        Commit of the pipeline (:func:`emhniche.code.git_commit`); None where it is not known.

    Returns
    -------
    dict
        ``pipeline`` (version, commit), ``python``, ``packages``, ``seed``, ``config``, ``inputs``
        (what the samples are, gene lists, registry rows used, files read by each sample),
        ``accelerator`` (of the training; null without one), ``hardware`` (of the machine that wrote
        this), ``system`` (its kernel), ``surroundings`` (operating system and image that this was
        written in, :func:`emhniche.surroundings.surroundings`) and ``written`` (time).
    """
    return {
        "pipeline": {
            "name": "emhniche",
            "version": version("emhniche"),
            "git_commit": commit,
        },
        "python": platform.python_version(),
        "packages": package_versions(),
        "seed": config["seed"],
        "config": config,
        "inputs": {
            "sources": _summed(sources),
            "resources": _summed(config["resources"]),
            "registry": registry_rows(samples, registry),
            "files_read": {sample: files_read(path) for sample, path in counts.items()},
        },
        "accelerator": device,
        "hardware": hardware(),
        "system": f"{platform.system()} {platform.release()}",
        "surroundings": surroundings(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def package_versions() -> dict[str, str]:
    """Return the version of every installed Python package, by its normalised name.

    Of one that is there twice (in an image, and behind it where Snakemake runs), the one that an
    import takes: the first on the path.
    """
    found = {}
    for one in distributions():
        name = one.metadata["Name"]
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), one.version)
    return dict(sorted(found.items()))


def registry_rows(samples: pd.DataFrame, registry: pd.DataFrame) -> list[dict]:
    """Return the registry's rows of the files that the sample sheet names."""
    named = {file for files in samples["file"] for file in str(files).split(";")}
    used = registry[registry.index.isin(named)].rename_axis("file").reset_index()
    return used.to_dict("records")


def files_read(counts: Path) -> list[dict]:
    """Return name and sha256 of the files a sample was read from, as ingest recorded them.

    Parameters
    ----------
    counts
        The sample's ``counts.h5ad``.
    """
    with h5py.File(counts, "r") as file:
        recorded = read_elem(file["uns/ingest"]).get("files", {})
    table = pd.DataFrame(recorded)
    return table.astype(str).to_dict("records")


def checksum(path: str | Path) -> str:
    """Return a file's sha256 in hexadecimal digits."""
    return sha256(Path(path).read_bytes()).hexdigest()


def _summed(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"path": path, "sha256": checksum(path)} for name, path in files.items()}


def hardware() -> dict[str, object]:
    """Return the machine's processor, cores, memory (GiB) and GPU."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        match = re.search(
            r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE
        )
        model = match.group(1) if match else model
    memory = None
    if "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return {
        "cpu": model,
        "cores": os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count(),
        "memory_gib": memory,
        "gpu": gpu_name(),
    }


def gpu_name() -> str | None:
    """Return the name of the first NVIDIA GPU; None without one."""
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return names.splitlines()[0] if names else None


def _output(*command: str) -> str | None:
    """Run a command and return what it prints; None when it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
