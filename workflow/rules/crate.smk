"""The run as an RO-Crate.

In: everything that the run made, and what it was given. Out: ``inputs/`` (configuration, sample sheet or
study, registry and gene lists, as a replay takes them) and ``ro-crate-metadata.json``.
"""

from emhniche.environments import PURPOSES, packages
from emhniche.replay import replay_config, replay_files, replay_study


rule crate:
    """Copy what the run was given, and describe its files, their sums and the software."""
    input:
        results=[
            *rules.report.input,
            *rules.report.output,
            "<results>/atlas.h5ad",
            *(["<results>/report/planted.html"] if run.study else []),
        ],
        provenance="<results>/provenance.json",
        given=[local(path) for path in replay_files(run).values()],
    output:
        crate="<results>/ro-crate-metadata.json",
        config="<results>/inputs/config.yaml",
        study=["<results>/inputs/study.yaml"] if run.study else [],
        files=[f"<results>/inputs/{name}" for name in replay_files(run)],
    log:
        "<logs>/report/crate.log",
    benchmark:
        "<benchmarks>/report/crate.tsv"
    conda:
        "../../envs/report/environment.yaml"
    container:
        run.images["report"]
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=lambda wildcards: code_digest("report_crate"),
        files=replay_files(run),
        config=replay_config(run),
        study=replay_study(run),
        packages=sorted({name for purpose in PURPOSES for name in packages(purpose, ROOT)}),
    script:
        "../../scripts/report_crate.py"
