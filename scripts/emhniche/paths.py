"""Where is each file of the sample sheet, and which samples share a file?

Pure functions of the sheet and the registry, light enough for the Snakefile to call.
"""

import hashlib
import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import pandas as pd

from emhniche.errors import InputError
from emhniche.sheet import is_url, split_list


def input_paths(sample: pd.Series, registry: pd.DataFrame) -> list[str]:
    """Return where the workflow finds the files of a sample.

    Parameters
    ----------
    sample
        One row of the sample sheet, with ``dataset`` and ``file``.
    registry
        The registry, indexed by ``file``.

    Returns
    -------
    list of str
        The first holds the counts, any other holds metadata. Registry files and urls are under
        ``<results>/raw/<dataset>/``, where ``fetch`` puts them; a path is used where it is.
    """
    return [
        f"<results>/raw/{sample['dataset']}/{file_name(entry)}"
        if entry in registry.index or is_url(entry)
        else entry
        for entry in split_list(sample["file"])
    ]


def file_name(entry: str) -> str:
    """Return the name under which an entry is kept once it is fetched."""
    if not is_url(entry):
        return entry
    return unquote(PurePosixPath(urlsplit(entry).path).name) or "download"


def file_group(sample: pd.Series) -> str:
    """Name the group of samples that are cut out of the same files, read in the same way.

    Parameters
    ----------
    sample
        One row of the sample sheet, with ``file`` and ``format``.

    Returns
    -------
    str
        Letters, digits, ``.``, ``-`` and ``_``: the name of the first file and a digest of all.
    """
    entries = split_list(sample["file"])
    digest = hashlib.sha256("\n".join([*entries, sample["format"]]).encode()).hexdigest()[:8]
    name = PurePosixPath(file_name(entries[0])).name
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '_', name)}-{digest}"


def group_sample(dataset: str, group: str, samples: pd.DataFrame) -> pd.Series:
    """Return the first sample of a dataset that is cut out of a group of files."""
    return next(
        row
        for _, row in samples[samples["dataset"] == dataset].iterrows()
        if file_group(row) == group
    )


def fetch_source(
    dataset: str, name: str, samples: pd.DataFrame, registry: pd.DataFrame
) -> dict[str, object]:
    """Return what ``fetch`` must know of one file.

    Parameters
    ----------
    dataset, name
        Folder and file name under ``raw/``.
    samples
        The sample sheet, with ``dataset`` and ``file``.
    registry
        The registry, indexed by ``file``: ``url``, ``bytes``, ``sha256``.

    Returns
    -------
    dict
        ``url``, ``size`` in bytes and ``sha256``; the last two are None for a url of the sheet,
        of which neither is known.

    Raises
    ------
    InputError
        When files that differ have the same name, so that one would overwrite the other.
    """
    entries = {
        entry
        for files in samples.loc[samples["dataset"] == dataset, "file"]
        for entry in split_list(files)
        if (entry in registry.index or is_url(entry)) and file_name(entry) == name
    }
    if len(entries) != 1:
        raise InputError(
            f"dataset {dataset}: file: {len(entries)} different files are named '{name}' "
            f"({', '.join(sorted(entries))}); give one of them another dataset"
        )
    entry = entries.pop()
    if is_url(entry):
        return {"url": entry, "size": None, "sha256": None}
    row = registry.loc[entry]
    return {"url": row["url"], "size": int(row["bytes"]), "sha256": row["sha256"]}
