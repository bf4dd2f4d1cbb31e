"""Rule `niche`: what the design allows, and the tables of the comparison."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from dataclasses import fields

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
        seed=snakemake.params.seed,
    )
    for field in fields(tables):
        io.write_table(getattr(tables, field.name), snakemake.output[field.name])
