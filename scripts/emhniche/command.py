"""The command ``emhniche``: begin a project, check it, run it.

``emhniche init FOLDER``, ``emhniche check CONFIG``, ``emhniche run CONFIG``. It needs the Snakefile
and what lies beside it: the clone, or the copy that an installed package carries.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from emhniche import __version__
from emhniche.errors import InputError
from emhniche.settings import Run, load_run
from emhniche.starter import start_project

PACKED = "emhniche_pipeline"
"""Folder beside the installed package that holds the Snakefile and all that it needs."""


def pipeline_folder() -> Path:
    """Return the folder of the Snakefile: the clone, or what was installed with this package.

    Returns
    -------
    pathlib.Path
        An absolute path.

    Raises
    ------
    InputError
        When there is none.
    """
    package = Path(__file__).resolve().parent
    for folder in (package.parents[1], package.parent / PACKED):
        if (folder / "Snakefile").is_file() and (folder / "workflow" / "rules").is_dir():
            return folder
    raise InputError(
        f"{package}: no Snakefile beside it; run `emhniche` from a clone (uv run emhniche) or "
        "install the released package"
    )


def read_config(path: str | Path) -> dict:
    """Read a configuration file.

    Parameters
    ----------
    path
        YAML with a section of keys.

    Returns
    -------
    dict
        What it says.

    Raises
    ------
    InputError
        When it is not there or cannot be read.
    """
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; name a configuration, or make one with `emhniche init`"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" line {place.line + 1}:" if place else ""
        problem = getattr(error, "problem", None) or "not text"
        raise InputError(
            f"{path}:{line} no YAML ({problem}); keys of one section stand below each other"
        ) from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: holds no keys; begin with `run:` and `samples:`")
    return config


def verdicts(run: Run, config: str | Path) -> Iterator[str]:
    """Say in lines what was checked and what a run would compare.

    Parameters
    ----------
    run
        The checked run.
    config
        Name of its configuration.

    Yields
    ------
    str
        One line for each table and each contrast.
    """
    samples = run.samples
    known = samples.loc[samples["donor_known"], "donor"].nunique()
    yield f"{config}: good; run '{run.name}', results go to results/{run.name}"
    yield (
        f"{next(iter(run.sources.values()))}: good; {len(samples)} {run.species} samples of "
        f"{known} known donors, {', '.join(samples['tissue'].unique())}"
    )
    yield f"{run.config['registry']}: good; {len(run.registry)} public files"
    for name, path in run.config["resources"].items():
        yield f"{path}: found ({name})"
    for contrast in run.config["niche"]["contrasts"]:
        yield _contrast(run, contrast)
    if not run.config["niche"]["contrasts"]:
        yield "niche.contrasts: none; nothing will be compared"


def _contrast(run: Run, contrast: dict) -> str:
    """Count the donors on both sides of a contrast."""
    chosen = run.samples[run.samples["donor_known"]]
    for column, level in contrast["subset"].items():
        chosen = chosen[chosen[column].astype(str) == level]
    sides = [
        chosen.loc[chosen[contrast["factor"]].astype(str) == contrast[side], "donor"].nunique()
        for side in ("test", "reference")
    ]
    return (
        f"contrast {contrast['name']}: {sides[0]} known donors of {contrast['test']}, "
        f"{sides[1]} of {contrast['reference']}"
    )


def call_snakemake(config: str, *, profile: str, cores: str, further: Sequence[str]) -> int:
    """Run the workflow in the working directory.

    Parameters
    ----------
    config
        The configuration file.
    profile
        A folder of ``profiles``, or a path to a profile of your own.
    cores
        Number of cores, or ``all``.
    further
        Words handed on to Snakemake.

    Returns
    -------
    int
        Snakemake's exit status.

    Raises
    ------
    InputError
        When there is no such configuration or profile.
    """
    read_config(config)
    root = pipeline_folder()
    folder = root / "profiles" / profile
    if not (folder / "config.yaml").is_file():
        folder = Path(profile)
    if not (folder / "config.yaml").is_file():
        known = sorted(path.parent.name for path in (root / "profiles").glob("*/config.yaml"))
        raise InputError(
            f"--profile: no '{profile}'; use one of {', '.join(known)}, or a folder with a "
            "config.yaml"
        )
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
    words += ["--configfile", config, "--workflow-profile", str(folder)]
    words += ["--cores", cores] if cores else []
    return subprocess.run([*words, *further], check=False).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emhniche", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"emhniche {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="write a configuration and a sample sheet to edit")
    init.add_argument("folder", help="folder of the new project")
    check = commands.add_parser("check", help="say whether a configuration and its tables are good")
    check.add_argument("config", help="configuration file")
    run = commands.add_parser(
        "run", help="run it in the working directory; further words go to Snakemake (-n, --until)"
    )
    run.add_argument("config", help="configuration file")
    run.add_argument("--profile", default="default", help="default, slurm, gpu, or a folder")
    run.add_argument("--cores", default="", help="cores to use (default: what the profile says)")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit status."""
    given, further = _parser().parse_known_args(words)
    if further and given.command != "run":
        _parser().error(f"unrecognized arguments: {' '.join(further)}")
    try:
        if given.command == "init":
            for path in start_project(given.folder, pipeline_folder()):
                print(f"{path}: written; edit it")
            return 0
        if given.command == "check":
            run = load_run(read_config(given.config), pipeline_folder(), given.config)
            print("\n".join(verdicts(run, given.config)))
            return 0
        return call_snakemake(
            given.config, profile=given.profile, cores=given.cores, further=further
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
