"""Rule `cluster_layout`: the map of cells."""

from emhniche.gpu_use import gpu_use
from emhniche.logs import job_log

accelerator = snakemake.params.accelerator
with job_log(snakemake.log[0]), gpu_use(snakemake.params.gpu_use, accelerator):
    from scipy import sparse

    from emhniche import io
    from emhniche.layout import lay_out

    place = lay_out(
        io.read_table(snakemake.input.latent),
        sparse.load_npz(snakemake.input.graph),
        accelerator=accelerator,
        seed=snakemake.params.seed,
    )
    io.write_table(place, snakemake.output[0])
