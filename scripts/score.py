"""Rule `score`: score every cell for the panel's axes and the signatures."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    import anndata as ad

    from emhniche import io
    from emhniche.ambient_genes import ambient_genes
    from emhniche.resources import load_ambient, load_panel, load_signatures
    from emhniche.score import score_cells

    cells, species = ad.read_h5ad(snakemake.input.cells, backed="r"), snakemake.params.species
    listed = load_ambient(snakemake.input.ambient, species)
    ambient = ambient_genes(cells, cells.obs["qc_lineage"], listed)
    scores, null = score_cells(
        cells,
        panel=load_panel(snakemake.input.panel, species),
        signatures=load_signatures(snakemake.input.signatures, species),
        ambient=ambient,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
    io.write_table(scores, snakemake.output.scores)
    io.write_table(null, snakemake.output.null)
    io.write_table(ambient, snakemake.output.ambient)
