"""Rule `fetch`: bring one file of the registry, or of a url, to its place."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche.fetch import fetch_file, mirror_folders

    settings = dict(snakemake.params.settings)
    # The mirrors are looked up here, not in the rule: where a file comes from changes no result.
    mirrors = mirror_folders(settings.pop("mirrors"))
    fetch_file(snakemake.output.file, **snakemake.params.source, mirrors=mirrors, **settings)
