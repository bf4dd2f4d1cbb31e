"""How often is the pipeline right on cohorts like this one, and how many mice does a study need?

Cohorts of a simulated study are drawn with many seeds, once with everything planted and once with
nothing, and each goes through all stages in one process. A finished trial is in the table at once,
so that an interrupted run goes on where it stopped.
"""

import hashlib
import json
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import emhniche
from emhniche import io
from emhniche.errors import InputError
from emhniche.schema import read_schema
from emhniche.settings import Run, load_run, simulated_counts

ARMS = ("planted", "null")
"""What a cohort holds: every planted effect, or none of them and all of the noise."""

KEYS = ["seed", "arm", "mice", "method"]
"""What a trial is told by."""

COLUMNS = [*KEYS, "metric", "value", "n", "inputs"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """One cohort to be drawn and judged."""

    seed: int
    arm: str
    mice: str
    method: str

    @property
    def key(self) -> tuple[int, str, str, str]:
        """The values of :data:`KEYS`."""
        return self.seed, self.arm, self.mice, self.method


def load_study_run(config: str | Path, root: str | Path, study: str | Path | None = None) -> Run:
    """Read the configuration of a simulated run.

    Parameters
    ----------
    config
        YAML file of the configuration.
    root
        Folder of the Snakefile.
    study
        Study to be simulated in place of the one that the configuration names.

    Returns
    -------
    Run
        The checked run.

    Raises
    ------
    InputError
        When a file is missing or wrong, or the configuration simulates nothing.
    """
    if not Path(config).is_file():
        raise InputError(f"--config: '{config}' does not exist; name a configuration file")
    try:
        given = yaml.safe_load(Path(config).read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{config}: not YAML ({line}); write `key: value` lines") from None
    if study:
        given = {key: value for key, value in given.items() if key != "samples"}
        given["simulate"] = str(study)
    run = load_run(given, root, source=str(config))
    if run.study is None:
        raise InputError(f"{config}: simulate: missing; only a simulated study can be judged")
    return run


def list_trials(
    run: Run, *, seeds: Sequence[int], arms: Sequence[str], mice: Sequence[int], method: str
) -> list[Trial]:
    """List the cohorts to be judged.

    Parameters
    ----------
    run
        The run.
    seeds
        Seeds of the cohorts; each is the seed of the simulation and of every stage.
    arms
        Of :data:`ARMS`.
    mice
        Numbers of mice an arm; none for those of the study.
    method
        Method whose latent space the clusters are found in; empty for that of the run.

    Returns
    -------
    list of Trial
        Seed by seed, so that what is finished early covers all of them evenly; each once.

    Raises
    ------
    InputError
        When a number is too small or the method is unknown.
    """
    known = run.config["integrate"]["methods"]
    method = method or run.config["integrate"]["primary"]
    if method not in known:
        raise InputError(
            f"--method: '{method}' is not among integrate.methods; use one of: {', '.join(known)}"
        )
    if not seeds:
        raise InputError("--seeds: 0 cohorts; ask for at least 1")
    if min(seeds) < 0:
        raise InputError(f"--first-seed: {min(seeds)} is no seed; name a number from 0")
    if min(mice, default=1) < 1:
        raise InputError(f"--mice: {min(mice)} mice an arm; ask for at least 1")
    sizes = [str(number) for number in mice] or [_mice_of(run)]
    kinds = [(size, arm) for size in dict.fromkeys(sizes) for arm in dict.fromkeys(arms)]
    return [Trial(seed, arm, size, method) for seed in seeds for size, arm in kinds]


def judge_trials(
    run: Run,
    root: str | Path,
    trials: Sequence[Trial],
    out: str | Path,
    *,
    cores: int,
    say: Callable[[str], None] = logger.info,
) -> pd.DataFrame:
    """Draw and judge every cohort that the table does not hold yet.

    Parameters
    ----------
    run
        The run.
    root
        Folder of the Snakefile, for the schemas.
    trials
        What to do.
    out
        Table of all trials, ``.tsv``: ``seed``, ``arm``, ``mice``, ``method``, ``metric``,
        ``value``, ``n`` and ``inputs`` (digest of study, settings and gene tables). Rows that it
        already holds are kept.
    cores
        Processes.
    say
        Told one line a trial.

    Returns
    -------
    pandas.DataFrame
        The whole table.

    Raises
    ------
    InputError
        When the table was made from other inputs, or cannot be read as one.
    """
    if cores < 1:
        raise InputError(f"--cores: {cores} processes; give at least 1")
    inputs = digest(run)
    table = _read_trials(out, inputs)
    done = set(table[KEYS].itertuples(index=False, name=None))
    waiting = [trial for trial in trials if trial.key not in done]
    if len(waiting) < len(trials):
        say(f"{len(trials) - len(waiting)} of {len(trials)} trials are in {out}")
    for number, (trial, figures, note) in enumerate(_finished(run, root, waiting, cores), start=1):
        figures = figures.assign(inputs=inputs, **dict(zip(KEYS, trial.key, strict=True)))
        table = pd.concat([table, figures[COLUMNS]], ignore_index=True)
        table = table.sort_values(KEYS, kind="stable", ignore_index=True)
        io.write_table(table, out)
        say(f"{number} of {len(waiting)}: seed {trial.seed}, {trial.arm}, {note}")
    return _read_trials(out, inputs)


def tell(line: str) -> None:
    """Log a line of progress and print it."""
    logger.info("%s", line)
    print(line, flush=True)


def run_trial(run: Run, root: str | Path, trial: Trial) -> tuple[pd.DataFrame, str]:
    """Draw one cohort, run all stages on it and measure what they found.

    Parameters
    ----------
    run, root
        As in :func:`judge_trials`.
    trial
        The cohort.

    Returns
    -------
    figures : pandas.DataFrame
        ``metric``, ``value`` and ``n``; see :func:`emhniche.trial_metrics.measure`.
    note : str
        Size of the cohort and seconds of processor time, stage by stage.
    """
    from threadpoolctl import threadpool_limits

    from emhniche.judging import judge
    from emhniche.planting import without_effects
    from emhniche.simulate import load_cell_model, simulate
    from emhniche.trial import CELLS, COHORT, RATES, run_stages
    from emhniche.trial_metrics import measure, read_outcome, verdicts
    from emhniche.truths import Truth

    start = time.process_time()
    run = _of_trial(run, root, trial)
    truths = [Truth(**truth) for truth in run.truths]
    truths = truths if trial.arm == "planted" else without_effects(truths)
    model = load_cell_model(**_model_files(run))
    # one thread, as every job of the workflow has
    with tempfile.TemporaryDirectory(prefix="emhniche-trial-") as name, threadpool_limits(1):
        folder = Path(name)
        cohort, cells = simulate(run.study, model, truths, seed=trial.seed)
        io.write_h5ad(cohort, folder / COHORT)
        io.write_table(cells, folder / CELLS)
        io.write_table(model.rates.rename_axis("gene").reset_index(), folder / RATES)
        seconds = {"simulate": time.process_time() - start} | run_stages(folder, run)
        tables = [measure(read_outcome(folder), run, truths, model.cell_types)]
        if trial.arm == "planted":
            tables.append(verdicts(judge(truths, folder, run.study)))
    spent = ", ".join(f"{stage} {value:.0f}" for stage, value in seconds.items())
    total = time.process_time() - start
    note = f"{trial.mice} mice an arm, {cohort.n_obs} barcodes: {total:.0f} s ({spent})"
    return pd.concat(tables, ignore_index=True), note


def digest(run: Run) -> str:
    """Return a short digest of what a trial's figures hang on, seed and number of mice apart.

    Parameters
    ----------
    run
        The run.

    Returns
    -------
    str
        ``sha256:`` and 8 hexadecimal digits, of version, settings, study, truths and gene tables.
    """
    config = {k: v for k, v in run.config.items() if k in _STAGES}
    config["integrate"] = {k: v for k, v in config["integrate"].items() if k != "primary"}
    study = deepcopy(run.study.settings)
    for arm in study["arms"]:
        del arm["mice"]
    files = list({**run.config["resources"], **_model_files(run)}.values())
    study = {key: value for key, value in study.items() if value not in files}
    truths = [{key: truth[key] for key in ("id", "plant", "expect")} for truth in run.truths]
    parts = [emhniche.__version__, config, study, truths]
    whole = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for path in files:
        whole.update(Path(path).read_bytes())
    return f"sha256:{whole.hexdigest()[:8]}"


_STAGES = ("qc", "merge", "integrate", "cluster", "annotate", "niche", "myeloid")


def with_mice(run: Run, root: str | Path, mice: int) -> Run:
    """Return the run with another number of mice in every arm.

    Parameters
    ----------
    run, root
        As in :func:`judge_trials`.
    mice
        Mice an arm.

    Returns
    -------
    Run
        Study and samples changed, nothing else.
    """
    settings = deepcopy(run.study.settings)
    for arm in settings["arms"]:
        arm["mice"] = mice
    study = replace(run.study, settings=settings)
    schema = read_schema(Path(root) / "workflow" / "schemas" / "samples.schema.yaml")
    return replace(run, study=study, samples=study.sheet(simulated_counts(run.name), schema))


def _of_trial(run: Run, root: str | Path, trial: Trial) -> Run:
    """Return the run that a trial is."""
    if trial.mice != _mice_of(run):
        run = with_mice(run, root, int(trial.mice))
    config: dict[str, Any] = deepcopy(run.config)
    config["seed"] = trial.seed
    config["integrate"]["primary"] = trial.method
    return replace(run, config=config)


def _mice_of(run: Run) -> str:
    """Return the number of mice an arm, or the numbers where arms differ."""
    numbers = [str(arm["mice"]) for arm in run.study.settings["arms"]]
    return numbers[0] if len(set(numbers)) == 1 else "+".join(numbers)


def _model_files(run: Run) -> dict[str, str]:
    """Return the files of the cell types, as the rule `simulate` names them."""
    files = {name: run.study.settings[name] for name in ("profiles", "programmes", "cell_types")}
    return files | {name: run.config["resources"][name] for name in ("lineages", "signatures")}


def _finished(
    run: Run, root: str | Path, trials: Sequence[Trial], cores: int
) -> Iterator[tuple[Trial, pd.DataFrame, str]]:
    """Yield trials as they are finished."""
    workers = min(cores, len(trials)) or 1
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(run_trial, run, root, trial): trial for trial in trials}
        try:
            for future in as_completed(futures):
                yield futures[future], *future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _read_trials(path: str | Path, inputs: str) -> pd.DataFrame:
    """Return the trials that a table holds; none where there is no table yet."""
    if not Path(path).exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        table = io.read_table(path)
    except (OSError, ValueError):
        table = pd.DataFrame()
    if list(table.columns) != COLUMNS:
        raise InputError(f"{path}: not a table of trials; name another file with --out")
    table = table.astype({"mice": str, "inputs": str})
    other = set(table["inputs"]) - {inputs}
    if other:
        raise InputError(
            f"{path}: made from other inputs ({', '.join(sorted(other))}, now {inputs}); study, "
            "settings or gene tables changed, so name another file with --out"
        )
    return table
