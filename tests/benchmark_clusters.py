"""How often is a cluster claimed where there is none to claim, and where there is one?

Run from the command line; it writes what `docs/myeloid.md` quotes:

    uv run python tests/benchmark_clusters.py docs/myeloid_clusters.tsv

Cohorts are those of ``myeloid_cohort``, from seeds that the method was not shaped on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from emhniche.io import write_table
from myeloid_cohort import SIGNATURE, Cohort
from test_myeloid_clusters import OTHERS, STRONG, prepared, run

FIRST_SEED = 7000

INFLAMED = Cohort(inflamed_fold=4.0, inflamed_genes=[*SIGNATURE, *OTHERS])

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
    "40 genes inflamed 4-fold, no control": INFLAMED,
    "40 genes inflamed 4-fold, 4 control donors": replace(INFLAMED, control=4),
    "planted cluster without the signature": replace(STRONG, planted_genes=OTHERS),
    "planted 4-fold, 3 against 3": replace(STRONG, reference=3, case=3),
    "planted 3-fold": replace(STRONG, fold=3.0),
    "planted 4-fold": STRONG,
    "planted signature alone, 3-fold": replace(STRONG, fold=3.0, planted_genes=SIGNATURE),
}


def measure(name: str, kind: Cohort, cohorts: int) -> dict:
    """Return how many cohorts of a kind hold a claimed cluster, and how many a called cell."""
    tables = [run(prepared(replace(kind, seed=FIRST_SEED + seed))) for seed in range(cohorts)]
    claimed = np.mean([(one.clusters["code"] == "claimed").any() for one in tables])
    called = np.mean([(one.gates["code"] == "called").any() for one in tables])
    row = {"scenario": name, "cohorts": cohorts}
    for word, share in (("claimed", claimed), ("called", called)):
        row |= {word: round(share, 4)}
        row |= {f"{word}_se": round(np.sqrt(share * (1 - share) / cohorts), 4)}
    return row


def main() -> None:
    """Measure every kind; the table is written after each, so a stopped run leaves its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="where to write (.tsv)")
    parser.add_argument("--cohorts", type=int, default=100, help="cohorts of each kind")
    given = parser.parse_args()
    rows = []
    for name, kind in KINDS.items():
        rows.append(measure(name, kind, given.cohorts))
        write_table(pd.DataFrame(rows), given.table)
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
