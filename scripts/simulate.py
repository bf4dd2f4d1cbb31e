"""Rule `simulate`: draw the counts of a study whose truth is known."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.simulate import load_cell_model, simulate
    from emhniche.truths import Truth

    model = load_cell_model(**dict(snakemake.input.items()))
    cohort, cells = simulate(
        snakemake.params.study,
        model,
        [Truth(**truth) for truth in snakemake.params.truths],
        seed=snakemake.params.seed,
    )
    io.write_h5ad(cohort, snakemake.output.cohort)
    io.write_table(cells, snakemake.output.cells)
    io.write_table(model.rates.rename_axis("gene").reset_index(), snakemake.output.rates)
