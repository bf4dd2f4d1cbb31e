"""Quality control of each library.

In: a sample's counts. Out: ``qc.parquet`` (each barcode: metrics, lineage, kept or why not) and
``qc.json`` (what the sample's page says).
"""


rule qc:
    """Decide which barcodes of one sample are kept, within its lineages."""
    input:
        counts="<results>/samples/{sample}/counts.h5ad",
        lineages=run.config["resources"]["lineages"],
    output:
        table="<results>/samples/{sample}/qc.parquet",
        summary="<results>/samples/{sample}/qc.json",
    log:
        "<logs>/qc/{sample}.log",
    benchmark:
        "<benchmarks>/qc/{sample}.tsv"
    # on the longest path: pages and comparisons can wait
    priority: 1
    conda:
        "../../envs/cpu/environment.yaml"
    container:
        run.images["cpu"]
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        code=lambda wildcards: code_digest("qc"),
        settings=run.config["qc"],
        chemistry=lambda wildcards: run.samples.at[wildcards.sample, "chemistry"],
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/qc.py"
