"""Rule `signals`: scores, responses and the making of blood, compared between the arms."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    import anndata as ad

    from emhniche import io
    from emhniche.resources import load_panel, load_signatures
    from emhniche.response_sets import load_responses
    from emhniche.signals import read_signals

    species = snakemake.params.species
    panel = load_panel(snakemake.input.panel, species)
    tables = read_signals(
        ad.read_h5ad(snakemake.input.cells, backed="r"),
        io.read_table(snakemake.input.annotation),
        io.read_table(snakemake.input.scores),
        panel=panel,
        signatures=load_signatures(snakemake.input.signatures, species),
        responses=load_responses(snakemake.input.responses, species, panel),
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
    io.write_table(tables.scores, snakemake.output.scores)
    io.write_table(tables.responses, snakemake.output.responses)
    io.write_table(tables.emh_index, snakemake.output.emh_index)
    io.write_table(tables.emh_contrasts, snakemake.output.emh_contrasts)
    io.write_table(tables.emh_axes, snakemake.output.emh_axes)
