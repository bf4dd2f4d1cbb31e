"""Clusters.

In: the primary method's latent space. Out: ``graph.npz``, ``clusters.parquet``, ``stability.tsv``,
``resolutions.tsv``, ``found_again.tsv``, ``tree.tsv`` and ``umap.parquet``.
"""


rule cluster:
    """Build the neighbour graph and cut it into the clusters that are found again."""
    input:
        f"<results>/integration/{run.config['integrate']['primary']}/latent.parquet",
    output:
        graph="<results>/cluster/graph.npz",
        clusters="<results>/cluster/clusters.parquet",
        stability="<results>/cluster/stability.tsv",
        resolutions="<results>/cluster/resolutions.tsv",
        found_again="<results>/cluster/found_again.tsv",
        tree="<results>/cluster/tree.tsv",
    log:
        "<logs>/cluster/cluster.log",
    benchmark:
        "<benchmarks>/cluster/cluster.tsv"
    conda:
        "../../envs/cpu/environment.yaml"
    container:
        run.images["cpu"]
    threads: 1
    resources:
        mem_mb=lambda wildcards, input: int(900 + 80 * input.size_mb),
        runtime=60,
    params:
        code=lambda wildcards: code_digest("cluster"),
        settings=run.config["cluster"],
        seed=run.config["seed"],
    script:
        "../../scripts/cluster.py"


rule cluster_layout:
    """Lay the graph out on a plane, for the eye only."""
    input:
        latent=f"<results>/integration/{run.config['integrate']['primary']}/latent.parquet",
        graph="<results>/cluster/graph.npz",
    output:
        "<results>/cluster/umap.parquet",
    log:
        "<logs>/cluster/layout.log",
    benchmark:
        "<benchmarks>/cluster/layout.tsv"
    conda:
        "../../envs/cpu/environment.yaml"
    container:
        run.images["cpu"]
    threads: 1
    resources:
        mem_mb=lambda wildcards, input: int(900 + 80 * input.size_mb),
        runtime=60,
    params:
        code=lambda wildcards: code_digest("cluster_layout"),
        seed=run.config["seed"],
    script:
        "../../scripts/cluster_layout.py"
