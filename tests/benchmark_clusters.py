"""How often is a cluster claimed, where there is one and where there is none?

``python tests/benchmark_clusters.py [cohorts]`` prints a row a kind of cohort: ``docs/myeloid.md``
quotes them. Cohorts are those of ``myeloid_cohort``, from seeds that the method was not shaped on.
"""

import sys
from dataclasses import replace

from myeloid_cohort import SIGNATURE, Cohort
from test_myeloid_clusters import OTHERS, STRONG, prepared, run

FIRST_SEED = 7000

KINDS = {
    "no difference": Cohort(),
    "no difference, donor sd 0.5": Cohort(donor_sd=0.5),
    "cases less mature by 0.15": Cohort(maturation_shift=0.15),
    "cases less mature by 0.3": Cohort(maturation_shift=0.3),
    "cases more mature by 0.3": Cohort(maturation_shift=-0.3),
    "cases 2-fold deeper": Cohort(case_depth=2),
    "cases 2-fold shallower": Cohort(case_depth=0.5),
    "cases stressed 2.7-fold": Cohort(case_stress=1),
    "cases stressed 7.4-fold": Cohort(case_stress=2),
    "all genes of the signature inflamed 1.5-fold": Cohort(
        inflamed_fold=1.5, inflamed_genes=SIGNATURE
    ),
    "planted cluster without the signature": replace(STRONG, planted_genes=OTHERS),
    "planted 4-fold, 3 against 3": replace(STRONG, reference=3, case=3),
    "planted 3-fold": replace(STRONG, fold=3.0),
    "planted 4-fold": STRONG,
    "planted signature alone, 3-fold": replace(STRONG, fold=3.0, planted_genes=SIGNATURE),
}


def main() -> None:
    """Print how many cohorts of each kind hold a claimed cluster."""
    cohorts = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print("cohorts\tclaimed\tcalled")
    for name, kind in KINDS.items():
        tables = [run(prepared(replace(kind, seed=FIRST_SEED + seed))) for seed in range(cohorts)]
        claimed = sum((one.clusters["code"] == "claimed").any() for one in tables)
        called = sum((one.gates["code"] == "called").any() for one in tables)
        print(f"{name}\t{claimed} of {cohorts}\t{called} of {cohorts}", flush=True)


if __name__ == "__main__":
    main()
