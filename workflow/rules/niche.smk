"""What the extramedullary niche has that the marrow niche has not.

In: ``cells.h5ad``, the annotation, the panel and its ligand-receptor pairs. Out: ``design.tsv`` (what
each contrast allows), ``contrasts.tsv`` (panel genes by cell type), ``production.tsv`` (who makes
them), ``composition.tsv`` (how frequent the cells are) and ``ligand_receptor.tsv``.
"""


rule niche:
    """Compare the arms of every contrast, donor by donor, or say why they cannot be compared."""
    input:
        cells="<results>/cells.h5ad",
        annotation="<results>/annotate/annotation.parquet",
        panel=run.config["resources"]["panel"],
        pairs=run.config["resources"]["ligand_receptor"],
    output:
        design="<results>/niche/design.tsv",
        contrasts="<results>/niche/contrasts.tsv",
        production="<results>/niche/production.tsv",
        composition="<results>/niche/composition.tsv",
        ligand_receptor="<results>/niche/ligand_receptor.tsv",
    log:
        "<logs>/niche/niche.log",
    benchmark:
        "<benchmarks>/niche/niche.tsv"
    conda:
        "../../envs/cpu/environment.yaml"
    container:
        run.images["cpu"]
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=run.config["niche"],
        species=run.species,
    script:
        "../../scripts/niche.py"
