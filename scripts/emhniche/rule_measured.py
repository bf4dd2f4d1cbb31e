"""What did the jobs of finished runs use, and what should rules ask for?

``resources/rule_measured.tsv`` keeps what was measured, a row a job. The table that the rules read
(:mod:`emhniche.rule_resources`) is fitted from it: for each rule the lowest line over the size of
the input that no measured job lies above, times a margin.
"""

import ast
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linprog

from emhniche.rule_resources import KINDS

MEASURES = {
    "mem_mb": ("max_rss_mb", 1.3, 500, 50),
    "runtime": ("cpu_min", 4.0, 10, 5),
    "disk_mb": ("output_mb", 2.0, 100, 50),
}
"""Resource -> what is measured of it, the margin that a measured value is multiplied by, the least
that is asked for, and what is rounded up to. Time is that of the processor where it is measured, so
that busy machines can be learned from; its margin covers slow disks and slow nodes."""

BY_HAND = ("fetch", "ambient")
"""Rules whose row is written by hand: the first waits for the network and uses next to nothing, the
second hangs on CellBender, which takes an hour or more a library and was measured on one of 2,200
droplets (2.1 GB)."""

LEAST_SLOPE = {("ingest_file", "mem_mb"): 20.0}
"""What no fit goes below. Files of counts are packed tightly and by very different means: the
measured ones of a few MB say nothing of a text or R file of a GB, which unpacks to some 20 times
its size."""

MEASURED = ["rule", "run", "size", *(column for column, *_ in MEASURES.values())]


def fit(measured: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Fit the table from measured jobs.

    Parameters
    ----------
    measured
        Columns :data:`MEASURED`; NaN where something was not measured.
    before
        Result of :func:`read_rule_resources`. A value of which nothing is measured stays as it is.

    Returns
    -------
    pandas.DataFrame
        The new table, in the form of `before`.
    """
    table = before.copy()
    for rule in table.index:
        points = measured[measured["rule"] == rule]
        for kind, (column, margin, least, step) in MEASURES.items():
            known = points.dropna(subset=[column])
            if known.empty:
                continue
            start, slope = line_above(known["size"], known[column])
            table.loc[rule, kind] = max(least, step * math.ceil(margin * start / step))
            slope = max(float(f"{margin * slope:.2g}"), LEAST_SLOPE.get((rule, kind), 0.0))
            table.loc[rule, f"{kind}_per"] = slope
    return table


def line_above(sizes: pd.Series, values: pd.Series) -> tuple[float, float]:
    """Return start and slope of the lowest line that no point lies above, neither below 0.

    The sum of the distances is the least (a linear programme). Where sizes differ by less than a
    factor of two no slope can be told from them, and it is 0.

    Parameters
    ----------
    sizes, values
        One of each a job.
    """
    x, y = sizes.to_numpy(float), values.to_numpy(float)
    if x.max() < 2 * x.min() or x.max() == 0:
        return float(y.max()), 0.0
    scale = x.max()
    found = linprog(
        [len(x), (x / scale).sum()],
        A_ub=np.column_stack([-np.ones(len(x)), -x / scale]),
        b_ub=-y,
        bounds=[(0, None), (0, None)],
    )
    start, slope = found.x
    return float(start), float(slope / scale)


def planned_jobs(text: str) -> pd.DataFrame:
    """Read what a dry run of Snakemake (``snakemake -n -F``) says of each job.

    Parameters
    ----------
    text
        What it prints.

    Returns
    -------
    pandas.DataFrame
        One row a job: ``rule``, ``input`` and ``output`` (lists of paths), ``benchmark`` (path)
        and, for each of :data:`KINDS`, what the job asks for (NaN where an input is not there).
    """
    rows = []
    # the jobs of a group are indented
    for _, rule, block in re.findall(r"(?m)^( *)(?:local)?rule (\w+):\n((?:\1 {4}.*\n)+)", text):
        said = dict(re.findall(r"(?m)^ +(\w+): (.*)$", block))
        if "benchmark" not in said:
            continue
        numbers = dict(re.findall(r"(\w+)=(\d+)(?:,|$)", said.get("resources", "")))
        files = {name: said[name].split(", ") if name in said else [] for name in _FILES}
        row = {"rule": rule, **files, "benchmark": said["benchmark"]}
        rows.append(row | {kind: float(numbers.get(kind, "nan")) for kind in KINDS})
    return pd.DataFrame(rows, columns=["rule", *_FILES, "benchmark", *KINDS])


_FILES = ("input", "output")


def measure(jobs: pd.DataFrame, folder: Path, *, run: str) -> pd.DataFrame:
    """Return what the jobs of a finished run used.

    Parameters
    ----------
    jobs
        Result of :func:`planned_jobs`.
    folder
        Working directory of the run.
    run
        Name to give it.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`MEASURED`, one row a job whose benchmark is there, and its input too, or a
        benchmark that tells its size (``--benchmark-extended``).
    """
    rows = []
    for job in jobs.itertuples():
        benchmark = Path(folder, job.benchmark)
        if job.rule in BY_HAND or not benchmark.is_file():
            continue
        said = pd.read_csv(benchmark, sep="\t").iloc[-1]
        used = pd.to_numeric(said, errors="coerce")
        size = _size_of(job, said, folder)
        if size is None:
            continue
        written = _mb(job.output, folder)
        rows.append([job.rule, run, size, used["max_rss"], used["cpu_time"] / 60, written])
    return pd.DataFrame(rows, columns=MEASURED).round(3)


def _size_of(job, said: pd.Series, folder: Path) -> float | None:
    if job.rule == "simulate":
        cells = Path(folder, next(path for path in job.output if path.endswith(".parquet")))
        return len(pd.read_parquet(cells)) / 1000 if cells.is_file() else None
    if "input_size_mb" in said:  # each file and its size
        return sum(ast.literal_eval(said["input_size_mb"]).values())
    return _mb(job.input, folder)


def _mb(paths: list[str], folder: Path) -> float | None:
    """Return the size of files and folders, as Snakemake counts it; None where one is gone."""
    total = 0
    for path in (Path(folder, path) for path in paths):
        if not path.exists():
            return None
        files = path.rglob("*") if path.is_dir() else [path]
        total += sum(file.stat().st_size for file in files if file.is_file())
    return total / 2**20
