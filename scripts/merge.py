"""Rule `merge`: write the kept cells of all samples into one file."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from emhniche.io import read_table
    from emhniche.merge import Part, kept_parts, merge_samples
    from emhniche.resources import load_lineages, load_panel, load_signatures

    species = snakemake.params.species
    sheet = pd.DataFrame.from_dict(snakemake.params.sheet, orient="index")
    files = snakemake.input
    parts = list(map(Part, sheet.index, files.counts, files.qc, files.soup))
    merge_samples(
        kept_parts(parts, read_table(files.verdicts)),
        sheet,
        snakemake.output[0],
        panel=load_panel(files.panel, species),
        signatures=load_signatures(files.signatures, species),
        lineages=load_lineages(files.lineages, species),
        **snakemake.params.settings,
    )
