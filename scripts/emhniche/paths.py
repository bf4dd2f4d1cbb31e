"""Where is each file of the sample sheet, and which samples share a file?

Pure functions of the sheet and the registry, light enough for the Snakefile to import.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import pandas as pd

from emhniche.errors import InputError

_URL = re.compile(r"(?:https?|ftp|file)://")


def split_files(entry: str) -> list[str]:
    """Return the files that one ``file`` field of the sheet names, in order."""
    return [part.strip() for part in str(entry).split(";") if part.strip()]


def is_url(entry: str) -> bool:
    """Tell whether an entry is a url."""
    return bool(_URL.match(entry))


def input_paths(sample: Mapping[str, object], registry: pd.DataFrame) -> list[str]:
    """Return where the workflow finds the files of a sample.

    Parameters
    ----------
    sample
        One row of the sample sheet, with ``dataset`` and ``file``.
    registry
        Rows of the registry, with ``dataset`` and ``file``.

    Returns
    -------
    list of str
        The first holds the counts, any other holds metadata. Registry files and urls are under
        ``<results>/raw/<dataset>/``, where ``fetch`` puts them; a path is itself.
    """
    return [
        f"<results>/raw/{sample['dataset']}/{file_name(entry)}"
        if is_url(entry) or entry in set(registry["file"])
        else entry
        for entry in split_files(sample["file"])
    ]


def file_name(entry: str) -> str:
    """Return the name of a file after it is fetched."""
    if is_url(entry):
        return unquote(PurePosixPath(urlsplit(entry).path).name) or "download"
    return entry


def file_group(sample: Mapping[str, object]) -> str:
    """Name the group of samples that are cut out of the same files, read in the same way.

    Returns
    -------
    str
        Letters, digits, ``.``, ``-`` and ``_``: the name of the first file and a digest of all.
    """
    entry = ";".join(split_files(sample["file"]))
    digest = hashlib.sha256(f"{entry}|{sample['format']}".encode()).hexdigest()[:8]
    stem = PurePosixPath(file_name(split_files(entry)[0])).name
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '_', stem)}-{digest}"


def fetch_source(
    dataset: str, name: str, samples: Iterable[Mapping[str, object]], registry: pd.DataFrame
) -> dict[str, object]:
    """Return what ``fetch`` must know of one file.

    Parameters
    ----------
    dataset, name
        The folder and file name under ``raw/``.
    samples
        Rows of the sample sheet.
    registry
        Rows of the registry: ``dataset``, ``file``, ``url``, ``bytes``, ``sha256``.

    Returns
    -------
    dict
        ``url`` (str), ``size`` in bytes and ``sha256`` (None when not known, as for a url that
        the sheet names).

    Raises
    ------
    InputError
        When neither the registry nor a url of the sheet has such a file, or both have different.
    """
    listed = registry[registry["file"] == name]
    if (listed["dataset"] == dataset).any():
        listed = listed[listed["dataset"] == dataset]
    urls = {
        entry
        for sample in samples
        if sample["dataset"] == dataset
        for entry in split_files(sample["file"])
        if is_url(entry) and file_name(entry) == name
    }
    if len(listed) + len(urls) != 1:
        raise InputError(
            f"{dataset}/{name}: {len(listed)} registry rows and {len(urls)} urls of the sample "
            "sheet have this file name; exactly one is needed"
        )
    if urls:
        return {"url": urls.pop(), "size": None, "sha256": None}
    row = listed.iloc[0]
    return {"url": row["url"], "size": int(row["bytes"]), "sha256": row["sha256"]}
