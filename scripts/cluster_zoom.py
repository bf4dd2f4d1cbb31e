"""Rule `cluster_zoom`: cluster one lineage by itself."""

from emhniche.gpu_use import gpu_use
from emhniche.logs import job_log

accelerator = snakemake.params.settings["accelerator"]
with job_log(snakemake.log[0]), gpu_use(snakemake.params.gpu_use, accelerator):
    from emhniche import io
    from emhniche.resources import load_ambient
    from emhniche.zoom import zoom_in

    found, markers = zoom_in(
        io.read_h5ad(snakemake.input.cells),
        io.read_table(snakemake.input.latent),
        io.read_table(snakemake.input.annotation),
        lineage=snakemake.wildcards.lineage,
        listed=load_ambient(snakemake.input.ambient, snakemake.params.species),
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
    )
    for name in ("clusters", "resolutions", "found_again"):
        io.write_table(getattr(found, name), snakemake.output[name])
    io.write_table(markers, snakemake.output.markers)
