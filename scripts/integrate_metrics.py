"""Rule `integrate_metrics`: measure each latent space between floor and ceiling."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.metrics import integration_metrics

    latents = dict(zip(snakemake.params.methods, snakemake.input.latents, strict=True))
    table = integration_metrics(
        {method: io.read_table(path) for method, path in latents.items()},
        io.read_obs(snakemake.input.cells),
        batch_key=snakemake.params.batch_key,
        seed=snakemake.params.seed,
    )
    io.write_table(table, snakemake.output[0])
