"""Rule `cluster`: graph, clusters and how stable they are."""

from emhniche.gpu_use import gpu_use
from emhniche.logs import job_log

accelerator = snakemake.params.settings["accelerator"]
with job_log(snakemake.log[0]), gpu_use(snakemake.params.gpu_use, accelerator):
    from scipy import sparse

    from emhniche import io
    from emhniche.cluster import cluster_cells

    found = cluster_cells(
        io.read_table(snakemake.input[0]),
        seed=snakemake.params.seed,
        threads=snakemake.threads,
        **snakemake.params.settings,
    )
    with io.atomic_path(snakemake.output.graph) as path:
        sparse.save_npz(path, found.graph)
    for name in ("clusters", "stability", "resolutions", "found_again", "tree"):
        io.write_table(getattr(found, name), snakemake.output[name])
