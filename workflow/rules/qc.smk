"""Quality control of each library.

In: a sample's counts. Out: ``qc.parquet`` (each barcode: metrics, lineage, kept or why not),
``qc.json`` (what the sample's page says) and ``soup.parquet`` (what its ambient RNA is made of). Then ``samples.tsv``: each library's verdict, by what it
shows itself and beside the others.
"""


rule qc:
    """Decide which barcodes of one sample are kept, within its lineages."""
    input:
        counts="<results>/samples/{sample}/counts.h5ad",
        cellbender=expand(
            "<results>/samples/{{sample}}/cellbender_{table}.parquet",
            table=(
                ["droplets", "profile"] if run.config["ambient"]["method"] == "cellbender" else []
            ),
        ),
        lineages=run.config["resources"]["lineages"],
        signatures=run.config["resources"]["signatures"],
    output:
        table="<results>/samples/{sample}/qc.parquet",
        summary="<results>/samples/{sample}/qc.json",
        soup="<results>/samples/{sample}/soup.parquet",
    log:
        "<logs>/qc/{sample}.log",
    benchmark:
        "<benchmarks>/qc/{sample}.tsv"
    # on the longest path: pages and comparisons can wait
    priority: 1
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("qc", "mem_mb"),
        runtime=asks("qc", "runtime"),
        disk_mb=asks("qc", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("qc"),
        settings=run.config["qc"],
        chemistry=lambda wildcards: run.samples.at[wildcards.sample, "chemistry"],
        cells_loaded=lambda wildcards: run.samples.at[wildcards.sample, "cells_loaded"],
        enrichment=lambda wildcards: run.samples.at[wildcards.sample, "enrichment"],
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/qc.py"


rule qc_verdicts:
    """Give every library its verdict: pass, warn, or fail, which keeps it out."""
    input:
        summaries=expand("<results>/samples/{sample}/qc.json", sample=run.samples.index),
        tables=expand("<results>/samples/{sample}/qc.parquet", sample=run.samples.index),
        counts=expand("<results>/samples/{sample}/counts.h5ad", sample=run.samples.index),
    output:
        "<results>/samples.tsv",
    log:
        "<logs>/qc/verdicts.log",
    benchmark:
        "<benchmarks>/qc/verdicts.tsv"
    # on the longest path: pages and comparisons can wait
    priority: 1
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("qc_verdicts", "mem_mb"),
        runtime=asks("qc_verdicts", "runtime"),
        disk_mb=asks("qc_verdicts", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("qc_verdicts"),
        sheet=run.samples[["sex", "donor", "keep_failed"]].to_dict("index"),
    script:
        "../../scripts/qc_verdicts.py"
