"""Fit resources/rule_resources.tsv from what finished runs used.

`python scripts/fit_rule_resources.py` reads resources/rule_measured.tsv; with `--measure demo .
config/config.yaml` it first takes in what the jobs of that finished run used.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

from emhniche import io
from emhniche.rule_measured import MEASURED, fit, measure, planned_jobs
from emhniche.rule_resources import COLUMNS, read_rule_resources

ROOT = Path(__file__).resolve().parents[1]
TABLE, POINTS = (ROOT / "resources" / f"rule_{name}.tsv" for name in ("resources", "measured"))

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--measure", nargs=3, metavar=("NAME", "FOLDER", "CONFIG"))
given = parser.parse_args()
points = io.read_table(POINTS) if POINTS.exists() else pd.DataFrame(columns=MEASURED)
if given.measure:
    name, folder, config = given.measure
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    dry = [*snakemake, "-n", "-F", "--cores", "1", "--directory", folder, "--configfile"]
    said = subprocess.run([*dry, str(Path(folder, config))], capture_output=True, text=True)
    found = measure(planned_jobs(said.stdout + said.stderr), Path(folder), run=name)
    if found.empty:
        sys.exit(f"error: {folder}: no finished run of {config} is here\n{said.stderr[-2000:]}")
    points = pd.concat([points[points["run"] != name], found]).sort_values(["rule", "run", "size"])
    io.write_table(points, POINTS)
io.write_table(fit(points, read_rule_resources(TABLE)).reset_index()[COLUMNS], TABLE)
