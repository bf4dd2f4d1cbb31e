"""What is published of the configured datasets, asked of this run.

In: ``resources/known_answers.tsv`` with the run's cells, annotation and tables.
Out: ``known_answers.tsv``, one row a check: pass, fail or not testable, and what was seen.
"""


rule known_answers:
    """Ask the run's data what is published of them; a wrong answer is a result and no error."""
    input:
        answers=run.config["resources"]["known_answers"],
        signatures=run.config["resources"]["signatures"],
        cells="<results>/cells.h5ad",
        annotation="<results>/annotate/annotation.parquet",
        production="<results>/niche/production.tsv",
        contrasts="<results>/niche/contrasts.tsv",
        gates="<results>/myeloid/gates.tsv",
        calls="<results>/myeloid/calls.parquet",
    output:
        report(
            "<results>/known_answers.tsv",
            caption="../report/known_answers.rst",
            category="Tables",
            labels={"table": "known_answers.tsv"},
        ),
    log:
        "<logs>/known_answers/known_answers.log",
    benchmark:
        "<benchmarks>/known_answers/known_answers.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("known_answers", "mem_mb"),
        runtime=asks("known_answers", "runtime"),
        disk_mb=asks("known_answers", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("known_answers"),
        species=run.species,
        simulated=run.study is not None,
    script:
        "../../scripts/known_answers.py"
