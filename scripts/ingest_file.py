"""Rule `ingest_file`: parse the files that one or more samples are cut out of."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche.genes import read_aliases
    from emhniche.ingest import parse_files
    from emhniche.io import write_h5ad

    species = snakemake.params.species
    parsed = parse_files(
        snakemake.input.files,
        file_format=snakemake.params.format,
        aliases=read_aliases(snakemake.input.aliases, species),
        species=species,
    )
    write_h5ad(parsed, snakemake.output.parsed)
