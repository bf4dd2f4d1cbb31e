"""Rule `ambient`: what CellBender says of the soup and the cells of one library."""

from emhniche.gpu_use import gpu_use
from emhniche.logs import job_log

accelerator = snakemake.params.settings["accelerator"]
with job_log(snakemake.log[0]), gpu_use(snakemake.params.gpu_use, accelerator):
    from emhniche.cellbender import run_cellbender, write_estimate

    write_estimate(
        run_cellbender(snakemake.input[0], threads=snakemake.threads, **snakemake.params.settings),
        snakemake.output.droplets,
        snakemake.output.profile,
    )
