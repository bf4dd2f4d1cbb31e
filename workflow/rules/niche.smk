"""What the extramedullary niche has that the marrow niche has not.

Rule ``signals`` asks besides what the cells do. In: scores, signatures and responses as well. Out:
``scores.tsv`` and ``responses.tsv`` (what differs between the arms), ``emh_index.tsv`` and
``emh_contrasts.tsv`` (how much blood is made), ``emh_axes.tsv`` (which axes move with that).

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
        design=report(
            "<results>/niche/design.tsv",
            caption="../report/design.rst",
            category="Tables",
            labels={"table": "niche/design.tsv"},
        ),
        contrasts=report(
            "<results>/niche/contrasts.tsv",
            caption="../report/contrasts.rst",
            category="Tables",
            labels={"table": "niche/contrasts.tsv"},
        ),
        production=report(
            "<results>/niche/production.tsv",
            caption="../report/production.rst",
            category="Tables",
            labels={"table": "niche/production.tsv"},
        ),
        composition=report(
            "<results>/niche/composition.tsv",
            caption="../report/cell_type_composition.rst",
            category="Tables",
            labels={"table": "niche/composition.tsv"},
        ),
        ligand_receptor=report(
            "<results>/niche/ligand_receptor.tsv",
            caption="../report/ligand_receptor.rst",
            category="Tables",
            labels={"table": "niche/ligand_receptor.tsv"},
        ),
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
        mem_mb=lambda wildcards, input: int(600 + 15 * input.size_mb),
        runtime=60,
    params:
        code=lambda wildcards: code_digest("niche"),
        settings=run.config["niche"],
        species=run.species,
    script:
        "../../scripts/niche.py"


rule signals:
    """Compare scores and responses between the arms, and tell how much blood is made."""
    input:
        cells="<results>/cells.h5ad",
        annotation="<results>/annotate/annotation.parquet",
        scores="<results>/score/scores.parquet",
        panel=run.config["resources"]["panel"],
        signatures=run.config["resources"]["signatures"],
        responses=run.config["resources"]["responses"],
    output:
        scores=report(
            "<results>/niche/scores.tsv",
            caption="../report/score_contrasts.rst",
            category="Tables",
            labels={"table": "niche/scores.tsv"},
        ),
        responses=report(
            "<results>/niche/responses.tsv",
            caption="../report/responses.rst",
            category="Tables",
            labels={"table": "niche/responses.tsv"},
        ),
        emh_index=report(
            "<results>/niche/emh_index.tsv",
            caption="../report/emh_index.rst",
            category="Tables",
            labels={"table": "niche/emh_index.tsv"},
        ),
        emh_contrasts=report(
            "<results>/niche/emh_contrasts.tsv",
            caption="../report/emh_contrasts.rst",
            category="Tables",
            labels={"table": "niche/emh_contrasts.tsv"},
        ),
        emh_axes=report(
            "<results>/niche/emh_axes.tsv",
            caption="../report/emh_axes.rst",
            category="Tables",
            labels={"table": "niche/emh_axes.tsv"},
        ),
    log:
        "<logs>/niche/signals.log",
    benchmark:
        "<benchmarks>/niche/signals.tsv"
    conda:
        "../../envs/cpu/environment.yaml"
    container:
        run.images["cpu"]
    threads: 1
    resources:
        mem_mb=lambda wildcards, input: int(800 + 15 * input.size_mb),
        runtime=60,
    params:
        code=lambda wildcards: code_digest("niche_signals"),
        settings=run.config["niche"],
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/niche_signals.py"
