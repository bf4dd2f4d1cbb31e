"""Names of the clusters.

In: ``cells.h5ad``, clusters and the lineage markers. Out: ``annotation.parquet`` (each cell),
``clusters.tsv`` (each cluster, with its confidence and runner-up) and ``markers.tsv``.
"""


rule annotate:
    """Name each cluster from its pooled counts."""
    input:
        cells="<results>/cells.h5ad",
        clusters="<results>/cluster/clusters.parquet",
        found_again="<results>/cluster/found_again.tsv",
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
        "../../envs/cpu/environment.yaml"
    container:
        run.images["cpu"]
    threads: 1
    resources:
        mem_mb=lambda wildcards, input: int(600 + 15 * input.size_mb),
        runtime=60,
    params:
        code=lambda wildcards: code_digest("annotate"),
        settings=run.config["annotate"],
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/annotate.py"
