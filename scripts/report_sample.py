"""Rule `qc_page`: write the page of one sample."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from emhniche.report.sample_page import build_sample_page

    build_sample_page(
        Path(snakemake.input.summary),
        Path(snakemake.input.table),
        Path(snakemake.output[0]),
        verdicts=Path(snakemake.input.verdicts),
        sheet=snakemake.params.sheet,
        settings=snakemake.params.settings,
        simulated=snakemake.params.simulated,
    )
