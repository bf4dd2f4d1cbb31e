"""A cohort whose truth is known, and what the pipeline says of it.

In: the study, the truths and the profiles of ``resources/demo``; for the judge, the tables of the
run. Out: ``simulate/cohort.h5ad`` (the counts of all libraries), ``simulate/cells.parquet`` (the
truth, which no stage between reads), ``simulate/rates.tsv`` (what its cell types make of each gene),
``simulate/recovered.tsv`` (each truth, what the tables say of it, and whether that is right) and
``report/planted.html``.
"""

# Thousands of cells, which is what the work of `simulate` grows with.
DRAWN = run.study.settings["cells_per_library"] * len(run.samples) / 1000


rule simulate:
    """Draw the counts of every library of a simulated study."""
    input:
        profiles=local(run.study.settings["profiles"]),
        programmes=local(run.study.settings["programmes"]),
        cell_types=local(run.study.settings["cell_types"]),
        lineages=run.config["resources"]["lineages"],
        signatures=run.config["resources"]["signatures"],
    output:
        cohort="<results>/simulate/cohort.h5ad",
        cells="<results>/simulate/cells.parquet",
        rates="<results>/simulate/rates.tsv",
    log:
        "<logs>/simulate/simulate.log",
    benchmark:
        "<benchmarks>/simulate/simulate.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("simulate", "mem_mb", size=DRAWN),
        runtime=asks("simulate", "runtime", size=DRAWN),
        disk_mb=asks("simulate", "disk_mb", size=DRAWN),
    params:
        code=lambda wildcards: code_digest("simulate"),
        study=run.study,
        truths=run.truths,
        seed=run.config["seed"],
    script:
        "../../scripts/simulate.py"


rule judge:
    """Compare what the results say with what was planted."""
    input:
        cells="<results>/simulate/cells.parquet",
        rates="<results>/simulate/rates.tsv",
        qc=expand("<results>/samples/{sample}/qc.parquet", sample=run.samples.index),
        counts="<results>/cells.h5ad",
        annotation="<results>/annotate/annotation.parquet",
        design="<results>/niche/design.tsv",
        contrasts="<results>/niche/contrasts.tsv",
        composition="<results>/niche/composition.tsv",
        calls="<results>/myeloid/calls.parquet",
        gates="<results>/myeloid/gates.tsv",
    output:
        report(
            "<results>/simulate/recovered.tsv",
            caption="../report/recovered.rst",
            category="Tables",
            labels={"table": "simulate/recovered.tsv"},
        ),
    log:
        "<logs>/simulate/judge.log",
    benchmark:
        "<benchmarks>/simulate/judge.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("judge", "mem_mb"),
        runtime=asks("judge", "runtime"),
        disk_mb=asks("judge", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("judge"),
        study=run.study,
        truths=run.truths,
    script:
        "../../scripts/judge.py"


rule planted_page:
    """Write the page Planted and recovered."""
    input:
        recovered="<results>/simulate/recovered.tsv",
        cells="<results>/simulate/cells.parquet",
        contrasts="<results>/niche/contrasts.tsv",
        composition="<results>/niche/composition.tsv",
        calls="<results>/myeloid/calls.parquet",
        gates="<results>/myeloid/gates.tsv",
    output:
        report(
            "<results>/report/planted.html",
            caption="../report/planted.rst",
            category="Report",
            labels={"file": "planted.html"},
        ),
    log:
        "<logs>/simulate/planted_page.log",
    benchmark:
        "<benchmarks>/simulate/planted_page.tsv"
    conda:
        "../../envs/report/environment.yaml"
    container:
        run.images["report"]
    threads: 1
    resources:
        mem_mb=asks("planted_page", "mem_mb"),
        runtime=asks("planted_page", "runtime"),
        disk_mb=asks("planted_page", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("report_planted"),
        study=run.study,
        truths=run.truths,
        run=run.name,
        title=run.config["report"]["title"],
    script:
        "../../scripts/report_planted.py"
