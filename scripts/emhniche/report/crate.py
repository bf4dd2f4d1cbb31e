"""Which files belong to a run, what made them, and are they still those?

``ro-crate-metadata.json`` makes the folder of a run an RO-Crate (Soiland-Reyes 2022,
doi 10.3233/DS-210053) of the profile Process Run Crate (Leo 2024, doi 10.1371/journal.pone.0309210;
both from memory): a description that others' tools read, with the sum of every file.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from emhniche.io import atomic_path, write_json, write_text
from emhniche.replay import CONFIG, FOLDER, STUDY
from emhniche.report.provenance import checksum

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
"""Where ``sha256`` is defined."""

HOME = "https://github.com/emh-niche/emh-niche"
KINDS = {
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/vnd.apache.parquet",
    ".h5ad": "application/x-hdf5",
    ".html": "text/html",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".yaml": "application/yaml",
}
"""Suffix -> media type."""


def write_inputs(
    folder: Path, files: Mapping[str, str], config: Mapping, study: Mapping | None
) -> None:
    """Write what a replay needs into a folder.

    Parameters
    ----------
    folder
        The folder ``inputs`` of the run.
    files
        Name -> file to copy (:func:`emhniche.replay.replay_files`).
    config
        The settings (:func:`emhniche.replay.replay_config`).
    study
        The simulated study, or None (:func:`emhniche.replay.replay_study`).
    """
    for name, path in files.items():
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(path, temporary)
    written = {CONFIG: config} | ({STUDY: study} if study else {})
    for name, settings in written.items():
        text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
        write_text(text, folder / name)


def write_crate(
    root: Path,
    *,
    given: Iterable[Path],
    results: Iterable[Path],
    title: str,
    provenance: Mapping,
    packages: Iterable[str],
) -> None:
    """Describe a run's folder as an RO-Crate.

    Parameters
    ----------
    root
        Folder of the run, with ``inputs``; ``ro-crate-metadata.json`` is written there.
    given
        Files of ``inputs``; see :func:`write_inputs`.
    results
        Files under `root` that the run made.
    title
        Title of the report.
    provenance
        What ``provenance.json`` says.
    packages
        Third-party packages to name with their versions, where `provenance` has them.
    """
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    crate.name = title
    crate.description = (
        f"Run '{provenance['config']['run']}' of emh-niche: what it was given ({FOLDER}), what it "
        "found, and the software that made it (provenance.json)."
    )
    crate.datePublished = provenance["written"]
    crate.license = crate.add(ContextEntity(crate, "#terms", properties=_TERMS_OF_USE))
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    crate.root_dataset["conformsTo"] = crate.add(ContextEntity(crate, PROFILE, properties=profile))
    given = [_file(crate, root, path) for path in sorted(set(given))]
    made = [_file(crate, root, path) for path in sorted(set(results))]
    action = crate.add_action(
        _software(crate, provenance, packages), identifier="#run", object=given, result=made
    )
    action["name"] = crate.description
    action["endTime"] = provenance["written"]
    action["actionStatus"] = {"@id": "http://schema.org/CompletedActionStatus"}
    crate.root_dataset["mentions"] = action
    write_json(crate.metadata.generate(), root / "ro-crate-metadata.json")


_TERMS_OF_USE = {
    "@type": "CreativeWork",
    "name": "Terms of the inputs",
    "description": "Counts and what follows from them stay under the terms of the datasets that "
    "they came from; the registry in the inputs names licence and citation of public files.",
}


def _file(crate: ROCrate, root: Path, path: Path) -> File:
    """Add a file that lies in the crate's folder."""
    properties = {
        "name": path.name,
        "contentSize": str(path.stat().st_size),
        "sha256": checksum(path),
    }
    if path.suffix in KINDS:
        properties["encodingFormat"] = KINDS[path.suffix]
    place = path.relative_to(root).as_posix()
    return crate.add_file(dest_path=place, properties=properties)


def _software(crate: ROCrate, provenance: Mapping, packages: Iterable[str]) -> ContextEntity:
    """Add the pipeline and the packages that it used."""
    versions = {"python": provenance["python"], **provenance["packages"]}
    used = []
    for name in sorted({"python", *packages}):
        if name in versions:
            properties = {
                "@type": "SoftwareApplication",
                "name": name,
                "softwareVersion": versions[name],
            }
            used.append(crate.add(ContextEntity(crate, f"#package-{name}", properties=properties)))
    pipeline = provenance["pipeline"]
    properties = {
        "@type": "SoftwareApplication",
        "name": "emh-niche",
        "softwareVersion": pipeline["version"],
        "url": HOME,
        "identifier": pipeline["git_commit"] or "no commit known",
    }
    software = crate.add(ContextEntity(crate, "#emh-niche", properties=properties))
    software["softwareRequirements"] = used
    return software
