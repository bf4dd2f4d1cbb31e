"""Rule `annotate_celltypist`: what a CellTypist model says of the cells."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.celltypist import ask_model
    from emhniche.celltypist_model import read_model

    opinion, table = ask_model(
        io.read_h5ad(snakemake.input.cells),
        io.read_table(snakemake.input.clusters).set_index(io.CELL_ID)["cluster"],
        io.read_table(snakemake.input.annotation),
        read_model(snakemake.input.model, snakemake.params.sha256),
    )
    io.write_table(opinion, snakemake.output.cells)
    io.write_table(table, snakemake.output.table)
