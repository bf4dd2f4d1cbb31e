"""What CellBender says of the ambient RNA of each library, where the configuration asks for it.

In: a sample's counts. Out: ``cellbender_droplets.parquet`` and ``cellbender_profile.parquet``, which
:mod:`qc` reads.
"""


rule ambient:
    """Tell droplets with a cell from those without, and own RNA from the soup."""
    input:
        "<results>/samples/{sample}/counts.h5ad",
    output:
        droplets="<results>/samples/{sample}/cellbender_droplets.parquet",
        profile="<results>/samples/{sample}/cellbender_profile.parquet",
    log:
        "<logs>/ambient/{sample}.log",
    benchmark:
        "<benchmarks>/ambient/{sample}.tsv"
    conda:
        "../../envs/scvi-gpu/environment.yaml"
    container:
        run.images["scvi-gpu"]
    threads: 1
    resources:
        mem_mb=asks("ambient", "mem_mb"),
        runtime=asks("ambient", "runtime"),
        disk_mb=asks("ambient", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("ambient"),
        gpu_use=lambda wildcards: gpu_table(rules.ambient, wildcards),
        settings=run.config["ambient"]["cellbender"],
    script:
        "../../scripts/ambient.py"
