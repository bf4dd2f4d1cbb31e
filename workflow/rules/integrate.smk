"""Latent spaces.

In: ``cells.h5ad``. Out: for each method ``latent.parquet``, for scVI and scANVI also model, history and
the device that trained it; ``metrics.tsv``, which sets each method between floor and ceiling; and
``mixing.tsv`` and ``verdict.tsv``: what mixes within each cell type, and what can have been erased.
"""


rule integrate_scvi:
    """Train scVI on raw counts with the library as batch; scANVI goes on with labels."""
    input:
        "<results>/cells.h5ad",
    output:
        latent="<results>/integration/{method}/latent.parquet",
        history="<results>/integration/{method}/history.tsv",
        device="<results>/integration/{method}/device.json",
        model=directory("<results>/integration/{method}/model"),
    log:
        "<logs>/integrate/{method}.log",
    benchmark:
        "<benchmarks>/integrate/{method}.tsv"
    wildcard_constraints:
        method="scvi|scanvi",
    # on the longest path: pages and comparisons can wait
    priority: 1
    conda:
        f"../../envs/{run.training}/environment.yaml"
    container:
        run.images[run.training]
    threads: 1
    resources:
        mem_mb=asks("integrate_scvi", "mem_mb"),
        runtime=asks("integrate_scvi", "runtime"),
        disk_mb=asks("integrate_scvi", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("integrate"),
        gpu_use=lambda wildcards: gpu_table(rules.integrate_scvi, wildcards),
        settings=lambda wildcards: run.config["integrate"]["scvi"]
        | (run.config["integrate"]["scanvi"] if wildcards.method == "scanvi" else {}),
        n_latent=run.config["integrate"]["n_latent"],
        batch_key=run.config["integrate"]["batch_key"],
        seed=run.config["seed"],
    script:
        "../../scripts/integrate.py"


rule integrate_components:
    """Principal components: nothing corrected, for comparison, or by Harmony."""
    input:
        "<results>/cells.h5ad",
    output:
        latent="<results>/integration/{method}/latent.parquet",
    log:
        "<logs>/integrate/{method}.log",
    benchmark:
        "<benchmarks>/integrate/{method}.tsv"
    wildcard_constraints:
        method="pca|harmony",
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("integrate_components", "mem_mb"),
        runtime=asks("integrate_components", "runtime"),
        disk_mb=asks("integrate_components", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("integrate"),
        settings=lambda wildcards: run.config["integrate"].get(wildcards.method, {}),
        n_latent=run.config["integrate"]["n_latent"],
        batch_key=run.config["integrate"]["batch_key"],
        seed=run.config["seed"],
    script:
        "../../scripts/integrate.py"


rule integrate_metrics:
    """Measure the latent spaces between controls, and say what integration can have undone."""
    input:
        latents=expand(
            "<results>/integration/{method}/latent.parquet",
            method=run.config["integrate"]["methods"],
        ),
        cells="<results>/cells.h5ad",
        scores="<results>/score/scores.parquet",
    output:
        metrics="<results>/integration/metrics.tsv",
        mixing="<results>/integration/mixing.tsv",
        verdict="<results>/integration/verdict.tsv",
    log:
        "<logs>/integrate/metrics.log",
    benchmark:
        "<benchmarks>/integrate/metrics.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("integrate_metrics", "mem_mb"),
        runtime=asks("integrate_metrics", "runtime"),
        disk_mb=asks("integrate_metrics", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("integrate_metrics"),
        methods=run.config["integrate"]["methods"],
        batch_key=run.config["integrate"]["batch_key"],
        seed=run.config["seed"],
    script:
        "../../scripts/integrate_metrics.py"
