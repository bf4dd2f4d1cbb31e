"""Rule `qc_verdicts`: give every library its verdict."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from emhniche import io
    from emhniche.duplicates import Library, find_duplicates
    from emhniche.library_verdict import judge_libraries

    sheet = pd.DataFrame.from_dict(snakemake.params.sheet, orient="index")
    libraries = map(Library, snakemake.input.counts, snakemake.input.tables)
    judged = judge_libraries(
        dict(zip(sheet.index, map(io.read_json, snakemake.input.summaries), strict=True)),
        sheet,
        find_duplicates(dict(zip(sheet.index, libraries, strict=True))),
    )
    io.write_table(judged, snakemake.output[0])
