"""Rule `niche`: what the design allows, and the tables of the comparison."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    import anndata as ad

    from emhniche import io
    from emhniche.niche import compare_niches
    from emhniche.resources import load_ligand_receptor, load_panel

    species = snakemake.params.species
    panel = load_panel(snakemake.input.panel, species)
    tables = compare_niches(
        ad.read_h5ad(snakemake.input.cells, backed="r"),
        io.read_table(snakemake.input.annotation),
        panel,
        load_ligand_receptor(snakemake.input.pairs, species, panel),
        **snakemake.params.settings,
    )
    io.write_table(tables.design, snakemake.output.design)
    io.write_table(tables.contrasts, snakemake.output.contrasts)
    io.write_table(tables.production, snakemake.output.production)
    io.write_table(tables.composition, snakemake.output.composition)
    io.write_table(tables.ligand_receptor, snakemake.output.ligand_receptor)
