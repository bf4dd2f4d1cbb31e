"""Rule `provenance`: record versions, seeds, settings, sums of the inputs and the machine."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    import pandas as pd

    from emhniche import io
    from emhniche.report.provenance import collect_provenance

    samples = pd.DataFrame(snakemake.params.samples).set_index("sample")
    record = collect_provenance(
        config=snakemake.params.config,
        samples=samples,
        sources=snakemake.params.sources,
        registry=pd.DataFrame(snakemake.params.registry).set_index("file"),
        counts=dict(zip(samples.index, map(Path, snakemake.input.counts), strict=True)),
        device=io.read_json(snakemake.input.device[0]) if snakemake.input.device else None,
        commit=snakemake.params.commit,
    )
    io.write_json(record, snakemake.output[0])
