"""Rule `qc`: decide which barcodes of one sample are kept."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.cellbender import read_estimate
    from emhniche.droplets import write_profile
    from emhniche.lineage import marker_sets
    from emhniche.qc import qc_sample
    from emhniche.resources import load_lineages, load_signatures

    species = snakemake.params.species
    cellbender = snakemake.input.cellbender
    lineages = load_lineages(snakemake.input.lineages, species)
    table, summary, soup = qc_sample(
        io.read_h5ad(snakemake.input.counts),
        marker_sets(lineages, finer=False),
        load_signatures(snakemake.input.signatures, species),
        sample=snakemake.wildcards.sample,
        species=species,
        chemistry=snakemake.params.chemistry,
        cells_loaded=snakemake.params.cells_loaded,
        enrichment=snakemake.params.enrichment,
        estimate=read_estimate(*cellbender) if cellbender else None,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
    io.write_table(table, snakemake.output.table)
    write_profile(soup.profile, snakemake.output.soup)
    io.write_json(summary, snakemake.output.summary)
