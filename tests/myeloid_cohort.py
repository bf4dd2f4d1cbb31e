"""Simulated neutrophils of several donors, with what the myeloid stage must see and must ignore.

Every donor has its own level of the signature (one shift for all its genes), its own noise on every
gene and its own depth. Maturation, immediate-early and interferon programmes move covariate genes
and, in part, the signature. Cases may hold a share of cells with the signature raised, be less
mature, or be inflamed.
"""

from dataclasses import dataclass, field

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

SIGNATURE = [f"Sig{i}" for i in range(10)]

DEPTH = 1500


@dataclass(frozen=True)
class Cohort:
    """Settings of one simulated cohort; each donor has `cells` cells of median `depth` counts.

    `level` is the mean count of a signature gene in a cell of 1,500 counts, `case_stress` the log
    fold change of immediate-early and interferon genes in cases (the signature follows the
    immediate-early ones by 0.3 of it).
    """

    reference: int = 4
    case: int = 4
    control: int = 0
    cells: int = 120
    depth: float = DEPTH
    donor_sd: float = 0.25
    fraction: float = 0.0
    fold: float = 3.0
    maturation_shift: float = 0.0
    case_depth: float = 1.0
    case_stress: float = 0.0
    level: float = 0.4
    inflamed_fold: float = 1.0
    inflamed_genes: list[str] = field(default_factory=lambda: SIGNATURE[:4])
    shuffled: bool = False
    planted_genes: list[str] = field(default_factory=lambda: SIGNATURE)
    seed: int = 0


def covariate_table() -> pd.DataFrame:
    """Return covariate signatures of mouse neutrophils with short, invented gene names."""
    sets = {"preNeu": 10, "immNeu": 12, "matNeu": 10, "Dissociation_IEG": 15, "ISG_Neu": 8}
    return pd.DataFrame(
        {
            "set": list(sets),
            "species": "mouse",
            "polarity": "positive",
            "genes": [[f"{name}{i}" for i in range(size)] for name, size in sets.items()],
        }
    )


def simulate(cohort: Cohort) -> ad.AnnData:
    """Draw a cohort.

    Returns
    -------
    anndata.AnnData
        Neutrophils x about 360 genes, raw counts; ``obs``: lineage, donor, arm, maturation (true),
        planted (true for cells whose signature was raised).
    """
    rng = np.random.default_rng(cohort.seed)
    structure = np.random.default_rng(1)
    obs = _donors(cohort, rng)
    genes, programme, mean_count, slope = _genes(structure, cohort.level)
    n = len(obs)
    late = obs["maturation"].to_numpy()
    donor = obs["donor"].cat.codes.to_numpy()
    n_donors = donor.max() + 1
    stress = rng.normal(0, 0.4, n) + rng.normal(0, 0.2, n_donors)[donor]
    interferon = rng.normal(0, 0.4, n) + rng.normal(0, 0.2, n_donors)[donor]
    shift = np.where(obs["arm"] == "case", cohort.case_stress, 0.0)
    stress, interferon = stress + shift, interferon + shift

    log_rate = np.log(mean_count / DEPTH) + rng.normal(0, 0.1, (n_donors, len(genes)))[donor]
    log_rate += np.outer(late - 0.5, slope)
    log_rate += np.where(programme == "preNeu", -4 * (late - 0.3)[:, None], 0)
    log_rate += np.where(programme == "immNeu", -((late - 0.45) ** 2)[:, None] / 0.05, 0)
    log_rate += np.where(programme == "matNeu", 3 * (late - 0.6)[:, None], 0)
    log_rate += np.where(programme == "Dissociation_IEG", stress[:, None], 0)
    log_rate += np.where(programme == "ISG_Neu", interferon[:, None], 0)
    signature = programme == "signature"
    coherent = rng.normal(0, cohort.donor_sd, n_donors)[donor]
    raised = np.where(obs["planted"], np.log(cohort.fold), 0.0)
    log_rate += np.where(signature, (coherent + 0.3 * stress)[:, None], 0)
    log_rate += np.outer(raised, np.isin(genes, cohort.planted_genes))
    inflamed = obs["arm"].isin(["case", "inflammation_control"])
    rising = np.isin(genes, cohort.inflamed_genes)
    log_rate += np.outer(inflamed, rising) * np.log(cohort.inflamed_fold)

    depth_of_donor = np.exp(rng.normal(0, 0.2, n_donors))[donor]
    depth = cohort.depth * depth_of_donor * np.exp(rng.normal(0, 0.35, n))
    depth *= np.where(obs["arm"] == "case", cohort.case_depth, 1.0)
    mean = np.exp(log_rate) * depth[:, None]
    counts = rng.poisson(mean * rng.gamma(10, 0.1, mean.shape))
    rest = np.maximum(depth - mean.sum(axis=1), depth * 0.2)
    counts = np.column_stack([counts, rng.poisson(rest)])
    if cohort.shuffled:
        donors = obs.drop_duplicates("donor").set_index("donor")["arm"]
        obs["arm"] = obs["donor"].map(dict(zip(donors.index, rng.permutation(donors), strict=True)))
    var = pd.DataFrame(index=[*genes, "Rest"])
    return ad.AnnData(sparse.csr_matrix(counts, dtype=np.float32), obs=obs, var=var)


def _donors(cohort: Cohort, rng: np.random.Generator) -> pd.DataFrame:
    """Return the cells of all donors with arm, true maturation and whether they are planted."""
    arms = ["reference"] * cohort.reference + ["inflammation_control"] * cohort.control
    arms += ["case"] * cohort.case
    tables = []
    for i, arm in enumerate(arms):
        shift = cohort.maturation_shift if arm == "case" else 0.0
        late = np.clip(rng.beta(2.5, 2, cohort.cells) - shift, 0, 1)
        planted = (rng.random(cohort.cells) < cohort.fraction) & (arm == "case")
        tables.append(
            pd.DataFrame({"donor": f"d{i:02d}", "arm": arm, "maturation": late, "planted": planted})
        )
    obs = pd.concat(tables, ignore_index=True)
    obs["lineage"] = "neutrophil"
    obs["donor"] = obs["donor"].astype("category")
    obs.index = [f"{donor}:cell{i:06d}" for i, donor in enumerate(obs["donor"])]
    return obs


def _genes(
    rng: np.random.Generator, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the genes with programme, mean count at median depth and slope over maturation."""
    table = covariate_table()
    names = [*SIGNATURE, *(g for genes in table["genes"] for g in genes)]
    programme = ["signature"] * len(SIGNATURE)
    for name, genes in zip(table["set"], table["genes"], strict=True):
        programme += [name] * len(genes)
    usual = {"signature": level, "Dissociation_IEG": 0.6, "ISG_Neu": 0.4}
    mean = [usual.get(p, 2.0) for p in programme]
    names += [f"Bg{i}" for i in range(300)]
    programme += ["background"] * 300
    mean += [0.4] * 300
    programme = np.array(programme)
    mean_count = np.array(mean) * np.exp(rng.normal(0, 0.7, len(names)))
    slope = rng.normal(0, 0.7, len(names)) * np.isin(programme, ["signature", "background"])
    slope += programme == "signature"
    return np.array(names), programme, mean_count, slope
