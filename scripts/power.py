"""Command: how often is the pipeline right on a simulated study, and with how many mice?

No rule runs it. `docs/power.md` says how to call it and explains the tables.
"""

import argparse
from pathlib import Path
from typing import NoReturn

from emhniche.logs import job_log


class Parser(argparse.ArgumentParser):
    """Ends in one line, like every other mistake of a user."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong."""
        self.exit(2, f"error: {message}; see --help\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--config", default="config/config.yaml", help="configuration of a simulated run")
    add("--study", help="study to simulate in place of the one that the configuration names")
    add("--seeds", type=int, default=20, help="number of cohorts")
    add("--first-seed", type=int, default=1000, help="their seeds start here, untouched by tuning")
    add("--arms", nargs="+", choices=["planted", "null"], default=["planted", "null"])
    add("--mice", nargs="+", type=int, default=[], help="mice an arm, instead of the study's")
    add("--method", default="", help="latent space for the clusters; pca is much quicker")
    add("--cores", type=int, default=1, help="processes, of one thread each")
    add("--out", default="results/power/trials.tsv", help="all trials; goes on where it stopped")
    add("--summary", help="means, intervals and bounds, .tsv")
    add("--figure", help="picture of the summary, .png")
    return parser.parse_args()


def main() -> None:
    """Judge the trials and summarise them."""
    given, root = arguments(), Path(__file__).resolve().parents[1]
    with job_log(Path(given.out).with_suffix(".log")):
        from emhniche import io, power
        from emhniche.power_summary import summarise
        from emhniche.report.power_figure import draw_summary

        run = power.load_study_run(given.config, root, given.study)
        seeds = range(given.first_seed, given.first_seed + given.seeds)
        kinds = {"arms": given.arms, "mice": given.mice, "method": given.method}
        trials = power.list_trials(run, seeds=seeds, **kinds)
        table = power.judge_trials(run, root, trials, given.out, cores=given.cores, say=power.tell)
        if given.summary:
            io.write_table(summarise(table), given.summary)
        if given.figure:
            draw_summary(table, given.figure)


if __name__ == "__main__":
    main()
