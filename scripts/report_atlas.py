"""Rule `atlas`: join counts and all per-cell tables in one file."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from emhniche.report.atlas import build_atlas

    build_atlas(
        Path(snakemake.input.cells),
        Path(snakemake.output[0]),
        clusters=Path(snakemake.input.clusters),
        umap=Path(snakemake.input.umap),
        annotation=Path(snakemake.input.annotation),
        scores=Path(snakemake.input.scores),
        calls=Path(snakemake.input.calls),
        latents=dict(
            zip(snakemake.params.methods, map(Path, snakemake.input.latents), strict=True)
        ),
        title=snakemake.params.title,
        published=set(snakemake.params.published),
    )
