"""Rule `cluster_layout`: the map of cells."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from scipy import sparse

    from emhniche import io
    from emhniche.layout import lay_out

    place = lay_out(
        io.read_table(snakemake.input.latent),
        sparse.load_npz(snakemake.input.graph),
        seed=snakemake.params.seed,
    )
    io.write_table(place, snakemake.output[0])
