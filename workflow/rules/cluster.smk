"""Clusters.

In: the primary method's latent space. Out: ``graph.npz``, ``clusters.parquet``, ``stability.tsv``,
``resolutions.tsv``, ``found_again.tsv``, ``tree.tsv`` and ``umap.parquet``; with ``cluster.zoom`` also
``zoom/<lineage>/``, for which the annotation comes in.
"""

# What decides a partition: not which lineages get one of their own, nor where the map is drawn.
of_partitions = {
    key: value
    for key, value in run.config["cluster"].items()
    if key not in ("zoom", "layout_accelerator")
}


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
        f"../../envs/{run.clustering}/environment.yaml"
    container:
        run.images[run.clustering]
    threads: 2
    resources:
        mem_mb=asks("cluster", "mem_mb"),
        runtime=asks("cluster", "runtime"),
        disk_mb=asks("cluster", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("cluster"),
        gpu_use=lambda wildcards: gpu_table(rules.cluster, wildcards),
        settings=of_partitions,
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
        f"../../envs/{run.layout}/environment.yaml"
    container:
        run.images[run.layout]
    threads: 1
    resources:
        mem_mb=asks("cluster_layout", "mem_mb"),
        runtime=asks("cluster_layout", "runtime"),
        disk_mb=asks("cluster_layout", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("cluster_layout"),
        gpu_use=lambda wildcards: gpu_table(rules.cluster_layout, wildcards),
        accelerator=run.config["cluster"]["layout_accelerator"],
        seed=run.config["seed"],
    script:
        "../../scripts/cluster_layout.py"


rule cluster_zoom:
    """Cluster one lineage by itself, where the settings ask for it."""
    input:
        latent=f"<results>/integration/{run.config['integrate']['primary']}/latent.parquet",
        cells="<results>/cells.h5ad",
        annotation="<results>/annotate/annotation.parquet",
        ambient=run.config["resources"]["ambient"],
    output:
        clusters="<results>/cluster/zoom/{lineage}/clusters.parquet",
        resolutions="<results>/cluster/zoom/{lineage}/resolutions.tsv",
        found_again="<results>/cluster/zoom/{lineage}/found_again.tsv",
        markers="<results>/cluster/zoom/{lineage}/markers.tsv",
    log:
        "<logs>/cluster/zoom_{lineage}.log",
    benchmark:
        "<benchmarks>/cluster/zoom_{lineage}.tsv"
    conda:
        f"../../envs/{run.clustering}/environment.yaml"
    container:
        run.images[run.clustering]
    threads: 1
    resources:
        mem_mb=asks("cluster_zoom", "mem_mb"),
        runtime=asks("cluster_zoom", "runtime"),
        disk_mb=asks("cluster_zoom", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("cluster_zoom"),
        gpu_use=lambda wildcards: gpu_table(rules.cluster_zoom, wildcards),
        settings=of_partitions,
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/cluster_zoom.py"
