"""What would the counts of a study be whose truth is known?

Each cell draws its counts from a negative binomial around the rates of its cell type, which the
mouse, the library and the chemistry shift gene by gene; on top come ambient RNA, doublets and
dying cells. The model is that of single-cell simulators such as Splatter (Zappia 2017, doi
10.1186/s13059-017-1305-0) and muscat (Crowell 2020, doi 10.1038/s41467-020-19894-4), with rates
from real cells. Every random number hangs on the seed and on the name of what it belongs to, so
that a further mouse changes no other one.
"""

import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from emhniche.io import CELL_ID, as_counts
from emhniche.planting import State, plant_rates, plant_shares, planted_states
from emhniche.profiles import expression, load_tables
from emhniche.resources import load_lineages, load_signatures
from emhniche.study import LABELS, LIBRARY, Study

logger = logging.getLogger(__name__)

RESPONSES = {"dissociation": "Dissociation_IEG", "interferon": "ISG_Neu"}
"""What cells respond to, each in its own degree -> the signature whose genes follow."""

MATURATION_REACH = 0.15
"""How far, at most, a cell's maturation lies from that of its cell type."""

DYING_KEPT = (0.15, 0.5)
"""Share of its other RNA that a dying cell keeps, uniform between these."""

DYING_MITO_KEPT = 0.9
"""Share of its mitochondrial RNA that it keeps: the leaky membrane lets cytoplasm out first."""

LETTERS = np.frombuffer(b"ACGT", dtype="S1")
BARCODE = 16


@dataclass(frozen=True)
class CellModel:
    """What cells look like before any mouse, library or effect.

    Attributes
    ----------
    rates
        Genes x cell types; each column sums to 1 (:func:`emhniche.profiles.expression`).
    dispersion
        Gene -> dispersion of the negative binomial: variance = mean + dispersion * mean ** 2.
    cell_types
        Indexed by cell type: ``lineage``, ``maturation`` (0 to 1, or NaN), ``counts`` (median of a
        cell), ``counts_sd`` (of its natural log), and a column of shares for each of ``marrow``
        and ``spleen``.
    responses
        Signature -> its positive genes, for the signatures that ``response_sd`` of the study names.
    """

    rates: pd.DataFrame
    dispersion: pd.Series
    cell_types: pd.DataFrame
    responses: Mapping[str, Sequence[str]] = field(default_factory=dict)


def load_cell_model(
    *, profiles: str, programmes: str, cell_types: str, lineages: str, signatures: str
) -> CellModel:
    """Read what cells look like.

    Parameters
    ----------
    profiles, programmes, cell_types
        The tables of ``resources/demo``.
    lineages
        Marker genes, whose lineages and cell types the simulated ones go by.
    signatures
        Signatures, which hold the genes that respond to handling and to interferon.

    Returns
    -------
    CellModel

    Raises
    ------
    InputError
        When a table is wrong, or names what another does not have.
    """
    table, changes, types = load_tables(
        profiles=profiles,
        programmes=programmes,
        cell_types=cell_types,
        lineages=load_lineages(lineages, "mouse"),
    )
    sets = load_signatures(signatures, "mouse")
    sets = sets[sets["polarity"] == "positive"].set_index("set")["genes"]
    responses = {name: sets[name] for name in RESPONSES.values()}
    return CellModel(expression(types, table, changes), table["dispersion"], types, responses)


def simulate(
    study: Study, model: CellModel, truths: Sequence, *, seed: int
) -> tuple[ad.AnnData, pd.DataFrame]:
    """Draw a cohort.

    Parameters
    ----------
    study
        Mice, tissues and noise.
    model
        Cell types.
    truths
        What is planted; see :func:`emhniche.truths.load_truths`.
    seed
        Seed of everything random.

    Returns
    -------
    cohort : anndata.AnnData
        Barcodes of all libraries x genes. ``X``: counts, float32 CSR. ``obs``: ``library`` and
        ``lineage`` only, so that no stage can see more of the truth than labels to be judged by.
    cells : pandas.DataFrame
        The truth, one row a barcode in the same order: ``cell_id``, ``sample``, ``donor``,
        ``condition``, ``tissue``, ``cell_type``, ``lineage``, ``state`` (``cell``, ``doublet`` or
        ``dying``), ``doublet_of``, ``maturation``, ``planted`` (id of a truth), ``counts`` and
        ``ambient`` (share of them that is soup).
    """
    libraries = study.rows(file="")
    barcodes = _barcodes(len(libraries) * study.settings["cells_per_library"], seed)
    matrices, tables = [], []
    for position, library in enumerate(libraries):
        counts, table = draw_library(study, model, truths, library, seed=seed)
        start = position * len(table)
        table["barcode"] = barcodes[start : start + len(table)]
        logger.info(
            "library %d of %d, %s: %d barcodes, median %d counts",
            *(position + 1, len(libraries), library["sample"]),
            *(len(table), np.median(table["counts"])),
        )
        matrices.append(counts)
        tables.append(table)
    cells = pd.concat(tables, ignore_index=True)
    cells.insert(0, CELL_ID, cells["sample"] + ":" + cells["barcode"])
    obs = pd.DataFrame(
        {LIBRARY: pd.Categorical(cells["sample"]), LABELS: pd.Categorical(cells["lineage"])}
    ).set_index(pd.Index(cells.pop("barcode"), name="barcode"))
    cohort = ad.AnnData(
        as_counts(sparse.vstack(matrices, format="csr")),
        obs=obs,
        var=pd.DataFrame(index=model.rates.index),
    )
    return cohort, cells


def draw_library(
    study: Study, model: CellModel, truths: Sequence, library: Mapping[str, str], *, seed: int
) -> tuple[sparse.csr_matrix, pd.DataFrame]:
    """Draw one library.

    Parameters
    ----------
    study, model, truths, seed
        As in :func:`simulate`.
    library
        One of the study's rows.

    Returns
    -------
    counts : scipy.sparse.csr_matrix
        Barcodes x genes.
    cells : pandas.DataFrame
        The truth of each barcode; see :func:`simulate`.
    """
    settings = study.settings
    rng = _rng(seed, "library", library["sample"])
    shares = model.cell_types[library["tissue"].split()[-1]]
    shares = plant_shares(shares[shares > 0], truths, library)
    shares *= np.exp(rng.normal(0, settings["share_sd"], len(shares)))
    rates = _library_rates(study, model, library, seed)
    rates = plant_rates(rates, truths, library)
    states = planted_states(truths, library)

    n_barcodes = settings["cells_per_library"]
    n_doublets = rng.binomial(n_barcodes, settings["doublets"])
    cells = _draw_cells(model, shares, states, n_barcodes + n_doublets, rng)
    cells["counts"] *= study.depths()[library["chemistry"]]
    cells["counts"] *= np.exp(rng.normal(0, settings["depth_sd"]))
    dying = np.zeros(len(cells), dtype=bool)
    dying[n_doublets:n_barcodes] = rng.random(n_barcodes - n_doublets) < settings["dying"]
    cells["state"] = np.where(dying, "dying", "cell")

    stages = model.cell_types["maturation"].dropna().sort_values()
    mean = _means(rates, stages, cells, states, rng)
    mean *= _responses(model, settings["response_sd"], library, len(cells), seed, rng)
    counts = _negative_binomial(mean, model.dispersion.to_numpy(), rng)
    counts, cells = _join_doublets(counts, cells, n_doublets)
    soup = _ambient(mean, cells["counts"].median(), len(cells), settings["ambient"], rng)
    counts += soup
    order = rng.permutation(len(cells))
    cells = cells.iloc[order].reset_index(drop=True)
    cells["counts"] = counts.sum(axis=1)[order].astype(int)
    cells["ambient"] = soup.sum(axis=1)[order] / np.maximum(cells["counts"], 1)
    for column in ("tissue", "condition", "donor", "sample"):
        cells.insert(0, column, library[column])
    return sparse.csr_matrix(counts[order], dtype=np.float32), cells


def _rng(seed: int, *names: str) -> np.random.Generator:
    """Return the random numbers that belong to a name."""
    return np.random.default_rng([seed, zlib.crc32("\t".join(names).encode())])


def _barcodes(number: int, seed: int) -> np.ndarray:
    """Return barcodes of 16 letters that all differ."""
    rng = _rng(seed, "barcodes")
    codes = pd.Index(rng.integers(0, 4**BARCODE, number + number // 1000 + 10)).unique()
    digits = codes.to_numpy()[:number, None] // 4 ** np.arange(BARCODE) % 4
    return LETTERS[digits].view(f"S{BARCODE}").ravel().astype(str)


def _library_rates(
    study: Study, model: CellModel, library: Mapping[str, str], seed: int
) -> pd.DataFrame:
    """Return the rates of a library: those of the cell types, shifted by mouse and technique."""
    sd, shape = study.settings["gene_sd"], model.rates.shape
    shift = np.zeros(shape)
    for kind, name in (
        ("donor", library["donor"]),
        ("chemistry", library["chemistry"]),
        ("library", library["sample"]),
    ):
        shift += _rng(seed, "genes", kind, name).normal(0, sd[kind], (shape[0], 1))
    for position, cell_type in enumerate(model.rates):
        rng = _rng(seed, "genes", "donor_cell_type", library["donor"], cell_type)
        shift[:, position] += rng.normal(0, sd["donor_cell_type"], shape[0])
    rates = model.rates * np.exp(shift)
    return rates / rates.sum()


def _draw_cells(
    model: CellModel,
    shares: pd.Series,
    states: Sequence[State],
    number: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw the type, maturation, planted state and expected counts of single cells."""
    kinds = rng.choice(len(shares), size=number, p=shares / shares.sum())
    table = model.cell_types.loc[shares.index].iloc[kinds]
    cells = pd.DataFrame({"cell_type": table.index, "lineage": table["lineage"].to_numpy()})
    anchor = table["maturation"].to_numpy(dtype=float)
    reach = rng.uniform(-MATURATION_REACH, MATURATION_REACH, number)
    cells["maturation"] = np.clip(anchor + reach, 0, 1)
    cells["planted"] = ""
    for state in states:
        free = cells["cell_type"].isin(state.cell_types) & (cells["planted"] == "")
        cells.loc[free & (rng.random(number) < state.share), "planted"] = state.truth
    spread = rng.normal(0, 1, number) * table["counts_sd"].to_numpy()
    cells["counts"] = table["counts"].to_numpy() * np.exp(spread)
    return cells


def _means(
    rates: pd.DataFrame,
    stages: pd.Series,
    cells: pd.DataFrame,
    states: Sequence[State],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the expected counts of every single cell: cells x genes."""
    values, row = rates.to_numpy().T, {name: i for i, name in enumerate(rates)}
    mean = values[cells["cell_type"].map(row)]
    maturing = cells["maturation"].notna().to_numpy()
    mean[maturing] = _maturing(rates, stages, cells["maturation"].to_numpy()[maturing])
    for state in states:
        at = rates.index.get_indexer(list(state.fold))
        carriers = np.flatnonzero(cells["planted"] == state.truth)
        mean[np.ix_(carriers, at)] *= np.fromiter(state.fold.values(), dtype=float)
    mean *= cells["counts"].to_numpy()[:, None]
    dying = np.flatnonzero(cells["state"] == "dying")
    mito = rates.index.str.startswith("mt-")
    mean[dying] *= np.where(mito, DYING_MITO_KEPT, rng.uniform(*DYING_KEPT, (len(dying), 1)))
    return mean


def _responses(
    model: CellModel,
    sd: Mapping[str, float],
    library: Mapping[str, str],
    number: int,
    seed: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the factors by which cells differ in their responses: cells x genes.

    Half of a response's standard deviation over cells lies between mice.
    """
    factors = np.ones((number, len(model.rates)))
    for response, name in RESPONSES.items():
        of_mouse = _rng(seed, "response", response, library["donor"]).normal(0, sd[response] / 2)
        degree = of_mouse + rng.normal(0, sd[response], number)
        at = model.rates.index.get_indexer(list(model.responses.get(name, ())))
        factors[:, at[at >= 0]] *= np.exp(degree)[:, None]
    return factors


def _maturing(rates: pd.DataFrame, stages: pd.Series, maturation: np.ndarray) -> np.ndarray:
    """Return the rates of maturing cells: a mixture of the two stages on either side of each."""
    values, anchors = rates[stages.index].to_numpy().T, stages.to_numpy()
    high = np.clip(np.searchsorted(anchors, maturation), 1, len(anchors) - 1)
    share = (maturation - anchors[high - 1]) / (anchors[high] - anchors[high - 1])
    return (1 - share)[:, None] * values[high - 1] + share[:, None] * values[high]


def _negative_binomial(
    mean: np.ndarray, dispersion: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw counts with variance ``mean + dispersion * mean ** 2``, gene by gene."""
    shape = 1 / np.maximum(dispersion, 1e-6)
    return rng.poisson(mean * rng.standard_gamma(shape, mean.shape) / shape)


def _join_doublets(
    counts: np.ndarray, cells: pd.DataFrame, number: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Put the last `number` cells into the droplets of the first."""
    if not number:
        return counts, cells.assign(doublet_of="")
    alone, guests = counts[:-number], cells.iloc[-number:]
    alone[:number] += counts[-number:]
    cells = cells.iloc[:-number].copy()
    both = cells["cell_type"].to_numpy()[:number] + "+" + guests["cell_type"].to_numpy()
    cells["doublet_of"] = np.concatenate([both, np.repeat("", len(cells) - number)])
    cells.iloc[:number, cells.columns.get_loc("state")] = "doublet"
    return alone, cells


def _ambient(
    mean: np.ndarray,
    median: float,
    number: int,
    settings: Mapping[str, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the ambient counts of every barcode, from the mean profile of the library's cells."""
    profile = mean.sum(axis=0)
    amount = settings["share"] * median * np.exp(rng.normal(0, settings["sd"]))
    amounts = amount * np.exp(rng.normal(0, 0.2, number))
    return rng.poisson(np.outer(amounts, profile / profile.sum()))
