"""Rule `qc_page`: write the page of one sample, and what MultiQC reads of it."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from emhniche.report.multiqc import write_multiqc
    from emhniche.report.sample_page import build_sample_page

    files = Path(snakemake.input.summary), Path(snakemake.input.table)
    page = Path(snakemake.output.page)
    write_multiqc(*files, page.parent)
    build_sample_page(
        *files,
        page,
        sheet=snakemake.params.sheet,
        settings=snakemake.params.settings,
        simulated=snakemake.params.simulated,
    )
