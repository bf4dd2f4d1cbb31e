"""How strongly each cell expresses the panel's axes and the signatures.

In: ``cells.h5ad``, panel, signatures and the ambient genes. Out: ``scores.parquet`` (each cell and
set: UCell score and its distance from matched random sets), ``null.tsv`` (each set and dataset: genes
measured, status and how the random sets scored) and ``ambient.tsv`` (each dataset, lineage and
ambient gene: whether the soup explains its counts, which are then left out).
"""


rule score:
    """Score every cell, dataset by dataset, against random gene sets of like expression."""
    input:
        cells="<results>/cells.h5ad",
        panel=run.config["resources"]["panel"],
        signatures=run.config["resources"]["signatures"],
        ambient=run.config["resources"]["ambient"],
    output:
        scores="<results>/score/scores.parquet",
        null="<results>/score/null.tsv",
        ambient="<results>/score/ambient.tsv",
    log:
        "<logs>/score/score.log",
    benchmark:
        "<benchmarks>/score/score.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("score", "mem_mb"),
        runtime=asks("score", "runtime"),
        disk_mb=asks("score", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("score"),
        settings=run.config["score"],
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/score.py"
