"""Clusters.

In: the primary method's latent space. Out: ``graph.npz``, ``clusters.parquet``, ``umap.parquet`` and
``stability.tsv``.
"""


rule cluster:
    """Build the neighbour graph, cut it by Leiden and lay it out."""
    input:
        f"<results>/integration/{run.config['integrate']['primary']}/latent.parquet",
    output:
        graph="<results>/cluster/graph.npz",
        clusters="<results>/cluster/clusters.parquet",
        umap="<results>/cluster/umap.parquet",
        stability="<results>/cluster/stability.tsv",
    log:
        "<logs>/cluster/cluster.log",
    benchmark:
        "<benchmarks>/cluster/cluster.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("cluster", "mem_mb"),
        runtime=asks("cluster", "runtime"),
        disk_mb=asks("cluster", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("cluster"),
        settings=run.config["cluster"],
        seed=run.config["seed"],
    script:
        "../../scripts/cluster.py"
