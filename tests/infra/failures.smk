"""Jobs that a cluster ends, for tests/test_slurm.py: what Snakemake makes of each is measured."""

import sys


rule all:
    input:
        "fine.txt",
        "greedy.txt",


rule bad:
    """Ends with an error."""
    output:
        "bad.txt",
    resources:
        runtime=5,
        mem_mb=500,
    shell:
        "date +%s >> bad.ended; exit 3"


rule slow:
    """Would take ten minutes and asks for one."""
    output:
        "slow.txt",
    retries: 0
    resources:
        runtime=1,
        mem_mb=500,
    shell:
        "date +%s > slow.began; sleep 600; touch {output}"


rule greedy:
    """Needs 1.5 GB, asks for 1, and for more when it is tried again."""
    output:
        "greedy.txt",
    resources:
        runtime=5,
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
    params:
        python=sys.executable,
    shell:
        "date +%s >> greedy.began; {params.python} -c 'import time; block = bytearray(1_500_000_000); time.sleep(6)'"
        " && echo {resources.mem_mb} > {output}"


rule fine:
    """Asks for the GPU."""
    output:
        "fine.txt",
    resources:
        runtime=5,
        mem_mb=500,
        gpu=1,
    shell:
        "echo $CUDA_VISIBLE_DEVICES > {output}"


rule outlived:
    """Goes on while the daemon of its node is gone (`carried`), or ends with it and is begun again (`lost`)."""
    output:
        "{name}.txt",
    wildcard_constraints:
        name="carried|lost",
    resources:
        runtime=5,
        mem_mb=500,
    shell:
        "echo $(date +%s) $SLURM_JOB_ID >> {wildcards.name}.began; sleep 15; echo whole > {output}"
