"""Which myeloid cells look pathological, beyond what maturation, stress and donors explain?

Within one lineage of one tissue, a signature's score is adjusted for maturation on reference
donors, donors are compared, and cells are called only where the case donors differ. Without
reference donors there are scores and no calls. `docs/myeloid.md` explains what each answer means.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd

from emhniche.assessment import Assessment, Settings, assess
from emhniche.gate import benjamini_hochberg
from emhniche.lineage_cells import (
    LineageCells,
    counts_refusal,
    covariate_genes,
    gather,
    maturation_sets,
    positive_genes,
    read_obs,
    run_obs,
)
from emhniche.myeloid_clusters import conclude_clusters, find_clusters
from emhniche.myeloid_tables import (
    CALL_COLUMNS,
    DONOR_COLUMNS,
    GATE_COLUMNS,
    call_rows,
    donor_rows,
    gate_row,
)
from emhniche.signature_genes import SignatureGenes
from emhniche.subsets import find_subsets
from emhniche.verdict import decide
from emhniche.witnesses import Refusal, donor_table, reference_elsewhere

MEASURED = "measured"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PathologicalCalls:
    """Answer for one lineage and one signature.

    Attributes
    ----------
    cells
        One row a cell of the lineage: ``cell_id``, ``lineage``, ``signature``, ``maturation``,
        ``score``, ``residual``, ``p``, ``q``, ``pathological``, ``status``.
    donors
        One row a donor: its part, cells, exceedance and called cells.
    gate
        Whether cells were called, why or why not (``code``, ``reason``), the test between donors
        and the fate of the signature's genes.
    """

    cells: pd.DataFrame
    donors: pd.DataFrame
    gate: pd.Series


@dataclass(frozen=True)
class MyeloidTables:
    """What the stage writes: ``calls``, ``donors``, ``gates``, ``subsets`` and ``clusters``."""

    calls: pd.DataFrame
    donors: pd.DataFrame
    gates: pd.DataFrame
    subsets: pd.DataFrame
    clusters: pd.DataFrame


def call_pathological(
    adata: ad.AnnData,
    *,
    lineage: str,
    donor: str,
    arm: str,
    signature: str | Sequence[str],
    signatures: pd.DataFrame,
    lineage_column: str = "lineage",
    tissue: str | None = None,
    platform: str | None = None,
    batch: str | None = None,
    enrichment: str | None = None,
    maturation: Mapping[str, int] | None = None,
    inflamed: Collection[str] = (),
    aliases: Mapping[str, str] | None = None,
    q: float = 0.10,
    mode: str = "fdr",
    n_random: int = 200,
    min_cells: int = 30,
    min_donors: int = 3,
    seed: int = 0,
) -> PathologicalCalls:
    """Call MDSC-like cells of one lineage, with reference donors as witnesses, or refuse.

    Parameters
    ----------
    adata
        Cells x genes, raw counts in ``X``, symbols in ``var_names``. Cells of other lineages are
        left out. Cells of one tissue and one study: nothing here corrects between them.
    lineage
        Value of ``obs[lineage_column]`` to look at.
    donor
        Column of ``obs`` that names the animal or person; empty or ``unknown:...`` where not known.
    arm
        Column of ``obs`` with ``reference``, ``inflammation_control``, ``case`` or empty.
    signature
        A set of `signatures`, whose positive genes are used, or the genes themselves.
    signatures
        Gene sets, as :func:`emhniche.resources.load_signatures` returns them; the sets that the
        score is adjusted for are looked up here.
    lineage_column
        Column of ``obs`` with the lineage.
    tissue, platform, batch, enrichment
        Columns of ``obs``, where there are such: a reference of another tissue or platform and arms
        that share no batch are refused, and sorted cells give no excess fraction.
    maturation
        Sets that are early (-1) and late (1) in the lineage's maturation. Neutrophils,
        monocytes/macrophages and HSPC have a default.
    inflamed
        Genes known to rise in inflammation alone (learned elsewhere); they are taken out, beside
        those that rise in the inflammation-control arm.
    aliases
        Old symbol to official symbol. A signature gene that the data hold under its old name is
        refused rather than taken as not measured.
    q
        False discovery rate at which cells are called.
    mode
        What estimates it: ``fdr``, target-decoy over reference donors, or ``power``, conformal
        p-values over pooled reference cells, which finds more and does not bound it over donors.
    n_random
        Random gene sets that the effect must beat, at least 20.
    min_cells
        Cells of the lineage that a donor needs to count.
    min_donors
        Donors needed in the reference and in the case arm.
    seed
        Seed of random sets, permutations and bootstrap.

    Returns
    -------
    PathologicalCalls
        Tables by cell and by donor, and the gate with its code and reason. A refusal is an answer:
        then nothing is called, and what can be scored still is.

    Raises
    ------
    InputError
        When a column or setting is not there or cannot be used.

    References
    ----------
    Alshetaiwi et al. 2020, doi 10.1126/sciimmunol.aay6017 (signature); Grieshaber-Bouyer et al.
    2021, doi 10.1038/s41467-021-22973-9 (maturation); Squair et al. 2021, doi
    10.1038/s41467-021-25960-2 (donors as units).
    """
    settings = Settings(q, mode, n_random, min_cells, min_donors, seed)
    columns = {"donor": donor, "arm": arm, "tissue": tissue, "platform": platform}
    columns |= {"batch": batch, "enrichment": enrichment}
    obs = read_obs(adata, lineage, lineage_column, columns)
    name, genes = _signature(signature, signatures)
    result = _assess_lineage(
        _gather(adata[obs.index], obs, lineage),
        obs,
        lineage,
        {name: genes},
        signatures,
        settings,
        maturation=maturation,
        inflamed=inflamed,
        aliases=aliases or {},
    )[name]
    tissues = sorted(set(obs["tissue"])) if tissue and len(obs) else [""]
    key = {"lineage": lineage, "tissue": ";".join(tissues), "signature": name, "dataset": ""}
    tables = _conclude([(key, result)], settings)
    return PathologicalCalls(tables[0], tables[1], tables[2].iloc[0])


def call_myeloid(
    cells: ad.AnnData,
    annotation: pd.DataFrame,
    signatures: pd.DataFrame,
    *,
    names: Sequence[str],
    lineages: Sequence[str],
    q: float,
    mode: str,
    n_random: int,
    min_cells: int,
    min_donors: int,
    seed: int,
) -> MyeloidTables:
    """Score and call every lineage of every tissue and dataset by every signature of a run.

    Parameters
    ----------
    cells
        Kept cells x genes of the run (``cells.h5ad``): raw counts, sample sheet columns in ``obs``,
        ``varm["measured"]`` genes x datasets.
    annotation
        ``cell_id`` and ``lineage`` of every cell.
    signatures
        Gene sets of the run's species.
    names
        Sets to score.
    lineages
        Lineages to look at, of those in :data:`emhniche.lineage_cells.MATURATION`.
    q, mode, n_random, min_cells, min_donors, seed
        As in :func:`call_pathological`.

    Returns
    -------
    MyeloidTables
        Calls by cell, donors, gates, subsets and clusters; every lineage x tissue x dataset x
        signature has a gate row. The gates' p-values are adjusted over all of them.

    Raises
    ------
    InputError
        When a cell has no annotation or a setting cannot be used.
    """
    settings = Settings(q, mode, n_random, min_cells, min_donors, seed)
    obs = run_obs(cells, annotation)
    wanted = {name: positive_genes(signatures, name) for name in names}
    assessed, compared, clusters = [], {}, []
    for (dataset, tissue), group in obs.groupby(["dataset", "tissue"], sort=True):
        measured = cells.varm[MEASURED][dataset].to_numpy(dtype=bool)
        for lineage in lineages:
            # in the order that the cells are gathered in, so that counts are copied once
            of_lineage = group[group["lineage"] == lineage].sort_index()
            elsewhere = reference_elsewhere(
                obs[obs["lineage"] == lineage],
                of_lineage,
                dataset=dataset,
                tissue=tissue,
                min_cells=min_cells,
            )
            gathered = _gather(cells[of_lineage.index, measured], of_lineage, lineage)
            results = _assess_lineage(
                gathered, of_lineage, lineage, wanted, signatures, settings, elsewhere=elsewhere
            )
            key = {"lineage": lineage, "tissue": tissue, "dataset": dataset}
            assessed += [(key | {"signature": name}, one) for name, one in results.items()]
            clusters += find_clusters(key, gathered, results, signatures, settings)
            if any(not one.refusals for one in results.values()):
                compared[dataset, tissue, lineage] = gathered
    calls, donors, gates = _conclude(assessed, settings)
    subsets = find_subsets(assessed, calls, gates, compared, signatures)
    return MyeloidTables(calls, donors, gates, subsets, conclude_clusters(clusters))


def _assess_lineage(
    cells: LineageCells | Refusal,
    obs: pd.DataFrame,
    lineage: str,
    wanted: Mapping[str, Sequence[str]],
    signatures: pd.DataFrame,
    settings: Settings,
    *,
    maturation: Mapping[str, int] | None = None,
    inflamed: Collection[str] = (),
    aliases: Mapping[str, str] | None = None,
    elsewhere: Refusal | None = None,
) -> dict[str, Assessment]:
    """Assess cells of one lineage by several signatures."""
    stages = maturation_sets(lineage, maturation)
    if isinstance(cells, Refusal):
        return {name: _unscored(obs, settings, cells) for name in wanted}
    covariates = covariate_genes(signatures, stages, cells.genes)
    results = {}
    for name, genes in wanted.items():
        refusal = _signature_refusal(name, genes, cells.genes, aliases or {})
        if refusal:
            results[name] = _unscored(obs, settings, refusal)
            continue
        negative = signatures[(signatures["set"] == name) & (signatures["polarity"] == "negative")]
        results[name] = assess(
            cells,
            genes,
            covariates,
            stages,
            settings,
            inflamed=inflamed,
            set_aside=[gene for of_set in negative["genes"] for gene in of_set],
            elsewhere=elsewhere,
        )
        results[name].cells = _with_all(results[name].cells, obs)
    return results


def _gather(part: ad.AnnData, obs: pd.DataFrame, lineage: str) -> LineageCells | Refusal:
    """Take the counts of the cells, or say why they cannot be used."""
    if not len(obs):
        return Refusal("no_lineage_cells", f"There is no cell of lineage {lineage} here.")
    counts = part.X
    return counts_refusal(counts) or gather(counts, part.var_names.tolist(), obs)


def _conclude(
    assessed: Sequence[tuple[dict, Assessment]], settings: Settings
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Adjust the gates together, decide on each, and lay out calls, donors and gates."""
    p = np.array([result.test.p if result.test else np.nan for _, result in assessed], dtype=float)
    calls, donors, gates = [], [], []
    for (key, result), q_gate in zip(assessed, benjamini_hochberg(p), strict=True):
        code, reason, decided = decide(result, q_gate, settings)
        logger.info("%s: %s", " ".join(filter(None, key.values())), code)
        calls.append(call_rows(key, result, decided))
        donors.append(donor_rows(key, result, decided))
        gates.append(gate_row(key, result, decided, code, reason, q_gate))
    return (
        _stack(calls, CALL_COLUMNS).astype({"pathological": "boolean"}),
        _stack(donors, DONOR_COLUMNS),
        pd.DataFrame(gates, columns=GATE_COLUMNS),
    )


def _stack(tables: Iterable[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame(columns=columns)
    return pd.concat(filled, ignore_index=True)[list(columns)]


def _unscored(obs: pd.DataFrame, settings: Settings, refusal: Refusal) -> Assessment:
    """Return an assessment that says nothing but why."""
    donors = donor_table(obs["donor"], obs["arm"], min_cells=settings.min_cells)
    cells = pd.DataFrame({"donor": obs["donor"].astype(object), "role": ""}, index=obs.index)
    cells = cells.assign(maturation=np.nan, score=np.nan, residual=np.nan, supported=False)
    return Assessment(cells.sort_index(), donors, SignatureGenes(), refusals=[refusal])


def _with_all(cells: pd.DataFrame, obs: pd.DataFrame) -> pd.DataFrame:
    """Put back the cells that hold no count: they are in the tables, without a score."""
    every = cells.reindex(obs.index.sort_values())
    donor = obs["donor"].astype(object).reindex(every.index)
    supported = every["supported"].eq(True)
    return every.assign(donor=donor, role=every["role"].fillna(""), supported=supported)


def _signature(signature: str | Sequence[str], signatures: pd.DataFrame) -> tuple[str, list[str]]:
    if isinstance(signature, str):
        return signature, positive_genes(signatures, signature)
    return "custom", list(dict.fromkeys(signature))


def _signature_refusal(
    name: str,
    genes: Sequence[str],
    measured: Mapping[str, int],
    aliases: Mapping[str, str],
) -> Refusal | None:
    """Refuse a signature without genes, or with genes that the data hold under an old name."""
    if not genes:
        return Refusal(
            "unknown_signature",
            f"The gene sets of this species hold no positive gene of a signature {name}.",
        )
    old = [a for a, symbol in aliases.items() if a in measured and symbol not in measured]
    hidden = [f"{a} (now {aliases[a]})" for a in sorted(old) if aliases[a] in genes]
    if hidden:
        return Refusal(
            "unresolved_alias",
            f"The data name {', '.join(hidden)} by an old symbol; resolve symbols first.",
        )
    return None
