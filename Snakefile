"""The emh-niche workflow: from public counts to the niche comparison and its report."""


include: "workflow/rules/common.smk"


if run.study:

    include: "workflow/rules/simulate.smk"


include: "workflow/rules/fetch.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/ambient.smk"
include: "workflow/rules/qc.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/integrate.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/annotate.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/niche.smk"
include: "workflow/rules/myeloid.smk"
include: "workflow/rules/known_answers.smk"
include: "workflow/rules/report.smk"


onstart:
    # a job that was killed leaves its temporary file, which nothing reads
    remove_leftovers(f"results/{run.name}")


rule all:
    default_target: True
    input:
        "<results>/report/index.html",
        "<results>/atlas.h5ad",
        "<results>/provenance.json",
        "<results>/ro-crate-metadata.json",
        ["<results>/report/planted.html"] if run.study else [],
        expand(
            "<results>/cluster/zoom/{lineage}/markers.tsv", lineage=run.config["cluster"]["zoom"]
        ),
        ["<results>/annotate/transferred.tsv"] if run.config["annotate"]["label_samples"] else [],
        ["<results>/annotate/celltypist.tsv"] if "celltypist" in run.config["annotate"] else [],
        expand("<results>/samples/{sample}/qc.html", sample=run.samples.index),
