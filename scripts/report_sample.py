"""Rule `qc_page`: write the page of one sample, and what MultiQC reads of it."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from emhniche.report.multiqc import write_multiqc
    from emhniche.report.sample_page import build_sample_page

    files = Path(snakemake.input.summary), Path(snakemake.input.table)
    page, verdicts = Path(snakemake.output.page), Path(snakemake.input.verdicts)
    write_multiqc(*files, verdicts, page.parent)
    build_sample_page(
        *files,
        page,
        verdicts=verdicts,
        sheet=snakemake.params.sheet,
        settings=snakemake.params.settings,
        simulated=snakemake.params.simulated,
    )
