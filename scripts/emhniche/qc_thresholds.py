"""Where does a lineage's own spread say that a barcode no longer is a good cell?"""

import numpy as np
import pandas as pd

from emhniche.lineage import UNRESOLVED

MAD_SCALE = 1.4826
"""Makes the median absolute deviation estimate a normal standard deviation."""


def lineage_thresholds(
    table: pd.DataFrame, *, n_mads: float, bounds: dict[str, dict], min_lineage_cells: int
) -> pd.DataFrame:
    """Set each lineage's thresholds from its own median and MAD, between floor and ceiling.

    Parameters
    ----------
    table
        Barcodes with ``lineage`` and the metrics named in `bounds`.
    n_mads
        Distance from the median in scaled MADs; UMIs and genes on the log1p scale.
    bounds
        Metric -> ``{"floor", "ceiling"}`` of its threshold.
    min_lineage_cells
        Below this a lineage gets the mildest threshold that the bounds allow; so do barcodes that
        have no lineage.

    Returns
    -------
    pandas.DataFrame
        ``lineage``, ``metric``, ``side`` (``lower`` or ``upper``), ``value``, ``n`` (barcodes),
        ``basis`` (``mad``, ``floor``, ``ceiling``, ``few_cells``, ``not_measured``).
    """
    rows = []
    for lineage, group in table.groupby("lineage", sort=True):
        for metric, bound in bounds.items():
            side = "upper" if metric == "pct_mito" else "lower"
            values = group[metric].dropna()
            enough = min_lineage_cells if lineage != UNRESOLVED else np.inf
            value, basis = _threshold(values, side, n_mads, bound, enough)
            rows.append((lineage, metric, side, value, len(group), basis))
    return pd.DataFrame(rows, columns=["lineage", "metric", "side", "value", "n", "basis"])


def first_failure(table: pd.DataFrame, thresholds: pd.DataFrame) -> pd.Series:
    """Name the first rule that each barcode fails: low_counts, high_mito or low_genes.

    Parameters
    ----------
    table
        Barcodes with ``lineage`` and metrics.
    thresholds
        From :func:`lineage_thresholds`.

    Returns
    -------
    pandas.Series
        One string a barcode; empty for those that fail none. An unmeasured metric fails no rule.
    """
    limits = thresholds.pivot(index="lineage", columns="metric", values="value")
    limits = limits.reindex(table["lineage"]).set_axis(table.index)
    failures = {
        "low_counts": table["n_counts"] < limits["n_counts"],
        "high_mito": table["pct_mito"] > limits["pct_mito"],
        "low_genes": table["n_genes"] < limits["n_genes"],
    }
    reason = pd.Series("", index=table.index, dtype=object)
    for name, failed in failures.items():
        reason = reason.mask((reason == "") & failed, name)
    return reason


def _threshold(
    values: pd.Series, side: str, n_mads: float, bound: dict, min_lineage_cells: float
) -> tuple[float, str]:
    """One threshold and what it rests on."""
    if values.empty:
        return float("nan"), "not_measured"
    mildest = bound["floor"] if side == "lower" else bound["ceiling"]
    if len(values) < min_lineage_cells:
        return float(mildest), "few_cells"
    scale = np.log1p if side == "lower" else np.asarray
    scaled = np.asarray(scale(values.to_numpy(dtype=float)))
    centre = np.median(scaled)
    spread = MAD_SCALE * np.median(np.abs(scaled - centre))
    value = np.expm1(centre - n_mads * spread) if side == "lower" else centre + n_mads * spread
    if value < bound["floor"]:
        return float(bound["floor"]), "floor"
    if value > bound["ceiling"]:
        return float(bound["ceiling"]), "ceiling"
    return float(value), "mad"
