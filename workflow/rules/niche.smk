"""What the extramedullary niche has that the marrow niche has not.

In: ``cells.h5ad``, the annotation, the panel and its ligand-receptor pairs. Out: ``design.tsv`` (what
each contrast allows), ``contrasts.tsv`` (panel genes by cell type), ``production.tsv`` (who makes
them), ``composition.tsv`` (how frequent the cells are), ``supply.tsv`` (expression times abundance),
``ligand_receptor.tsv`` and ``ligand_receptor_contrasts.tsv`` (who could talk to whom).

Rule ``signals`` asks besides what the cells do. In: scores, signatures and responses as well. Out:
``scores.tsv`` and ``responses.tsv`` (what differs between the arms), ``emh_index.tsv`` and
``emh_contrasts.tsv`` (how much blood is made), ``emh_axes.tsv`` (which axes move with that). Rule
``axes`` puts the readings of an axis side by side in ``axes.tsv``.
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
        supply=report(
            "<results>/niche/supply.tsv",
            caption="../report/supply.rst",
            category="Tables",
            labels={"table": "niche/supply.tsv"},
        ),
        ligand_receptor_contrasts=report(
            "<results>/niche/ligand_receptor_contrasts.tsv",
            caption="../report/ligand_receptor_contrasts.rst",
            category="Tables",
            labels={"table": "niche/ligand_receptor_contrasts.tsv"},
        ),
    log:
        "<logs>/niche/niche.log",
    benchmark:
        "<benchmarks>/niche/niche.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("niche", "mem_mb"),
        runtime=asks("niche", "runtime"),
        disk_mb=asks("niche", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("niche"),
        settings=run.config["niche"],
        species=run.species,
        seed=run.config["seed"],
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
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("signals", "mem_mb"),
        runtime=asks("signals", "runtime"),
        disk_mb=asks("signals", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("niche_signals"),
        settings=run.config["niche"],
        species=run.species,
        seed=run.config["seed"],
    script:
        "../../scripts/niche_signals.py"


rule axes:
    """Put production, reception, restraint and response of each axis side by side."""
    input:
        contrasts="<results>/niche/contrasts.tsv",
        responses="<results>/niche/responses.tsv",
        production="<results>/niche/production.tsv",
    output:
        axes=report(
            "<results>/niche/axes.tsv",
            caption="../report/axes.rst",
            category="Tables",
            labels={"table": "niche/axes.tsv"},
        ),
    log:
        "<logs>/niche/axes.log",
    benchmark:
        "<benchmarks>/niche/axes.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("axes", "mem_mb"),
        runtime=asks("axes", "runtime"),
        disk_mb=asks("axes", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("niche_axes"),
    script:
        "../../scripts/niche_axes.py"
