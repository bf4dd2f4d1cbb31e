"""Rule `myeloid`: score myeloid cells and call those that are MDSC-like."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.myeloid import call_myeloid
    from emhniche.resources import load_signatures

    settings = dict(snakemake.params.settings)
    tables = call_myeloid(
        io.read_h5ad(snakemake.input.cells),
        io.read_table(snakemake.input.annotation),
        load_signatures(snakemake.input.signatures, snakemake.params.species),
        names=settings.pop("signatures"),
        seed=snakemake.params.seed,
        **settings,
    )
    for name in ("calls", "donors", "gates", "subsets", "clusters"):
        io.write_table(getattr(tables, name), snakemake.output[name])
