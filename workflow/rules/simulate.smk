"""A cohort whose truth is known.

In: the study, the truths and the profiles of ``resources/demo``. Out: ``simulate/cohort.h5ad`` (the
counts of all libraries) and ``simulate/cells.parquet`` (the truth, which only ``judge`` reads).
"""


rule simulate:
    """Draw the counts of every library of a simulated study."""
    input:
        profiles=run.study.settings["profiles"],
        programmes=run.study.settings["programmes"],
        cell_types=run.study.settings["cell_types"],
        lineages=run.config["resources"]["lineages"],
    output:
        cohort="<results>/simulate/cohort.h5ad",
        cells="<results>/simulate/cells.parquet",
    log:
        "<logs>/simulate/simulate.log",
    benchmark:
        "<benchmarks>/simulate/simulate.tsv"
    conda:
        "../../envs/cpu/environment.yaml"
    container:
        run.images["cpu"]
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        study=run.study,
        truths=run.truths,
        seed=run.config["seed"],
    script:
        "../../scripts/simulate.py"
