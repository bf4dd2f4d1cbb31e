"""Rule `axes`: the readings of each axis, side by side."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.axes import read_axes

    production = io.read_table(snakemake.input.production)
    table = read_axes(
        io.read_table(snakemake.input.contrasts),
        io.read_table(snakemake.input.responses),
        production.drop_duplicates("cell_type").set_index("cell_type")["lineage"],
    )
    io.write_table(table, snakemake.output.axes)
