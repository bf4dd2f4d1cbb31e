"""MDSC-like cells: scores adjusted for maturation, and calls where donors allow them.

In: ``cells.h5ad``, the annotation and the signatures. Out: ``calls.parquet`` (each cell and
signature), ``donors.tsv``, ``gates.tsv`` (each lineage, tissue, dataset and signature, with the
reason where nothing is called), ``subsets.tsv`` (header only where nothing is called) and
``clusters.tsv`` (each cluster of a lineage and signature, claimed or not).
"""


rule myeloid:
    """Score each myeloid lineage, compare donors, and call cells or say why not."""
    input:
        cells="<results>/cells.h5ad",
        annotation="<results>/annotate/annotation.parquet",
        signatures=run.config["resources"]["signatures"],
    output:
        calls="<results>/myeloid/calls.parquet",
        donors="<results>/myeloid/donors.tsv",
        gates=report(
            "<results>/myeloid/gates.tsv",
            caption="../report/gates.rst",
            category="Tables",
            labels={"table": "myeloid/gates.tsv"},
        ),
        subsets="<results>/myeloid/subsets.tsv",
        clusters="<results>/myeloid/clusters.tsv",
    log:
        "<logs>/myeloid/myeloid.log",
    benchmark:
        "<benchmarks>/myeloid/myeloid.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("myeloid", "mem_mb"),
        runtime=asks("myeloid", "runtime"),
        disk_mb=asks("myeloid", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("myeloid"),
        settings=run.config["myeloid"],
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/myeloid.py"
