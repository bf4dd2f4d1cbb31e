"""Rule `known_answers`: ask the run's data what is published of them."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    import anndata as ad

    from emhniche import io
    from emhniche.known_answers import GeneTables, check_known_answers

    names = ("production", "contrasts", "gates", "calls")
    answers = check_known_answers(
        ad.read_h5ad(snakemake.input.cells, backed="r"),
        io.read_table(snakemake.input.annotation),
        {name: io.read_table(snakemake.input[name]) for name in names},
        answers=snakemake.input.answers,
        genes=GeneTables(snakemake.input.signatures, snakemake.params.species),
        simulated=snakemake.params.simulated,
    )
    io.write_table(answers, snakemake.output[0])
