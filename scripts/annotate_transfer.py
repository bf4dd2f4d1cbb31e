"""Rule `annotate_transfer`: hand published labels to all other cells."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.label_transfer import transfer_labels

    cells, table = transfer_labels(
        io.read_table(snakemake.input.latent),
        io.read_obs(snakemake.input.cells),
        io.read_table(snakemake.input.annotation),
        samples=snakemake.params.samples,
    )
    io.write_table(cells, snakemake.output.cells)
    io.write_table(table, snakemake.output.table)
