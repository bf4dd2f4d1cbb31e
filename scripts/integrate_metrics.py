"""Rule `integrate_metrics`: measure each latent space, and say what integration can have undone."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.metrics import integration_metrics
    from emhniche.overcorrection import mixing_table, verdicts

    files = dict(zip(snakemake.params.methods, snakemake.input.latents, strict=True))
    latents = {method: io.read_table(path) for method, path in files.items()}
    obs = io.read_obs(snakemake.input.cells)
    given = {"batch_key": snakemake.params.batch_key, "seed": snakemake.params.seed}
    scores = io.read_table(snakemake.input.scores)
    metrics = integration_metrics(latents, obs, scores=scores, **given)
    mixing = mixing_table(latents, obs, **given)
    verdict = verdicts(mixing, metrics, obs, batch_key=snakemake.params.batch_key)
    io.write_table(metrics, snakemake.output.metrics)
    io.write_table(mixing, snakemake.output.mixing)
    io.write_table(verdict, snakemake.output.verdict)
