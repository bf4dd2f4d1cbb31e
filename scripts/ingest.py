"""Rule `ingest`: cut the cells of one sample out of parsed files."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    import anndata as ad

    from emhniche.ingest import select_sample
    from emhniche.io import write_h5ad

    counts = select_sample(
        ad.read_h5ad(snakemake.input.parsed, backed="r"),
        sample=snakemake.wildcards.sample,
        select=snakemake.params.select,
        labels=snakemake.params.labels,
    )
    write_h5ad(counts, snakemake.output.counts)
