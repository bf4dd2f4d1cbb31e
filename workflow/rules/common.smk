"""What every rules file uses: the validated run, its folders and the allowed wildcards."""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


def checked_out(repository, ref):
    """Return a folder with all files of a tag or commit; the first call writes it."""
    git = ["git", "-C", str(repository)]
    commit = subprocess.check_output([*git, "rev-parse", f"{ref}^{{commit}}"], text=True).strip()
    folder = Path(".snakemake", "emh-niche", commit).absolute()
    if not folder.exists():
        packed = subprocess.check_output([*git, "archive", commit])
        folder.parent.mkdir(parents=True, exist_ok=True)
        whole = Path(tempfile.mkdtemp(dir=folder.parent)) / commit
        with tarfile.open(fileobj=io.BytesIO(packed)) as files:
            files.extractall(whole, filter="data")
        try:
            whole.rename(folder)
        except OSError:
            # another call was quicker
            if not folder.exists():
                raise
        shutil.rmtree(whole.parent)
    return folder


# The folder of this workflow. `workflow.basedir` would be that of the workflow that imports it.
ROOT = workflow.current_basedir
if hasattr(ROOT, "abspath"):
    ROOT = Path(ROOT.get_path_or_uri(secret_free=True)).parents[1]
else:
    ROOT = checked_out(ROOT.hosted_repo.repo_clone, ROOT.ref)

sys.path.insert(0, str(ROOT / "scripts"))

from emhniche.code import code_digest, put_first, show_to_containers
from emhniche.errors import InputError
from emhniche.leftovers import remove_leftovers
from emhniche.paths import input_paths
from emhniche.rapids import require_cuml
from emhniche.rule_resources import by_input, by_size, read_rule_resources
from emhniche.settings import load_run

put_first(ROOT / "scripts")

if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


try:
    run = load_run(
        config,
        root=ROOT,
        source=" + ".join(map(str, workflow.configfiles)) or "config",
    )
    rule_resources = read_rule_resources(ROOT / "resources" / "rule_resources.tsv")
    if run.layout == "rapids" and not workflow.deployment_settings.deployment_method:
        # jobs run where Snakemake does: better now than when the clusters are made
        require_cuml()
except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def given_or_made(sample):
    """Return the files of a sample. What no rule makes takes no prefix of an importing workflow."""
    if run.study:
        return ["<results>/simulate/cohort.h5ad"]
    paths = input_paths(sample, run.registry)
    return [path if path.startswith("<results>") else local(path) for path in paths]


def asks(rule, kind, size=None):
    """Return how much is asked for, by the size of the input or by a size known beforehand."""
    line = rule_resources.loc[rule]
    return by_input(line, kind) if size is None else by_size(line, kind, size)


def gpu_table(rule, wildcards):
    """Return where a job says what it used of the GPU: beside its benchmark, which knows of none."""
    benchmark = Path(str(rule.benchmark).format(**wildcards))
    return str(benchmark.parent / "gpu" / benchmark.name)


# A model that names cells, and its checksum; empty where none is asked.
celltypist = run.config["annotate"].get("celltypist", {})

show_to_containers(
    [
        ROOT,
        *([celltypist["model"]] if celltypist else []),
        *run.config["resources"].values(),
        *run.config["fetch"]["mirrors"],
        *os.environ.get("EMH_MIRROR", "").split(os.pathsep),
        *run.sources.values(),
        *(path for _, row in run.samples.iterrows() for path in input_paths(row, run.registry)),
    ]
)

# Gene lists are local, too.
run.config["resources"] |= {key: local(path) for key, path in run.config["resources"].items()}


pathvars:
    results=f"results/{run.name}",
    logs=f"logs/{run.name}",
    benchmarks=f"benchmarks/{run.name}",


wildcard_constraints:
    sample="|".join(run.samples.index.map(re.escape)),
    dataset="|".join(run.samples["dataset"].map(re.escape).unique()),
    method="|".join(run.config["integrate"]["methods"]),
