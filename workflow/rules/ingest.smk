"""Turning files into counts.

In: the files that the sample sheet names. Out: ``samples/<sample>/counts.h5ad``, integer counts of
the sample's barcodes by official gene symbol. Files are parsed once for all samples in them.
"""

from emhniche.paths import file_group, group_sample


rule ingest_file:
    """Parse the files that one or more samples are cut out of."""
    input:
        files=lambda wildcards: given_or_made(
            group_sample(wildcards.dataset, wildcards.group, run.samples)
        ),
        aliases=run.config["resources"]["aliases"],
    output:
        parsed=temp("<results>/parsed/{dataset}/{group}.h5ad"),
    log:
        "<logs>/ingest_file/{dataset}/{group}.log",
    benchmark:
        "<benchmarks>/ingest_file/{dataset}/{group}.tsv"
    wildcard_constraints:
        group="[^/]+",
    # on the longest path: pages and comparisons can wait
    priority: 1
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("ingest_file", "mem_mb"),
        runtime=asks("ingest_file", "runtime"),
        disk_mb=asks("ingest_file", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("ingest_file"),
        format=lambda wildcards: group_sample(wildcards.dataset, wildcards.group, run.samples)[
            "format"
        ],
        species=run.species,
    script:
        "../../scripts/ingest_file.py"


rule ingest:
    """Cut the cells of one sample out of parsed files."""
    input:
        parsed=lambda wildcards: "<results>/parsed/{}/{}.h5ad".format(
            run.samples.at[wildcards.sample, "dataset"],
            file_group(run.samples.loc[wildcards.sample]),
        ),
    output:
        counts="<results>/samples/{sample}/counts.h5ad",
    log:
        "<logs>/ingest/{sample}.log",
    benchmark:
        "<benchmarks>/ingest/{sample}.tsv"
    # on the longest path: pages and comparisons can wait
    priority: 1
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("ingest", "mem_mb"),
        runtime=asks("ingest", "runtime"),
        disk_mb=asks("ingest", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("ingest"),
        select=lambda wildcards: run.samples.at[wildcards.sample, "select"],
        labels=lambda wildcards: run.samples.at[wildcards.sample, "labels"],
    script:
        "../../scripts/ingest.py"
