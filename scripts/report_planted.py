"""Rule `planted_page`: write the page Planted and recovered of a simulated run."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from emhniche.report.planted_page import build_planted
    from emhniche.truths import Truth

    build_planted(
        Path(snakemake.output[0]).parents[1],
        truths=[Truth(**truth) for truth in snakemake.params.truths],
        study=snakemake.params.study,
        run_name=snakemake.params.run,
        title=snakemake.params.title,
    )
