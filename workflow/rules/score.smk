"""How strongly each cell expresses the panel's axes and the signatures.

In: ``cells.h5ad``, panel and signatures. Out: ``scores.parquet`` (each cell and set: UCell score and
its distance from matched random sets) and ``null.tsv`` (each set and dataset: genes measured, status
and how the random sets scored).
"""


rule score:
    """Score every cell, dataset by dataset, against random gene sets of like expression."""
    input:
        cells="<results>/cells.h5ad",
        panel=run.config["resources"]["panel"],
        signatures=run.config["resources"]["signatures"],
    output:
        scores="<results>/score/scores.parquet",
        null="<results>/score/null.tsv",
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
