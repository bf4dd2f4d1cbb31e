"""Is a latent space any good? Each number stands between its floor and its ceiling.

A metric alone means little. Floor and ceiling are measured on control spaces of the same cells, as
Open Problems does (Luecken 2025, doi 10.1038/s41587-025-02694-w): positions shuffled between cells,
the batch alone embedded, the cell types alone embedded.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from emhniche.io import CELL_ID
from emhniche.latent_batches import batch_metrics
from emhniche.latent_types import (
    LABEL_METRICS,
    connectivity,
    kept_apart,
    order_kept,
    orders,
    restricted_types,
    type_metrics,
)

MAX_CELLS = 20_000
"""Most cells that are measured; of more, so many are drawn."""

JITTER = 0.01
"""Standard deviation around each point of an embedded batch or type, which lie 1.4 apart."""

SUPERVISED = ("scanvi",)
"""Methods that learn from the published labels."""

COLUMNS = ["method", "metric", "value", "floor", "ceiling", "n"]


def integration_metrics(
    latents: Mapping[str, pd.DataFrame],
    obs: pd.DataFrame,
    *,
    batch_key: str,
    seed: int,
    scores: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Measure each method's latent space, with the controls that give the numbers a scale.

    Parameters
    ----------
    latents
        Method -> ``cell_id`` and dimensions.
    obs
        Cells, indexed by ``cell_id``: ``sample``, ``dataset``, ``tissue``, the batch column,
        ``label`` (published cell type, empty for none) and ``qc_lineage``. Labels are used here
        only and never in training, unless the method is declared supervised.
    batch_key
        Column with the batch.
    seed
        Seed of the draw and of the controls.
    scores
        ``cell_id`` and each marker set's ``<set>__z`` (:func:`emhniche.score.score_cells`); without
        it maturation, cell cycle and marked types are not measured.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``metric``, ``value``, ``floor``, ``ceiling``, ``n`` (cells). What each metric
        is and which control is its floor and ceiling: `docs/integrate.md`. NaN and 0 cells where
        a metric cannot be measured. ``supervised`` is true where a method learnt from the labels
        that the metric judges by.
    """
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(len(obs))[:MAX_CELLS])
    obs = obs.iloc[drawn]
    cells = described(obs, batch_key)
    sets = None if scores is None else set_scores(scores, obs.index)
    spaces = placed(latents, obs.index)
    controls = {
        "shuffled": next(iter(spaces.values()))[rng.permutation(len(obs))],
        "batch": embedded(cells["batch"], rng),
        "types": embedded(cells["type"], rng),
        "labels": embedded(cells["label"].where(cells["label"] != "", cells["type"]), rng),
    }
    rows = _bracketed(batch_metrics, spaces, controls, ("batch", "shuffled"), cells)
    rows += _bracketed(type_metrics, spaces, controls, ("shuffled", "labels"), cells)
    rows += _bracketed(connectivity, spaces, controls, ("shuffled", "types"), cells)
    shuffled = controls["shuffled"]
    for order in orders(cells, sets) if sets is not None else []:
        floor, ceiling = order_kept(shuffled, order), order_kept(order.values, order)
        n_cells = sum(len(part) for part in order.parts)
        for method, points in spaces.items():
            rows.append((method, order.name, order_kept(points, order), floor, ceiling, n_cells))
    for kind in restricted_types(cells, sets):
        floor, n_cells = kept_apart(shuffled, kind), len(kind.carriers)
        for method, points in spaces.items():
            rows.append((method, kind.name, kept_apart(points, kind), floor, 1.0, n_cells))
    for method, points in spaces.items():
        variance = points.var(axis=0)
        active = float((variance > 0.01 * variance.max()).sum())
        rows.append((method, "active_dimensions", active, 1.0, float(points.shape[1]), len(obs)))
    table = pd.DataFrame(rows, columns=COLUMNS)
    by_label = table["metric"].isin(
        [*LABEL_METRICS, *(f"apart:{one}" for one in set(obs["label"]))]
    )
    table["supervised"] = by_label & table["method"].isin(SUPERVISED)
    place = table["method"].map({method: number for number, method in enumerate(spaces)})
    return table.loc[place.sort_values(kind="stable").index].reset_index(drop=True)


def placed(latents: Mapping[str, pd.DataFrame], cell_ids: pd.Index) -> dict[str, np.ndarray]:
    """Return each method's cells x dimensions in the order of `cell_ids`."""
    return {
        method: table.set_index(CELL_ID).reindex(cell_ids).to_numpy(dtype=np.float32)
        for method, table in latents.items()
    }


def described(obs: pd.DataFrame, batch_key: str) -> pd.DataFrame:
    """Return what the measures need to know of each cell, as text.

    Parameters
    ----------
    obs
        Cells, as :func:`integration_metrics` takes them.
    batch_key
        Column with the batch.

    Returns
    -------
    pandas.DataFrame
        ``batch``, ``dataset``, ``tissue``, ``label`` and ``type``, in the same order.
    """
    columns = {"batch": batch_key, "type": "qc_lineage"}
    columns |= {name: name for name in ("dataset", "tissue", "label")}
    return pd.DataFrame({name: obs[column].astype(str) for name, column in columns.items()})


def set_scores(scores: pd.DataFrame, cell_ids: pd.Index) -> pd.DataFrame:
    """Return cells x sets, standard deviations above random sets, from ``scores.parquet``."""
    suffix = "__z"
    columns = [name for name in scores if name.endswith(suffix)]
    table = scores.set_index(CELL_ID)[columns].reindex(cell_ids)
    return table.rename(columns=lambda name: name.removesuffix(suffix))


def embedded(groups: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """Place each cell at its group's own corner, and a little beside it.

    Parameters
    ----------
    groups
        Group of each cell.
    rng
        Draws the distance from the corner.

    Returns
    -------
    numpy.ndarray
        Cells x groups.
    """
    names, codes = np.unique(groups.to_numpy(), return_inverse=True)
    points = rng.normal(scale=JITTER, size=(len(codes), len(names))).astype(np.float32)
    points[np.arange(len(codes)), codes] += 1
    return points


def _bracketed(measure, spaces, controls, brackets, cells) -> list[tuple]:
    """Measure each space, and the two controls that are floor and ceiling."""
    floor, ceiling = (measure(controls[name], cells) for name in brackets)
    return [
        (method, metric, value, floor[metric][0], ceiling[metric][0], n)
        for method, points in spaces.items()
        for metric, (value, n) in measure(points, cells).items()
    ]
