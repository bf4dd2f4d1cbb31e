"""One matrix of the kept cells.

In: counts and qc table of every sample, and which of them are kept. Out: ``cells.h5ad``, raw counts on disk, which no later
stage writes again.
"""


rule merge:
    """Append the kept cells of all samples to one file and mark the genes."""
    input:
        counts=expand("<results>/samples/{sample}/counts.h5ad", sample=run.samples.index),
        qc=expand("<results>/samples/{sample}/qc.parquet", sample=run.samples.index),
        soup=expand("<results>/samples/{sample}/soup.parquet", sample=run.samples.index),
        verdicts="<results>/samples.tsv",
        panel=run.config["resources"]["panel"],
        signatures=run.config["resources"]["signatures"],
        lineages=run.config["resources"]["lineages"],
    output:
        "<results>/cells.h5ad",
    log:
        "<logs>/merge/merge.log",
    benchmark:
        "<benchmarks>/merge/merge.tsv"
    # on the longest path: pages and comparisons can wait
    priority: 1
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("merge", "mem_mb"),
        runtime=asks("merge", "runtime"),
        disk_mb=asks("merge", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("merge"),
        settings=run.config["merge"],
        sheet=run.samples.to_dict("index"),
        species=run.species,
    script:
        "../../scripts/merge.py"
