"""What does it take to run a run again?

A folder ``inputs`` with the complete configuration, the sample sheet or the simulated study, the
registry, the gene lists and, where one is asked, the CellTypist model. Light enough for the
Snakefile to call.
"""

import copy
from pathlib import Path
from typing import Any

from emhniche.settings import STUDY_FILES, Run

FOLDER = "inputs"
CONFIG = "config.yaml"
STUDY = "study.yaml"


def replay_files(run: Run) -> dict[str, str]:
    """Name the files that a replay needs as they are.

    Parameters
    ----------
    run
        A checked run.

    Returns
    -------
    dict
        Name in the folder ``inputs`` -> the file. A table is called after its key in the
        configuration: two that lie in different folders under one name stay apart.
    """
    named = {"registry": run.config["registry"], **run.config["resources"]}
    if "celltypist" in run.config["annotate"]:
        named["celltypist"] = run.config["annotate"]["celltypist"]["model"]
    if run.study is None:
        named["samples"] = run.config["samples"]
    else:
        named |= {key: run.study.settings[key] for key in STUDY_FILES}
    return {f"{key}{Path(path).suffix}": str(path) for key, path in named.items()}


def replay_config(run: Run) -> dict[str, Any]:
    """Return the run's settings with every file led to the folder ``inputs``.

    Parameters
    ----------
    run
        A checked run.

    Returns
    -------
    dict
        A configuration that gives the same run where the working directory holds ``inputs``, and
        the files of the sample sheet where the sheet says. How files are fetched is left out: it
        changes nothing in them.
    """
    config = {key: copy.deepcopy(part) for key, part in run.config.items() if key != "fetch"}
    config["registry"] = _inside("registry", config["registry"])
    config["resources"] = {key: _inside(key, path) for key, path in config["resources"].items()}
    if "celltypist" in config["annotate"]:
        model = config["annotate"]["celltypist"]
        model["model"] = _inside("celltypist", model["model"])
    if run.study is None:
        config["samples"] = _inside("samples", config["samples"])
    else:
        config["simulate"] = f"{FOLDER}/{STUDY}"
    return config


def replay_study(run: Run) -> dict[str, Any] | None:
    """Return the settings of the simulated study with its files led to ``inputs``; None without."""
    if run.study is None:
        return None
    settings = copy.deepcopy(run.study.settings)
    return settings | {key: _inside(key, settings[key]) for key in STUDY_FILES}


def _inside(key: str, path: str) -> str:
    return f"{FOLDER}/{key}{Path(path).suffix}"
