"""Rule `crate`: describe the run as an RO-Crate that it can be replayed from."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from emhniche import io
    from emhniche.report.crate import write_crate, write_inputs

    output = snakemake.output
    root = Path(output.crate).parent
    write_inputs(
        Path(output.config).parent,
        snakemake.params.files,
        snakemake.params.config,
        snakemake.params.study,
    )
    write_crate(
        root,
        given=map(Path, [output.config, *output.study, *output.files]),
        results=map(Path, snakemake.input.results),
        title=snakemake.params.config["report"]["title"],
        provenance=io.read_json(snakemake.input.provenance),
        packages=snakemake.params.packages,
    )
