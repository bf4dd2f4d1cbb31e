"""What every rules file uses: the validated run, its folders and the allowed wildcards."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from emhniche.code import code_digest
from emhniche.errors import InputError
from emhniche.settings import load_run

if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


try:
    run = load_run(
        config,
        root=Path(workflow.basedir),
        source=" + ".join(map(str, workflow.configfiles)),
    )
except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


pathvars:
    results=f"results/{run.name}",
    logs=f"logs/{run.name}",
    benchmarks=f"benchmarks/{run.name}",


wildcard_constraints:
    sample="|".join(run.samples.index.map(re.escape)),
    dataset="|".join(run.samples["dataset"].map(re.escape).unique()),
    method="|".join(run.config["integrate"]["methods"]),
