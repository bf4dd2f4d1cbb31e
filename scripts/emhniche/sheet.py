"""Which samples does the run have, and which public files may they name?

Reads the sample sheet and the registry of files, fills in what follows from the rest (niche, batch,
donor), and refuses, in one line, what later stages could only stumble over.
"""

import csv
import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from emhniche.errors import InputError
from emhniche.loading import is_10x
from emhniche.schema import check, complete, nearest

WRITTEN_BY_THE_PIPELINE = (
    *("barcode", "cell_id", "label", "lineage", "cell_type", "confidence", "cluster"),
    *("n_counts", "n_genes", "pct_mito", "pct_ribo", "pct_hb", "complexity"),
    *("stress_score", "s_score", "g2m_score", "phase", "fingerprint"),
    *("doublet_score", "ambient", "qc_lineage", "keep", "reason", "donor_known"),
)
"""Columns of the cells that a further column of the sheet may not be called."""

OF_THE_FILE = ("file", "format", "select", "labels", "keep_failed")
"""Columns that say what to do with a file; the cells do not carry them."""

NEVER_A_BATCH = ("tissue", "niche", "condition", "arm")
"""What a run compares: integration over one of these would erase it."""


def read_samples(path: str | Path, schema: dict[str, Any]) -> pd.DataFrame:
    """Read, complete and check the sample sheet.

    Parameters
    ----------
    path
        Tab-separated file with a header and one row a sample.
    schema
        Schema of a row (``workflow/schemas/samples.schema.yaml``).

    Returns
    -------
    pandas.DataFrame
        Samples, in the order of the sheet, indexed by ``sample``. All columns of the schema and any
        further ones, as text with ``""`` for not known, and ``donor_known`` (bool). An unknown
        donor is called ``unknown:<sample>``.

    Raises
    ------
    InputError
        When something is wrong with the sheet.
    """
    columns = list(schema["properties"])
    rows = list(_read_rows(path, schema, known=columns, name="sample"))
    return complete_samples(path, pd.DataFrame(rows, dtype=str), schema)


def complete_samples(
    path: str | Path, samples: pd.DataFrame, schema: dict[str, Any]
) -> pd.DataFrame:
    """Fill in what follows from the rest of the samples, and refuse what contradicts itself.

    Parameters
    ----------
    path
        Where the samples come from, for the message.
    samples
        Checked rows with every column of the schema, as text.
    schema
        Schema of a row.

    Returns
    -------
    pandas.DataFrame
        As :func:`read_samples` returns it.

    Raises
    ------
    InputError
        When two rows, or a row and a column, contradict each other.
    """
    columns = list(schema["properties"])
    further = [column for column in samples if column not in columns]
    for column in further:
        if column in WRITTEN_BY_THE_PIPELINE:
            raise InputError(
                f"{path}: column '{column}': the pipeline writes it; give yours another name"
            )
    samples = samples[columns + further].set_index("sample")
    _refuse_repeats(path, samples.index.tolist(), "sample")
    _refuse_mixed(path, samples)
    _refuse_same_barcodes(path, samples)
    samples["niche"] = _niches(path, samples, schema["properties"]["tissue"]["x-niche"])
    samples["donor_known"] = samples["donor"] != ""
    names = samples.index.to_series()
    samples["donor"] = samples["donor"].where(samples["donor_known"], "unknown:" + names)
    samples["batch"] = samples["batch"].where(samples["batch"] != "", names)
    samples["study"] = samples["study"].where(samples["study"] != "", samples["dataset"])
    for name, row in samples.iterrows():
        _check_select(row["select"], f"{path}: sample '{name}': select")
        _check_loaded(row, f"{path}: sample '{name}': cells_loaded")
        if re.search(r"[=;]", row["labels"]):
            raise InputError(
                f"{path}: sample '{name}': labels: '{row['labels']}' is not a column name; "
                "give the one metadata column that holds the cell types"
            )
    return samples


def read_registry(path: str | Path, schema: dict[str, Any]) -> pd.DataFrame:
    """Read and check the registry of public files.

    Parameters
    ----------
    path
        Tab-separated file with a header and one row a file.
    schema
        Schema of a row (``workflow/schemas/datasets.schema.yaml``).

    Returns
    -------
    pandas.DataFrame
        Files, indexed by ``file``: the columns of the schema, ``bytes`` as integer.

    Raises
    ------
    InputError
        When a row is malformed or a file is named twice.
    """
    rows = list(_read_rows(path, schema, known=list(schema["properties"]), name="file"))
    registry = pd.DataFrame(rows).set_index("file")
    _refuse_repeats(path, registry.index.tolist(), "file")
    return registry


def check_files(path: str | Path, samples: pd.DataFrame, registry: pd.DataFrame) -> None:
    """Raise when a sample names a file that no one could find.

    Parameters
    ----------
    path
        The sample sheet, for the message.
    samples
        Result of :func:`read_samples`.
    registry
        Result of :func:`read_registry`.

    Raises
    ------
    InputError
        When a name is not in the registry, not a url and not an existing path, or is a url with a
        password in it.
    """
    for sample, text in samples["file"].items():
        where = f"{path}: sample '{sample}': file"
        if not split_list(text):
            raise InputError(f"{where}: names no file; name the one that holds the counts")
        for name in split_list(text):
            if is_url(name) and "@" in name.split("/")[2]:
                raise InputError(
                    f"{where}: a url holds a user name or a password, which logs and records would "
                    "show; fetch that file yourself and name its path"
                )
            if name in registry.index or is_url(name) or Path(name).exists():
                continue
            hint = nearest(Path(name).name, registry.index)
            raise InputError(
                f"{where}: '{name}' is no file of the registry, no url and no existing path; {hint}"
            )


def sheet_columns(samples: pd.DataFrame) -> list[str]:
    """Return the columns of the samples that a configuration may name.

    Parameters
    ----------
    samples
        Result of :func:`read_samples`.

    Returns
    -------
    list of str
        All but those that only the pipeline knows.
    """
    return [column for column in samples if column not in WRITTEN_BY_THE_PIPELINE]


def check_batch(path: str | Path, samples: pd.DataFrame, key: str, source: str) -> None:
    """Raise when integration over `key` would erase what the run compares.

    Parameters
    ----------
    path
        The sample sheet, for the message.
    samples
        Result of :func:`read_samples`.
    key
        The batch column (``integrate.batch_key``).
    source
        Name of the configuration, for the message.

    Raises
    ------
    InputError
        When `key` is no column, is a tissue, niche, condition or arm, or groups the samples just as
        one of these does although the samples are finer than that.
    """
    right = "use the library (leave the column 'batch' empty) or what was processed together"
    if key in NEVER_A_BATCH:
        raise InputError(f"{source}: integrate.batch_key: {key} must never be a batch; {right}")
    if key in OF_THE_FILE:
        raise InputError(f"{source}: integrate.batch_key: {key} describes a file; {right}")
    if key not in sheet_columns(samples):
        hint = nearest(key, sheet_columns(samples))
        raise InputError(f"{source}: integrate.batch_key: {path} has no column '{key}'; {hint}")
    groups = _partition(samples[key])
    for factor in NEVER_A_BATCH:
        if 1 < len(groups) < len(samples) and groups == _partition(samples[factor]):
            raise InputError(
                f"{path}: column '{key}': its groups are the {factor}s, and {factor} must never be "
                f"a batch; {right}"
            )


def parse_select(text: str) -> list[tuple[str, str, str]]:
    """Read a selection of barcodes.

    Parameters
    ----------
    text
        Conditions ``column == value`` or ``column != value``, joined by ``;``.

    Returns
    -------
    list of (str, str, str)
        Column, operator and value of each condition; all must hold. Quotes round a value go.

    Raises
    ------
    InputError
        When a condition has another form.
    """
    conditions = []
    for part in split_list(text):
        match = re.fullmatch(r"([^=!<>]+?)\s*(==|!=)\s*([^=!<>].*)", part)
        if match is None:
            raise InputError(f"'{part}' is no condition; write column == value or column != value")
        column, operator, value = match.groups()
        conditions.append((column, operator, re.sub(r"""^(["'])(.*)\1$""", r"\2", value)))
    return conditions


def split_list(text: str) -> list[str]:
    """Split a field that lists several things with ``;``, leaving out empty ones."""
    return [part.strip() for part in text.split(";") if part.strip()]


def is_url(name: str) -> bool:
    """Tell whether a file is named by a url."""
    return re.match(r"(https?|ftp)://", name) is not None


def _read_rows(
    path: str | Path, schema: dict[str, Any], *, known: list[str], name: str
) -> Iterator[dict[str, Any]]:
    """Yield the checked rows of a table, with defaults for empty fields."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; name an existing tab-separated table")
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            table = [[field.strip() for field in row] for row in csv.reader(lines, delimiter="\t")]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a text table ({error}); save it as UTF-8 TSV") from None
    table = [(number, row) for number, row in enumerate(table, start=1) if any(row)]
    if not table:
        raise InputError(f"{path}: empty; the first line must name the columns")
    header = table[0][1]
    _check_header(path, header, known, schema["required"])
    if len(table) == 1:
        raise InputError(f"{path}: it has a header and no row; give one row a {name}")
    for number, fields in table[1:]:
        if len(fields) != len(header):
            raise InputError(
                f"{path}: line {number}: {len(fields)} fields under {len(header)} columns; "
                "separate fields by one tab, also empty ones"
            )
        given = {column: field for column, field in zip(header, fields, strict=True) if field}
        row = complete(given, schema)
        check(
            row,
            schema,
            f"{path}: {name} '{given[name]}'" if name in given else f"{path}: line {number}",
        )
        yield {column: row.get(column, "") for column in dict.fromkeys(known + header)}


def _check_header(path: str | Path, header: list[str], known: list[str], needed: list[str]) -> None:
    """Refuse a table that isn't tab-separated, and missing, repeated or misspelled columns."""
    if len(header) == 1 and re.search(r"[,;]", header[0]):
        raise InputError(f"{path}: line 1: one column only; separate the columns by tabs")
    _refuse_repeats(path, header, "column")
    for column in header:
        meant = _meant(column, [name for name in known if name not in header])
        if column not in known and meant:
            raise InputError(f"{path}: column '{column}': unknown; did you mean '{meant}'?")
        if not column:
            raise InputError(f"{path}: line 1: a column has no name; name it or remove it")
    for column in needed:
        if column not in header:
            raise InputError(
                f"{path}: column '{column}' is missing; the table needs {', '.join(needed)}"
            )


def _meant(column: str, absent: list[str]) -> str | None:
    """Return the absent column that `column` is a misspelling of, if any."""
    plain = re.sub(r"[\s_.-]", "", column.lower())
    plain = re.sub(r"(id|name)$", "", plain) or plain
    matches = difflib.get_close_matches(plain, absent, n=1, cutoff=0.8)
    return matches[0] if matches else None


def _refuse_repeats(path: str | Path, names: list[str], what: str) -> None:
    repeats = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeats:
        raise InputError(
            f"{path}: {what} '{repeats[0]}': named {names.count(repeats[0])} times; "
            f"every {what} needs a name of its own"
        )


def _refuse_mixed(path: str | Path, samples: pd.DataFrame) -> None:
    """Refuse a second species, and a donor of two species or sexes."""
    species = samples["species"].unique()
    if len(species) > 1:
        odd = samples.index[samples["species"] == species[1]][0]
        raise InputError(
            f"{path}: sample '{odd}': species: {species[1]} in a run of {species[0]}; "
            "make one run for each species"
        )
    known = samples[(samples["donor"] != "") & (samples["sex"] != "")]
    for donor, sexes in known.groupby("donor", sort=False)["sex"]:
        if sexes.nunique() > 1:
            raise InputError(
                f"{path}: donor '{donor}': both {' and '.join(sexes.unique())}; "
                "name every donor uniquely over all datasets"
            )


def _refuse_same_barcodes(path: str | Path, samples: pd.DataFrame) -> None:
    """Refuse two samples that are the same cells, which would count twice."""
    cells = samples["file"] + "\t" + samples["select"]
    for again in samples.index[cells.duplicated()]:
        first = samples.index[cells == cells[again]][0]
        raise InputError(
            f"{path}: sample '{again}': same file and selection as sample '{first}'; "
            "give each its own `select`, or remove one"
        )


def _niches(path: str | Path, samples: pd.DataFrame, of_tissue: dict[str, str]) -> pd.Series:
    """Return each sample's niche: as given, or as it follows from the tissue."""
    derived = samples["tissue"].map(lambda tissue: of_tissue.get(tissue, ""))
    for name, row in samples.iterrows():
        if row["niche"] and derived[name] and row["niche"] != derived[name]:
            raise InputError(
                f"{path}: sample '{name}': niche: '{row['niche']}' contradicts tissue "
                f"'{row['tissue']}'; it is '{derived[name]}', or leave it empty"
            )
    return samples["niche"].where(samples["niche"] != "", derived)


def _check_select(text: str, where: str) -> None:
    try:
        parse_select(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _check_loaded(row: pd.Series, where: str) -> None:
    """Refuse a loading whose rate of doublets nobody knows."""
    if row["cells_loaded"] and not is_10x(row["chemistry"]):
        raise InputError(
            f"{where}: {row['cells_loaded']} of chemistry '{row['chemistry']}': the rate of "
            "doublets is known for 10x chips only; leave it empty and set "
            "qc.doublets.fallback_rate in the config, or correct `chemistry`"
        )


def _partition(column: pd.Series) -> set[frozenset[str]]:
    """Return the groups of samples that share a value."""
    return {frozenset(index) for index in column.groupby(column).groups.values()}
