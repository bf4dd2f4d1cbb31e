"""Rule `score`: score every cell for the panel's axes and the signatures."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    import anndata as ad

    from emhniche import io
    from emhniche.resources import load_panel, load_signatures
    from emhniche.score import score_cells

    scores, null = score_cells(
        ad.read_h5ad(snakemake.input.cells, backed="r"),
        panel=load_panel(snakemake.input.panel, snakemake.params.species),
        signatures=load_signatures(snakemake.input.signatures, snakemake.params.species),
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
    io.write_table(scores, snakemake.output.scores)
    io.write_table(null, snakemake.output.null)
