"""Names of the clusters.

In: ``cells.h5ad``, clusters, the lineage markers and the ambient genes. Out: ``annotation.parquet``
(each cell), ``clusters.tsv`` (each cluster, with its confidence and runner-up) and ``markers.tsv``;
where samples lend their published labels, ``transferred.parquet`` and ``transferred.tsv``.
"""


rule annotate:
    """Name each cluster from its pooled counts."""
    input:
        cells="<results>/cells.h5ad",
        clusters="<results>/cluster/clusters.parquet",
        found_again="<results>/cluster/found_again.tsv",
        lineages=run.config["resources"]["lineages"],
        panel=run.config["resources"]["panel"],
        ambient=run.config["resources"]["ambient"],
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
        settings={k: v for k, v in run.config["annotate"].items() if k != "label_samples"},
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/annotate.py"


rule annotate_transfer:
    """Hand the published labels of some samples to all other cells, beside the names."""
    input:
        latent=f"<results>/integration/{run.config['integrate']['primary']}/latent.parquet",
        cells="<results>/cells.h5ad",
        annotation="<results>/annotate/annotation.parquet",
    output:
        cells="<results>/annotate/transferred.parquet",
        table="<results>/annotate/transferred.tsv",
    log:
        "<logs>/annotate/transfer.log",
    benchmark:
        "<benchmarks>/annotate/transfer.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("annotate_transfer", "mem_mb"),
        runtime=asks("annotate_transfer", "runtime"),
        disk_mb=asks("annotate_transfer", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("annotate_transfer"),
        samples=run.config["annotate"]["label_samples"],
    script:
        "../../scripts/annotate_transfer.py"
