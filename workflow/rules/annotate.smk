"""Names of the clusters.

In: ``cells.h5ad``, clusters, the lineage markers and the ambient genes. Out: ``annotation.parquet``
(each cell), ``clusters.tsv`` (each cluster and its parts, with confidence and runner-up),
``markers.tsv`` and ``marker_levels.tsv`` (its first markers in every cluster); where samples lend
their published labels, ``transferred.parquet`` and ``transferred.tsv``; with
``annotate.celltypist``, ``celltypist.parquet`` and ``celltypist.tsv``.
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
        levels="<results>/annotate/marker_levels.tsv",
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
        settings={
            k: v
            for k, v in run.config["annotate"].items()
            if k not in ("label_samples", "celltypist")
        },
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


rule annotate_celltypist:
    """Lay the labels of a CellTypist model beside the names, where its file is given."""
    input:
        cells="<results>/cells.h5ad",
        clusters="<results>/cluster/clusters.parquet",
        annotation="<results>/annotate/annotation.parquet",
        model=local(celltypist["model"]) if celltypist else [],
    output:
        cells="<results>/annotate/celltypist.parquet",
        table="<results>/annotate/celltypist.tsv",
    log:
        "<logs>/annotate/celltypist.log",
    benchmark:
        "<benchmarks>/annotate/celltypist.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("annotate_celltypist", "mem_mb"),
        runtime=asks("annotate_celltypist", "runtime"),
        disk_mb=asks("annotate_celltypist", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("annotate_celltypist"),
        sha256=celltypist.get("sha256", ""),
    script:
        "../../scripts/annotate_celltypist.py"
