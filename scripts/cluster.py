"""Rule `cluster`: graph, clusters, layout and stability."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from scipy import sparse

    from emhniche import io
    from emhniche.cluster import cluster_cells

    found = cluster_cells(
        io.read_table(snakemake.input[0]), seed=snakemake.params.seed, **snakemake.params.settings
    )
    with io.atomic_path(snakemake.output.graph) as path:
        sparse.save_npz(path, found.graph)
    io.write_table(found.clusters, snakemake.output.clusters)
    io.write_table(found.umap, snakemake.output.umap)
    io.write_table(found.stability, snakemake.output.stability)
