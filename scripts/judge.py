"""Rule `judge`: compare what the results say with what was planted."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from emhniche import io
    from emhniche.judging import judge
    from emhniche.truths import Truth

    table = judge(
        [Truth(**truth) for truth in snakemake.params.truths],
        Path(snakemake.input.cells).parents[1],
        snakemake.params.study,
    )
    io.write_table(table, snakemake.output[0])
