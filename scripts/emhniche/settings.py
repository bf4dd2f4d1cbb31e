"""What is to be run: settings, samples and files, complete and checked?

The Snakefile calls :func:`load_run` each time it is read, so nothing heavy is imported here, and a
user's mistake ends the run before its first job.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from emhniche.celltypist_model import read_model
from emhniche.errors import InputError
from emhniche.known_answer_rows import load_checks
from emhniche.planting import check_places, check_plants
from emhniche.profiles import load_tables
from emhniche.resources import (
    load_ambient,
    load_ligand_receptor,
    load_lineages,
    load_panel,
    load_signatures,
)
from emhniche.response_sets import load_responses
from emhniche.schema import check, complete, nearest, read_schema
from emhniche.sheet import check_batch, check_files, read_registry, read_samples, sheet_columns
from emhniche.study import Study, read_study
from emhniche.truths import load_truths
from emhniche.verdict_limits import MEASURES

STUDY_FILES = ("truths", "profiles", "programmes", "cell_types")
"""Keys of a simulated study that name a file."""


@dataclass(frozen=True)
class Run:
    """A checked run.

    Attributes
    ----------
    name
        Name of the run, and of its folder in ``results``.
    config
        The settings with all defaults filled in. Paths lead to existing files.
    samples
        Samples, indexed by ``sample``; see :func:`emhniche.sheet.read_samples`.
    registry
        Public files, indexed by ``file``; see :func:`emhniche.sheet.read_registry`.
    images
        Container image of each purpose (:data:`emhniche.environments.PURPOSES` and ``APART``), as
        Snakemake wants it.
    study
        The simulated study, or None where the samples are real.
    truths
        What is planted in it, as plain values (:class:`emhniche.truths.Truth`).
    """

    name: str
    config: dict[str, Any]
    samples: pd.DataFrame
    registry: pd.DataFrame
    images: dict[str, str]
    study: Study | None = None
    truths: tuple[dict[str, Any], ...] = ()

    @property
    def species(self) -> str:
        """Species of all samples."""
        return self.samples["species"].iloc[0]

    @property
    def training(self) -> str:
        """Purpose of the environment that scVI trains in: without CUDA where it is refused."""
        wanted = self.config["integrate"]["scvi"]["accelerator"]
        return "scvi-cpu" if wanted == "cpu" else "scvi-gpu"

    @property
    def clustering(self) -> str:
        """Purpose of the environment that neighbours are searched in: with torch for a GPU."""
        return "scvi-gpu" if self.config["cluster"]["accelerator"] == "cuda" else "core"

    @property
    def layout(self) -> str:
        """Purpose of the environment that the map is laid out in: with RAPIDS for a GPU."""
        return "rapids" if self.config["cluster"]["layout_accelerator"] == "cuda" else "core"

    @property
    def sources(self) -> dict[str, str]:
        """Files that say what the samples are: the sheet, or the study and what it names."""
        if self.study is None:
            return {"samples": self.config["samples"]}
        named = {key: self.study.settings[key] for key in STUDY_FILES}
        return {"simulate": self.config["simulate"], **named}


def load_run(config: dict[str, Any], root: str | Path, source: str = "config") -> Run:
    """Complete and check a configuration and the tables that it names.

    Parameters
    ----------
    config
        What the configuration files and the command line give; left as it is.
    root
        Folder of the Snakefile. Schemas lie there, and files that are not in the working directory.
    source
        Name of the configuration in error messages.

    Returns
    -------
    Run
        Everything the rules need.

    Raises
    ------
    InputError
        At the first thing that is wrong, in one line.
    """
    root = Path(root)
    schemas = {
        name: read_schema(root / "workflow" / "schemas" / f"{name}.schema.yaml")
        for name in ("config", "samples", "datasets", "study", "truth")
    }
    settings = complete(config, schemas["config"])
    check(settings, schemas["config"], source)
    _check_settings(settings, source)
    given = "simulate" if "simulate" in settings else "samples"
    for key in (given, "registry"):
        settings[key] = _find(settings[key], root, f"{source}: {key}")
    for key, path in settings["resources"].items():
        settings["resources"][key] = _find(path, root, f"{source}: resources.{key}")
    asked = settings["annotate"].get("celltypist", {})
    if asked:
        asked["model"] = _find(asked["model"], root, f"{source}: annotate.celltypist.model")
        read_model(asked["model"], asked["sha256"])
    registry = read_registry(settings["registry"], schemas["datasets"])
    study, truths = _study(settings, root, schemas) if given == "simulate" else (None, ())
    if study:
        samples = study.sheet(simulated_counts(settings["run"]), schemas["samples"])
    else:
        samples = read_samples(settings["samples"], schemas["samples"])
        check_files(settings["samples"], samples, registry)
    check_batch(settings[given], samples, settings["integrate"]["batch_key"], source)
    _check_label_samples(settings, samples, source)
    settings["niche"]["contrasts"] = _contrasts(settings, config, samples, source)
    load_checks(settings["resources"]["known_answers"])
    settings["myeloid"]["signatures"] = _signatures(settings, config, samples, source)
    images = read_images(root / "envs/images.yaml")
    return Run(settings["run"], settings, samples, registry, images, study, truths)


def simulated_counts(run: str) -> str:
    """Return where the counts of a simulated run are, from the working directory."""
    return f"results/{run}/simulate/cohort.h5ad"


def _study(
    settings: dict[str, Any], root: Path, schemas: dict[str, Any]
) -> tuple[Study, tuple[dict[str, Any], ...]]:
    """Read the simulated study and its truths, and all that it names for its mistakes."""
    study = read_study(settings["simulate"], schemas["study"])
    for key in STUDY_FILES:
        study.settings[key] = _find(study.settings[key], root, f"{study.path}: {key}")
    path = study.settings["truths"]
    truths = load_truths(path, schemas["truth"])
    tables = {key: study.settings[key] for key in ("profiles", "programmes", "cell_types")}
    lineages = load_lineages(settings["resources"]["lineages"], "mouse")
    profiles, _, cell_types = load_tables(**tables, lineages=lineages)
    check_plants(truths, cell_types.index, profiles.index, path)
    check_places(truths, study, cell_types, path)
    return study, tuple(map(asdict, truths))


def read_images(path: str | Path) -> dict[str, str]:
    """Read the container image of each purpose.

    Parameters
    ----------
    path
        YAML: purpose to ``image`` (a name with its tag, or a local ``.sif`` or folder) and
        ``digest`` (``sha256:...``, or empty).

    Returns
    -------
    dict
        Purpose to what a rule's ``container:`` takes.
    """
    images = {}
    for purpose, entry in yaml.safe_load(Path(path).read_text(encoding="utf-8")).items():
        if Path(entry["image"]).exists():
            images[purpose] = entry["image"]
        else:
            digest = f"@{entry['digest']}" if entry["digest"] else ""
            images[purpose] = f"docker://{entry['image']}{digest}"
    return images


def _find(path: str, root: Path, where: str) -> str:
    """Return `path` where it exists: in the working directory, else beside the Snakefile."""
    if Path(path).is_file():
        return path
    if (root / path).is_file():
        return str(root / path)
    raise InputError(f"{where}: '{path}' does not exist; name an existing file")


def _check_settings(settings: dict[str, Any], source: str) -> None:
    """Refuse settings that are allowed one by one but not together."""
    if ("samples" in settings) == ("simulate" in settings):
        wrong = "both are given" if "samples" in settings else "missing"
        raise InputError(
            f"{source}: samples, simulate: {wrong}; give `samples`, a sample sheet, or `simulate`, "
            "a simulated study"
        )
    integrate = settings["integrate"]
    if integrate["primary"] not in integrate["methods"]:
        raise InputError(
            f"{source}: integrate.primary: '{integrate['primary']}' is not among "
            f"integrate.methods; use one of: {', '.join(integrate['methods'])}"
        )
    for name, limits in settings["qc"].items():
        if isinstance(limits, dict) and limits.get("floor", 0) > limits.get("ceiling", 0):
            raise InputError(
                f"{source}: qc.{name}: floor {limits['floor']} is above ceiling "
                f"{limits['ceiling']}; floor must be the smaller one"
            )
    for name, limits in settings["qc"]["verdict"].items():
        more_is_worse = MEASURES[name][1]
        if (limits["fail"] < limits["warn"]) == more_is_worse and limits["fail"] != limits["warn"]:
            side = "below" if more_is_worse else "above"
            raise InputError(
                f"{source}: qc.verdict.{name}: fail {limits['fail']} is {side} warn "
                f"{limits['warn']}; a library must be warned of before it fails"
            )


def _check_label_samples(settings: dict[str, Any], samples: pd.DataFrame, source: str) -> None:
    """Refuse samples that cannot lend their labels, and scANVI where no sample has any."""
    if "scanvi" in settings["integrate"]["methods"] and not samples["labels"].astype(bool).any():
        raise InputError(
            f"{source}: integrate.methods: scanvi learns from labels, and no sample has any; name "
            "their column in `labels` of the sheet, or leave scanvi out"
        )
    lent = settings["annotate"]["label_samples"]
    if lent and settings["integrate"]["primary"] == "scanvi":
        raise InputError(
            f"{source}: annotate.label_samples: integrate.primary is scanvi, so space, clusters "
            "and names have learnt from the labels that they are to be compared with; make scvi "
            "primary, or name no sample"
        )
    for name in lent:
        where = f"{source}: annotate.label_samples: '{name}'"
        if name not in samples.index:
            raise InputError(f"{where} is no sample; {nearest(name, samples.index)}")
        if not samples.loc[name, "labels"]:
            raise InputError(f"{where} has no labels; name its column in `labels` of the sheet")


def _is_given(config: dict[str, Any], section: str, key: str) -> bool:
    return key in (config.get(section) or {})


def _contrasts(
    settings: dict[str, Any], config: dict[str, Any], samples: pd.DataFrame, source: str
) -> list[dict[str, Any]]:
    """Return the contrasts, whose columns and levels the samples must have; a default may go."""
    contrasts = settings["niche"]["contrasts"]
    if not _is_given(config, "niche", "contrasts"):
        return [
            contrast
            for contrast in contrasts
            if {contrast["test"], contrast["reference"]} <= set(samples[contrast["factor"]])
        ]
    names = [contrast["name"] for contrast in contrasts]
    for position, contrast in enumerate(contrasts):
        where = f"{source}: niche.contrasts[{position}] '{contrast['name']}'"
        if names.count(contrast["name"]) > 1:
            raise InputError(f"{where}: name used twice; give every contrast its own")
        if contrast["test"] == contrast["reference"]:
            raise InputError(f"{where}: test and reference are both '{contrast['test']}'; name two")
        chosen = samples
        for column, level in contrast["subset"].items():
            chosen = chosen[_levels(chosen, column, [level], f"{where}: subset") == level]
        wanted = [contrast["test"], contrast["reference"]]
        _levels(chosen, contrast["factor"], wanted, f"{where}: factor")
        if "interaction" in contrast:
            _interaction(contrast, chosen, where)
    return contrasts


def _interaction(contrast: dict[str, Any], chosen: pd.DataFrame, where: str) -> None:
    """Refuse a second factor that the samples do not have, or that is no second one."""
    second, where = contrast["interaction"], f"{where}: interaction"
    if second["factor"] == contrast["factor"]:
        raise InputError(
            f"{where}: factor is '{second['factor']}' as in the contrast; name another column"
        )
    if second["test"] == second["reference"]:
        raise InputError(f"{where}: test and reference are both '{second['test']}'; name two")
    _levels(chosen, second["factor"], [second["test"], second["reference"]], where)


def _levels(samples: pd.DataFrame, column: str, wanted: list[str], where: str) -> pd.Series:
    """Return a column of the samples, which must hold every wanted level."""
    if column not in sheet_columns(samples):
        hint = nearest(column, sheet_columns(samples))
        raise InputError(f"{where}: the sample sheet has no column '{column}'; {hint}")
    levels = samples[column].astype(str)
    for level in wanted:
        if level not in set(levels):
            hint = _which(level, levels)
            raise InputError(f"{where}: no sample has '{column}' = '{level}'; {hint}")
    return levels


def _which(level: str, levels: pd.Series) -> str:
    """Say which level could have been meant, or that the column has none."""
    if (levels == "").all():
        return f"the column is empty in the {len(levels)} samples asked; name one that is filled in"
    return nearest(level, levels.unique())


def _signatures(
    settings: dict[str, Any], config: dict[str, Any], samples: pd.DataFrame, source: str
) -> list[str]:
    """Read the gene tables for their mistakes; return the myeloid sets that the species has."""
    paths, species = settings["resources"], samples["species"].iloc[0]
    panel = load_panel(paths["panel"], species)
    load_ligand_receptor(paths["ligand_receptor"], species, panel)
    load_responses(paths["responses"], species, panel)
    load_lineages(paths["lineages"], species)
    load_ambient(paths["ambient"], species)
    known = load_signatures(paths["signatures"], species)["set"].unique()
    names = settings["myeloid"]["signatures"]
    for name in names:
        if name not in known and _is_given(config, "myeloid", "signatures"):
            raise InputError(
                f"{source}: myeloid.signatures: {paths['signatures']} has no {species} set "
                f"'{name}'; {nearest(name, known)}"
            )
    return [name for name in names if name in known]
