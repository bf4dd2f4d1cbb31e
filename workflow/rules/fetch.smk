"""Bringing files in.

In: nothing but a mirror folder or the network. Out: ``raw/<dataset>/<file>``, its size and sha256
checked against the registry.
"""

from emhniche.paths import fetch_source


rule fetch:
    """Bring one file of the registry, or of a url in the sample sheet, to its place."""
    output:
        file="<results>/raw/{dataset}/{file}",
    log:
        "<logs>/fetch/{dataset}/{file}.log",
    benchmark:
        "<benchmarks>/fetch/{dataset}/{file}.tsv"
    wildcard_constraints:
        file="[^/]+",
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("fetch", "mem_mb"),
        runtime=asks("fetch", "runtime"),
        disk_mb=asks("fetch", "disk_mb"),
    params:
        source=lambda wildcards: fetch_source(
            wildcards.dataset, wildcards.file, run.samples, run.registry
        ),
        # A function of the output is no trigger: how a file is fetched changes nothing in it.
        settings=lambda wildcards, output: run.config["fetch"],
    script:
        "../../scripts/fetch.py"
