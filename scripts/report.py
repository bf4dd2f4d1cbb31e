"""Rule `report`: write the run's report and its figures."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    import pandas as pd

    from emhniche.report.index_page import build_index

    build_index(
        Path(snakemake.output.index).parents[1],
        config=snakemake.params.config,
        samples=pd.DataFrame(snakemake.params.samples).set_index("sample"),
        registry=pd.DataFrame(snakemake.params.registry).set_index("file"),
    )
