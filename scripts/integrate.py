"""Rules `integrate_*`: place the cells in a latent space by one method."""

from emhniche.gpu_use import gpu_use
from emhniche.logs import job_log

# several GPUs: the process of each reads this file, too, and must not begin anew
if __name__ == "__main__":
    # principal components know no GPU
    accelerator = snakemake.params.settings.get("accelerator", "cpu")
    with job_log(snakemake.log[0]), gpu_use(snakemake.params.get("gpu_use"), accelerator):
        from emhniche import io
        from emhniche.integrate import integrate

        found = integrate(
            io.read_genes(snakemake.input[0], "highly_variable"),
            method=snakemake.wildcards.method,
            n_latent=snakemake.params.n_latent,
            batch_key=snakemake.params.batch_key,
            seed=snakemake.params.seed,
            threads=snakemake.threads,
            **snakemake.params.settings,
        )
        if found.model:
            with io.atomic_folder(snakemake.output.model) as folder:
                found.model.save(str(folder), overwrite=True)
            io.write_table(found.history, snakemake.output.history)
            io.write_json(found.device, snakemake.output.device)
        io.write_table(found.latent, snakemake.output.latent)
