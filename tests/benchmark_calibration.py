"""How often does each test of the niche stage err where nothing differs, and find what does?

Run from the command line; it writes what `docs/statistics.md` quotes:

    uv run python tests/benchmark_calibration.py run results/public results/calibration --cores 2
    uv run python tests/benchmark_calibration.py summary results/calibration \\
        docs/niche_calibration.tsv docs/images/niche_calibration.png

`run` keeps the p-values of every cohort in a file of its own and goes on where it stopped; a test
that is new since is added to cohorts that are there. `results/public` is a finished run of the
public data, whose real cells are drawn from.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

from calibration_cohort import Cohort, drawn_cohort, simulated_cohort
from calibration_figure import draw
from calibration_readings import CONTRASTS, READINGS, available, p_values
from emhniche.io import read_table, write_table

MICE = (3, 4, 6)
FOLDS = (0.5, 1.0, 2.0)
FIRST_SEED = 20_000
NULL = {"drawn": tuple(CONTRASTS), "simulated": ("unpaired", "interaction")}
"""Source of a cohort -> contrasts in which nothing differs."""

ALPHA = 0.05


@dataclass(frozen=True)
class Trial:
    """One cohort: where its cells are from, mice of each condition, seed, planted fold change."""

    source: str
    mice: int
    seed: int
    fold: float = 0.0

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.source}_{self.mice}_{self.fold:g}_{self.seed}.parquet"

    def draw(self, run: Path) -> Cohort:
        """Draw the cohort."""
        if self.source == "simulated":
            return simulated_cohort(self.mice, self.seed)
        return drawn_cohort(run, self.mice, self.seed, self.fold)


def trials(nulls: int, planted: int) -> Iterator[Trial]:
    """Yield the cohorts, seed by seed, so that a stopped run covers all of them evenly."""
    for seed in range(FIRST_SEED, FIRST_SEED + max(nulls, planted)):
        for mice in MICE:
            if seed < FIRST_SEED + nulls:
                yield Trial("drawn", mice, seed)
                yield Trial("simulated", mice, seed)
            if seed < FIRST_SEED + planted:
                yield from (Trial("drawn", mice, seed, fold) for fold in FOLDS)


def run_trial(trial: Trial, run: Path, folder: Path) -> str:
    """Add to a cohort's file the tests that it lacks; return its name, or nothing if none does."""
    path = folder / trial.name
    old = read_table(path) if path.exists() else pd.DataFrame()
    done = set(old["asked"].iloc[0].split(";")) if len(old) else set()
    missing = [name for name in available(READINGS) if name not in done]
    if not missing:
        return ""
    wanted = {"contrasts": NULL[trial.source], "readings": missing}
    with threadpool_limits(1):
        new = p_values(trial.draw(run), trial.seed, **wanted)
    table = pd.concat([old.drop(columns="asked", errors="ignore"), new], ignore_index=True)
    write_table(table.assign(asked=";".join(sorted(done | set(missing)))), path)
    return trial.name


def run_trials(
    run: Path, folder: Path, *, nulls: int, planted: int, minutes: float, cores: int
) -> None:
    """Run what is missing, cohort by cohort, until the time is over."""
    end = time.monotonic() + 60 * minutes
    one = partial(run_trial, run=run, folder=folder)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        for name in pool.map(one, trials(nulls, planted)):
            if name:
                print(name, flush=True)
            if time.monotonic() > end:
                pool.shutdown(cancel_futures=True)
                print("stopped: the time is over; the next run goes on here")
                return


def summarise(folder: Path) -> pd.DataFrame:
    """Return a row a source, number of mice, contrast, test and planted fold change.

    Parameters
    ----------
    folder
        Files of :func:`run_trials`.

    Returns
    -------
    pandas.DataFrame
        ``cohorts`` and ``p_values``; ``below_05`` and ``below_01``, their shares at nominal 0.05
        and 0.01, with ``se`` over cohorts; ``ks``, the largest distance of all p-values from
        uniform, and ``ks_p``, of one p-value a cohort drawn at random, because those of one cohort
        are not independent; ``cells_below_05`` and ``cells_se``, of the test over cells. In
        planted cohorts only rows that were changed count.
    """
    parts = []
    for path in sorted(folder.glob("*.parquet")):
        source, mice, fold, seed = path.stem.split("_")
        table = read_table(path).drop(columns="asked")
        parts.append(table.assign(source=source, mice=int(mice), fold=float(fold), seed=int(seed)))
    table = pd.concat(parts, ignore_index=True)
    table = table[(table["fold"] == 0) | table["planted"]]
    keys = ["fold", "reading", "contrast", "source", "mice"]
    rows = [dict(zip(keys, key, strict=True)) | _figures(part) for key, part in table.groupby(keys)]
    order = {name: place for place, name in enumerate(READINGS)}
    found = pd.DataFrame(rows)
    place = found["reading"].map(order)
    return (
        found.assign(place=place)
        .sort_values(["fold", "place", "contrast", "source", "mice"], ignore_index=True)
        .drop(columns="place")
    )


def _figures(part: pd.DataFrame) -> dict[str, float]:
    """Return the figures of the p-values of one kind."""
    one_each = part.groupby("seed")["p"].sample(1, random_state=0)
    below, error = _share(part, "p")
    cells, cells_error = _share(part, "p_cells")
    return {
        "cohorts": part["seed"].nunique(),
        "p_values": len(part),
        "below_05": below,
        "se": error,
        "below_01": (part["p"] < 0.01).mean(),
        "ks": stats.kstest(part["p"], "uniform").statistic,
        "ks_p": stats.kstest(one_each, "uniform").pvalue,
        "cells_below_05": cells,
        "cells_se": cells_error,
    }


def _share(part: pd.DataFrame, column: str) -> tuple[float, float]:
    """Return the share of p-values below 0.05, and its standard error with cohorts as units."""
    known = part[part[column].notna()]
    if known.empty:
        return np.nan, np.nan
    below = (known[column] < ALPHA).groupby(known["seed"])
    share = below.sum().sum() / len(known)
    off = below.sum() - share * below.size()
    number = len(off)
    error = np.sqrt((off**2).sum() * number / max(number - 1, 1)) / len(known)
    return share, error


def main(arguments: list[str]) -> None:
    """Run the cohorts, or sum them up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="draw cohorts and keep their p-values")
    run.add_argument("run", type=Path, help="folder of a finished run of the public data")
    run.add_argument("folder", type=Path, help="where to keep the p-values")
    run.add_argument("--nulls", type=int, default=200, help="cohorts without a difference of each")
    run.add_argument("--planted", type=int, default=40, help="cohorts of each fold change")
    run.add_argument("--cores", type=int, default=1, help="processes, of one thread each")
    run.add_argument("--minutes", type=float, default=np.inf, help="stop after so many")
    summary = commands.add_parser("summary", help="table and figure of what was run")
    summary.add_argument("folder", type=Path, help="the p-values")
    summary.add_argument("table", type=Path, help="where to write (.tsv)")
    summary.add_argument("image", type=Path, help="where to draw (.png)")
    given = parser.parse_args(arguments)
    if given.command == "run":
        counts = {name: getattr(given, name) for name in ("nulls", "planted", "minutes", "cores")}
        run_trials(given.run, given.folder, **counts)
        return
    table = summarise(given.folder)
    write_table(table.round(4), given.table)
    draw(read_table(given.table), given.image)


if __name__ == "__main__":
    main(sys.argv[1:])
