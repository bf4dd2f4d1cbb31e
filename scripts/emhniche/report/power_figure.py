"""How does one see at a glance how often the pipeline is right?"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emhniche.io import atomic_path
from emhniche.power_summary import BOUNDS, Bound, summarise
from emhniche.report.figures import INK, QUIET, RULE, STYLE, new_figure, styled

POWER = {
    "expression_power": ("genes that change", "#0072B2", "o"),
    "composition_power": ("cells that become more or fewer", "#D55E00", "s"),
    "pathological_power": ("pathological cells", "#009E73", "D"),
}
"""Power metrics with their words, colour and mark: neither colour nor mark is needed alone."""

FALSE = {
    ("null", "expression_families_with_a_call"): "genes, nothing planted",
    ("null", "composition_families_with_a_call"): "frequencies, nothing planted",
    ("planted", "expression_false_discoveries"): "genes, beside planted ones",
    ("planted", "pathological_fdr"): "pathological cells",
}
"""Shares of false discoveries, top to bottom."""


@styled
def draw_summary(trials: pd.DataFrame, path: str | Path) -> None:
    """Draw power with intervals, and false discoveries seed by seed.

    Parameters
    ----------
    trials
        The table of :func:`emhniche.power.judge_trials`.
    path
        Where the picture goes, ``.png``.
    """
    table = summarise(trials)
    sizes = list(dict.fromkeys(table["mice"]))
    several = len(sizes) > 1
    figure, axes = new_figure(9.6, 4.6, columns=2, width_ratios=[1.15, 1])
    if several:
        _power_by_mice(axes[0, 0], table, sizes)
    else:
        _power_by_effect(axes[0, 0], table)
    _false_by_seed(axes[0, 1], trials, table, sizes[-1])
    if several:
        axes[0, 1].set_title(f"False discoveries, each seed, {sizes[-1]} mice an arm")
    _title(figure, trials)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=STYLE["savefig.dpi"], metadata={"Software": None})


def _title(figure: Figure, trials: pd.DataFrame) -> None:
    seeds = trials["seed"].nunique()
    mice = ", ".join(dict.fromkeys(trials["mice"]))
    method = ", ".join(dict.fromkeys(trials["method"]))
    figure.suptitle(
        f"Simulated cohorts: {seeds} seeds, {mice} mice an arm, clusters from {method}. "
        "Bars: 95 % interval; grey or dashed: bound",
        x=0.01,
        ha="left",
        color=INK,
        fontsize=10,
    )


def _power_by_effect(axes: Axes, table: pd.DataFrame) -> None:
    """Draw each planted effect and the means, with 95 % intervals."""
    planted = table[table["arm"] == "planted"].drop_duplicates("metric").set_index("metric")
    effects = planted[planted.index.str.startswith("found:")]
    rows = [(_effect_words(name), row, INK, "o", None) for name, row in effects.iterrows()]
    for metric, (words, colour, mark) in POWER.items():
        if metric in planted.index:
            bound = BOUNDS["planted", metric]
            rows.append((f"All {words}", planted.loc[metric], colour, mark, bound))
    for place, (_, row, colour, mark, bound) in enumerate(reversed(rows)):
        _point(axes, row, place, colour, mark)
        _bound(axes, bound, place)
    axes.set_yticks(range(len(rows)), [words for words, *_ in reversed(rows)])
    axes.set(title="Planted effects that are found", xlabel="share of seeds, or of effects")
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x")


def _power_by_mice(axes: Axes, table: pd.DataFrame, sizes: list[str]) -> None:
    """Draw the planning curve."""
    planted = table[table["arm"] == "planted"]
    for step, (metric, (words, colour, mark)) in enumerate(POWER.items()):
        rows = planted[planted["metric"] == metric].set_index("mice").reindex(sizes)
        places = np.arange(len(sizes)) + 0.06 * (step - 1)
        errors = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
        axes.errorbar(
            places, rows["mean"], np.nan_to_num(errors), color=colour, marker=mark, label=words
        )
        bound = BOUNDS["planted", metric].value
        axes.axhline(bound, color=colour, linestyle=(2 * step, (4, 8)), linewidth=1.0)
    axes.set_xticks(range(len(sizes)), sizes)
    axes.set(title="Power by number of mice", xlabel="mice an arm", ylabel="power", ylim=(0, 1.02))
    axes.grid(axis="y")
    axes.legend(loc="lower right")


def _false_by_seed(axes: Axes, trials: pd.DataFrame, table: pd.DataFrame, mice: str) -> None:
    """Draw each seed's share of false discoveries, their mean and its interval."""
    trials = trials[trials["mice"] == mice]
    table = table[table["mice"] == mice].drop_duplicates(["arm", "metric"])
    means = table.set_index(["arm", "metric"])
    shown = [key for key in FALSE if key in means.index]
    for place, (arm, metric) in enumerate(reversed(shown)):
        values = trials.loc[(trials["arm"] == arm) & (trials["metric"] == metric), "value"]
        offsets = np.linspace(-0.14, 0.14, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(
            values, place - 0.2 + offsets, s=10, color=RULE, edgecolor=QUIET, linewidth=0.5
        )
        _point(axes, means.loc[(arm, metric)], place + 0.14, "#0072B2", "o")
        _bound(axes, BOUNDS.get((arm, metric)), place)
    axes.set_yticks(range(len(shown)), [FALSE[key] for key in reversed(shown)])
    axes.set(title="False discoveries, each seed", xlabel="share")
    axes.set_xlim(-0.03, max(0.3, axes.get_xlim()[1]))
    axes.grid(axis="x")


def _point(axes: Axes, row: pd.Series, place: float, colour: str, mark: str) -> None:
    axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.6)
    axes.plot(row["mean"], place, mark, color=colour, markersize=5)


def _bound(axes: Axes, bound: Bound | None, place: float) -> None:
    if bound:
        axes.plot([bound.value] * 2, [place - 0.4, place + 0.4], color=QUIET, linewidth=1.6)


def _effect_words(metric: str) -> str:
    """Write ``found:contrast:lineage:gene`` for people."""
    _, contrast, lineage, *gene = metric.split(":")
    what = gene[0] if gene else "frequency"
    return f"{what}, {lineage.replace('_', '/')}, {contrast.split('_')[-1]}"
