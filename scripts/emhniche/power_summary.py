"""What do many trials say together, how sure is it, and does it meet the bound?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95

GROUP = ["arm", "mice", "method", "metric"]


@dataclass(frozen=True)
class Bound:
    """What a metric must reach.

    Attributes
    ----------
    value
        The bound.
    at_least
        Whether the metric must be at or above it; else at or below.
    sampling_error
        Whether it is met until the interval shows otherwise.
    """

    value: float
    at_least: bool
    sampling_error: bool = False

    def __str__(self) -> str:
        """Write the bound as the summary shows it."""
        sign = ">=" if self.at_least else "<="
        return f"{sign} {self.value:g}{' + sampling error' if self.sampling_error else ''}"

    def met(self, mean: float, low: float, high: float) -> bool:
        """Tell whether a mean with its interval meets the bound."""
        if self.at_least:
            return (high if self.sampling_error else mean) >= self.value
        return (low if self.sampling_error else mean) <= self.value


BOUNDS: Mapping[tuple[str, str], Bound] = {
    ("null", "expression_families_with_a_call"): Bound(0.05, False, sampling_error=True),
    ("planted", "expression_power"): Bound(0.8, True),
    ("planted", "composition_power"): Bound(0.8, True),
    ("planted", "doublet_auroc"): Bound(0.85, True),
    ("planted", "lineage_macro_f1"): Bound(0.9, True),
    ("planted", "pathological_fdr"): Bound(0.1, False),
    ("planted", "pathological_power"): Bound(0.7, True),
}
"""What the demo cohort is held to, by arm and metric."""


def summarise(trials: pd.DataFrame) -> pd.DataFrame:
    """Summarise the figures of many trials.

    Parameters
    ----------
    trials
        The table of :func:`emhniche.power.judge_trials`.

    Returns
    -------
    pandas.DataFrame
        One row an arm, number of mice, method and metric: ``seeds``; ``mean`` over them; ``low``
        and ``high`` of the 95 % interval and how it was made (``interval``: ``clopper_pearson``
        for a metric that is 0 or 1 in a seed, ``student_t`` over seeds for a share); ``n``, what
        it rests on in all; ``bound`` and whether it is ``met``, where there is one. Bounded
        metrics come first.
    """
    rows = []
    for key, group in trials.groupby(GROUP, sort=False):
        row = dict(zip(GROUP, key, strict=True))
        low, high, kind = interval(group["value"].to_numpy(dtype=float), group["n"].to_numpy())
        mean = float(group["value"].mean())
        row |= {"seeds": len(group), "mean": mean, "low": low, "high": high, "interval": kind}
        row["n"] = int(group["n"].sum())
        bound = BOUNDS.get((row["arm"], row["metric"]))
        row["bound"] = str(bound) if bound else ""
        row["met"] = ("yes" if bound.met(mean, low, high) else "no") if bound else ""
        rows.append(row)
    columns = [*GROUP, "seeds", "mean", "low", "high", "interval", "n", "bound", "met"]
    table = pd.DataFrame(rows, columns=columns)
    order = {key: number for number, key in enumerate(BOUNDS)}
    keys = zip(table["arm"], table["metric"], strict=True)
    table["_bound"] = [order.get(key, len(order)) for key in keys]
    table["_mice"] = [sum(map(int, text.split("+"))) for text in table["mice"]]
    sort = ["method", "_mice", "_bound", "arm", "metric"]
    return table.sort_values(sort, kind="stable", ignore_index=True)[columns]


def interval(values: np.ndarray, n: np.ndarray) -> tuple[float, float, str]:
    """Return a 95 % interval of a mean over seeds.

    Parameters
    ----------
    values
        One a seed.
    n
        What each is a share of; 1 where it is 0 or 1.

    Returns
    -------
    low, high : float
        Seeds are the independent ones, not the rows of a seed. Where all seeds give the same value
        (every share is 0, or there is one seed) the interval is that of as many seeds that are
        right or wrong: no false call in 4 seeds is no proof of none in all.
    kind : str
        ``clopper_pearson`` or ``student_t``.
    """
    mean = values.mean()
    if (n == 1).all() or len(values) < 2 or np.ptp(values) == 0:
        found = stats.binomtest(round(values.sum()), len(values))
        limits = found.proportion_ci(CONFIDENCE, method="exact")
        return float(limits.low), float(limits.high), "clopper_pearson"
    error = values.std(ddof=1) / np.sqrt(len(values))
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error
    return float(max(mean - reach, 0.0)), float(min(mean + reach, 1.0)), "student_t"
