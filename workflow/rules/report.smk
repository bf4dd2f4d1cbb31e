"""The pages people open, the joined file and the record of the run.

In: the tables of every stage. Out: a page for each sample (``qc.html``), ``report/index.html`` with
its figures, ``atlas.h5ad`` (counts with all per-cell columns), ``provenance.json``, and the run as an
RO-Crate: ``inputs/`` (what it was given, as a replay takes it) and ``ro-crate-metadata.json``.
"""

from emhniche.code import git_commit
from emhniche.environments import PURPOSES, packages
from emhniche.replay import replay_config, replay_files, replay_study


report: "../report/workflow.rst"


FIGURES = {
    "losses": "losses",
    "quality": "quality",
    "training": "training",
    "metrics": "metrics",
    "umap": "umap",
    "resolutions": "resolutions",
    "markers": "markers",
    **{f"zoom-{lineage}": "zoom" for lineage in run.config["cluster"]["zoom"]},
    **({"transferred": "transferred"} if run.config["annotate"]["label_samples"] else {}),
    **({"celltypist": "celltypist"} if celltypist else {}),
    "composition": "composition",
    "talk": "talk",
    "talk-changes": "talk_changes",
    "responses": "responses_figure",
    "emh-index": "emh_index_figure",
    "myeloid": "myeloid",
    "myeloid-donors": "myeloid_donors",
    "myeloid-overlap": "myeloid_overlap",
    **{f"panel-{niche}": "panel" for niche in sorted(set(run.samples["niche"]) - {""})},
    **{f"forest-{one['name']}": "forest" for one in run.config["niche"]["contrasts"]},
    **{f"supply-{one['name']}": "supply_figure" for one in run.config["niche"]["contrasts"]},
}
"""Figure of the report -> its caption in ``workflow/report``."""

FIGURE_TABLES = [
    "losses",
    "losses_by_lineage",
    "quality_by_sample",
    "composition_by_sample",
    "myeloid_cells",
    "myeloid_overlap",
    *(["transferred_by_lineage"] if run.config["annotate"]["label_samples"] else []),
    *(["celltypist_by_lineage"] if celltypist else []),
]
"""Tables that the report's figures are drawn from and no other stage writes."""


rule qc_page:
    """Write one sample's page, and the same numbers for MultiQC."""
    input:
        summary="<results>/samples/{sample}/qc.json",
        table="<results>/samples/{sample}/qc.parquet",
        verdicts="<results>/samples.tsv",
    output:
        page=report(
            "<results>/samples/{sample}/qc.html",
            caption="../report/qc_page.rst",
            category="Quality control",
            labels={"sample": "{sample}"},
        ),
        multiqc=[
            f"<results>/samples/{{sample}}/qc_{name}_mqc.json"
            for name in ("general", "table", "losses")
        ],
        tables=[
            f"<results>/samples/{{sample}}/qc_{name}.tsv"
            for name in ("barcodes", "thresholds", "lineages", "metrics", "ambient")
        ],
    log:
        "<logs>/report/{sample}.log",
    benchmark:
        "<benchmarks>/report/{sample}.tsv"
    conda:
        "../../envs/report/environment.yaml"
    container:
        run.images["report"]
    threads: 1
    resources:
        mem_mb=asks("qc_page", "mem_mb"),
        runtime=asks("qc_page", "runtime"),
        disk_mb=asks("qc_page", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("report_sample"),
        sheet=lambda wildcards: run.samples.loc[wildcards.sample].to_dict(),
        settings=run.config["qc"],
        simulated=run.study is not None,
    script:
        "../../scripts/report_sample.py"


rule provenance:
    """Record versions, seeds, settings, sums of the inputs and the machine."""
    input:
        counts=expand("<results>/samples/{sample}/counts.h5ad", sample=run.samples.index),
        sources=[local(path) for path in run.sources.values()],
        resources=list(run.config["resources"].values()),
        device=expand(
            "<results>/integration/{method}/device.json",
            method={run.config["integrate"]["primary"]} & {"scvi", "scanvi"},
        ),
    output:
        report(
            "<results>/provenance.json",
            caption="../report/provenance.rst",
            category="Report",
            labels={"file": "provenance.json"},
        ),
    log:
        "<logs>/report/provenance.log",
    benchmark:
        "<benchmarks>/report/provenance.tsv"
    conda:
        "../../envs/core/environment.yaml"
    container:
        run.images["core"]
    threads: 1
    resources:
        mem_mb=asks("provenance", "mem_mb"),
        runtime=asks("provenance", "runtime"),
        disk_mb=asks("provenance", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("report_provenance"),
        config={key: value for key, value in run.config.items() if key != "fetch"},
        samples=run.samples.reset_index().to_dict("records"),
        registry=run.registry.reset_index().to_dict("records"),
        sources=run.sources,
        # asked of git where Snakemake runs, for an image has no git; a function of the output is no trigger
        commit=lambda wildcards, output: git_commit(ROOT),
    script:
        "../../scripts/report_provenance.py"


rule atlas:
    """Join counts and all per-cell tables in one file."""
    input:
        cells="<results>/cells.h5ad",
        clusters="<results>/cluster/clusters.parquet",
        umap="<results>/cluster/umap.parquet",
        annotation="<results>/annotate/annotation.parquet",
        scores="<results>/score/scores.parquet",
        calls="<results>/myeloid/calls.parquet",
        latents=expand(
            "<results>/integration/{method}/latent.parquet",
            method=run.config["integrate"]["methods"],
        ),
    output:
        "<results>/atlas.h5ad",
    log:
        "<logs>/report/atlas.log",
    benchmark:
        "<benchmarks>/report/atlas.tsv"
    conda:
        "../../envs/report/environment.yaml"
    container:
        run.images["report"]
    threads: 1
    resources:
        mem_mb=asks("atlas", "mem_mb"),
        runtime=asks("atlas", "runtime"),
        disk_mb=asks("atlas", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("report_atlas"),
        methods=run.config["integrate"]["methods"],
        title=run.config["report"]["title"],
        published=sorted(set(run.registry["dataset"])),
    script:
        "../../scripts/report_atlas.py"


rule report:
    """Write the report of the run and its figures."""
    input:
        cells="<results>/cells.h5ad",
        qc=expand("<results>/samples/{sample}/qc.json", sample=run.samples.index),
        pages=expand("<results>/samples/{sample}/qc.html", sample=run.samples.index),
        libraries="<results>/samples.tsv",
        history=expand(
            "<results>/integration/{method}/history.tsv",
            method=sorted(set(run.config["integrate"]["methods"]) & {"scvi", "scanvi"}),
        ),
        metrics="<results>/integration/metrics.tsv",
        mixing="<results>/integration/mixing.tsv",
        verdict="<results>/integration/verdict.tsv",
        clusters="<results>/cluster/clusters.parquet",
        umap="<results>/cluster/umap.parquet",
        resolutions="<results>/cluster/resolutions.tsv",
        found_again="<results>/cluster/found_again.tsv",
        cluster_tree="<results>/cluster/tree.tsv",
        zooms=expand(
            "<results>/cluster/zoom/{lineage}/{table}",
            lineage=run.config["cluster"]["zoom"],
            table=["clusters.parquet", "resolutions.tsv", "found_again.tsv", "markers.tsv"],
        ),
        annotation="<results>/annotate/annotation.parquet",
        transferred=expand(
            "<results>/annotate/transferred.{kind}",
            kind=["parquet", "tsv"] if run.config["annotate"]["label_samples"] else [],
        ),
        celltypist=expand(
            "<results>/annotate/celltypist.{kind}", kind=["parquet", "tsv"] if celltypist else []
        ),
        cluster_types="<results>/annotate/clusters.tsv",
        markers="<results>/annotate/markers.tsv",
        marker_levels="<results>/annotate/marker_levels.tsv",
        scores="<results>/score/scores.parquet",
        null="<results>/score/null.tsv",
        design="<results>/niche/design.tsv",
        contrasts="<results>/niche/contrasts.tsv",
        production="<results>/niche/production.tsv",
        composition="<results>/niche/composition.tsv",
        ligand_receptor="<results>/niche/ligand_receptor.tsv",
        score_contrasts="<results>/niche/scores.tsv",
        responses="<results>/niche/responses.tsv",
        emh_index="<results>/niche/emh_index.tsv",
        emh_contrasts="<results>/niche/emh_contrasts.tsv",
        emh_axes="<results>/niche/emh_axes.tsv",
        axes="<results>/niche/axes.tsv",
        supply="<results>/niche/supply.tsv",
        ligand_receptor_contrasts="<results>/niche/ligand_receptor_contrasts.tsv",
        calls="<results>/myeloid/calls.parquet",
        donors="<results>/myeloid/donors.tsv",
        gates="<results>/myeloid/gates.tsv",
        subsets="<results>/myeloid/subsets.tsv",
        myeloid_clusters="<results>/myeloid/clusters.tsv",
        known_answers="<results>/known_answers.tsv",
        provenance="<results>/provenance.json",
        lineages=run.config["resources"]["lineages"],
    output:
        index=report(
            "<results>/report/index.html",
            caption="../report/index.rst",
            category="Report",
            labels={"file": "index.html"},
        ),
        figures=[
            report(
                f"<results>/report/figures/{figure}.svg",
                caption=f"../report/{caption}.rst",
                category="Figures",
                labels={"figure": figure},
            )
            for figure, caption in FIGURES.items()
        ],
        pdfs=[f"<results>/report/figures/{figure}.pdf" for figure in FIGURES],
        tables=[
            report(
                f"<results>/report/{table}.tsv",
                caption=f"../report/{table}.rst",
                category="Tables",
                labels={"table": f"report/{table}.tsv"},
            )
            for table in FIGURE_TABLES
        ],
        multiqc="<results>/report/lineages_mqc.json",
    log:
        "<logs>/report/index.log",
    benchmark:
        "<benchmarks>/report/index.tsv"
    conda:
        "../../envs/report/environment.yaml"
    container:
        run.images["report"]
    threads: 1
    resources:
        mem_mb=asks("report", "mem_mb"),
        runtime=asks("report", "runtime"),
        disk_mb=asks("report", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("report"),
        config={key: value for key, value in run.config.items() if key != "fetch"},
        samples=run.samples.reset_index().to_dict("records"),
        registry=run.registry.reset_index().to_dict("records"),
    script:
        "../../scripts/report.py"


rule crate:
    """Copy what the run was given, and describe its files, their sums and the software."""
    input:
        results=[
            *(path for path in rules.report.input if path != rules.report.input.lineages),
            *rules.report.output,
            *expand(rules.qc_page.output.tables, sample=run.samples.index),
            "<results>/atlas.h5ad",
            *(["<results>/report/planted.html"] if run.study else []),
        ],
        provenance="<results>/provenance.json",
        given=[local(path) for path in replay_files(run).values()],
    output:
        crate="<results>/ro-crate-metadata.json",
        config="<results>/inputs/config.yaml",
        study=["<results>/inputs/study.yaml"] if run.study else [],
        files=[f"<results>/inputs/{name}" for name in replay_files(run)],
    log:
        "<logs>/report/crate.log",
    benchmark:
        "<benchmarks>/report/crate.tsv"
    conda:
        "../../envs/report/environment.yaml"
    container:
        run.images["report"]
    threads: 1
    resources:
        mem_mb=asks("crate", "mem_mb"),
        runtime=asks("crate", "runtime"),
        disk_mb=asks("crate", "disk_mb"),
    params:
        code=lambda wildcards: code_digest("report_crate"),
        files=replay_files(run),
        config=replay_config(run),
        study=replay_study(run),
        packages=sorted({name for purpose in PURPOSES for name in packages(purpose, ROOT)}),
    script:
        "../../scripts/report_crate.py"
