"""How much memory, time and disk should a rule ask for?

One table, ``resources/rule_resources.tsv``, holds for each rule a line over the size of its input.
A job that failed asks for half as much again. :mod:`emhniche.rule_measured` fits the table.
"""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from emhniche.errors import InputError

KINDS = ("mem_mb", "runtime", "disk_mb")
"""What a rule asks for: memory (MB), time (minutes), and disk for what it writes (MB)."""

SIZES = ("input_mb", "thousand_cells")
"""What a line can go by: megabytes of all input files, or thousands of cells to draw."""

ATTEMPT = 1.5
"""What a repeated attempt asks for, as a multiple of the one before."""

OVERHEAD_MB = 400
"""Memory of what starts a job: in each Slurm job two processes of Snakemake, 195 MB each."""

COLUMNS = ["rule", "by", *(f"{kind}{part}" for kind in KINDS for part in ("", "_per"))]


def read_rule_resources(path: str | Path) -> pd.DataFrame:
    """Read the table of what rules ask for.

    Parameters
    ----------
    path
        ``rule_resources.tsv``.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``rule``: ``by`` (one of :data:`SIZES`) and for each of :data:`KINDS` the value
        for an empty input and, ``_per``, what each megabyte or thousand cells adds. Memory and disk
        in MB, ``runtime`` in minutes.

    Raises
    ------
    InputError
        Where a column is missing, a rule stands twice, or a number is none or below 0.
    """
    table = pd.read_csv(path, sep="\t", dtype={"rule": str, "by": str}, keep_default_na=False)
    if list(table.columns) != COLUMNS:
        raise InputError(f"{path}: columns must be {', '.join(COLUMNS)}")
    for rule in table["rule"][table["rule"].duplicated()]:
        raise InputError(f"{path}: rule {rule} stands twice; keep one row")
    for row in table[~table["by"].isin(SIZES)].itertuples():
        raise InputError(f"{path}: rule {row.rule}: by is {row.by!r}; use {' or '.join(SIZES)}")
    for column in COLUMNS[2:]:
        values = pd.to_numeric(table[column], errors="coerce")
        for rule in table["rule"][~(values >= 0)]:
            raise InputError(f"{path}: rule {rule}: {column} must be a number of 0 or more")
        table[column] = values.astype(float)
    return table.set_index("rule")


def asked(line: pd.Series, kind: str, size: float, attempt: int = 1) -> int:
    """Return what a job asks for.

    Parameters
    ----------
    line
        A row of :func:`read_rule_resources`.
    kind
        One of :data:`KINDS`.
    size
        Size of the input, in what the row's ``by`` says.
    attempt
        1 for the first attempt; each further one asks for :data:`ATTEMPT` times as much.

    Returns
    -------
    int
        MB, or minutes.
    """
    own = line[kind] + line[f"{kind}_per"] * size
    return math.ceil((own + OVERHEAD_MB * (kind == "mem_mb")) * ATTEMPT ** (attempt - 1))


def by_input(line: pd.Series, kind: str) -> Callable[..., int]:
    """Return what Snakemake calls for a resource of a job, whose size is that of its input."""
    return lambda wildcards, input, attempt: asked(line, kind, input.size_mb, attempt)


def by_size(line: pd.Series, kind: str, size: float) -> Callable[..., int]:
    """Return what Snakemake calls for a resource of a job whose size is known beforehand."""
    return lambda wildcards, attempt: asked(line, kind, size, attempt)
