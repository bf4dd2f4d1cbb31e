"""Names of the clusters.

In: ``cells.h5ad``, clusters and the lineage markers. Out: ``annotation.parquet`` (each cell),
``clusters.tsv`` (each cluster, with its confidence and runner-up) and ``markers.tsv``.
"""


rule annotate:
    """Name each cluster from its pooled counts."""
    input:
        cells="<results>/cells.h5ad",
        clusters="<results>/cluster/clusters.parquet",
        lineages=run.config["resources"]["lineages"],
        panel=run.config["resources"]["panel"],
    output:
        annotation="<results>/annotate/annotation.parquet",
        clusters="<results>/annotate/clusters.tsv",
        markers="<results>/annotate/markers.tsv",
    log:
        "<logs>/annotate/annotate.log",
    benchmark:
        "<benchmarks>/annotate/annotate.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("annotate", "mem_mb"),
        runtime=asks("annotate", "runtime"),
        disk_mb=asks("annotate", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("annotate"),
        settings=run.config["annotate"],
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/annotate.py"
