"""Which resolution was taken for the clusters, and how do those of others lie in them?"""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from emhniche.report import figures
from emhniche.report.figures import INK, QUIET, styled

PALETTE = "cividis"
"""Colours of a share from 0 to 1; the same for all kinds of colour vision."""

MIN_EDGE = 0.05
"""Share of a cluster's cells below which its line to the next resolution is left out."""


@styled
def resolutions(curve: pd.DataFrame, found: pd.DataFrame, tree: pd.DataFrame) -> Figure | None:
    """Draw the score of each resolution, and the clusters of each as a tree.

    Parameters
    ----------
    curve
        ``cluster/resolutions.tsv``.
    found
        ``cluster/found_again.tsv``.
    tree
        ``cluster/tree.tsv``.

    Returns
    -------
    matplotlib.figure.Figure or None
        None when one resolution was tried only.
    """
    if len(curve) < 2:
        return None
    widest = int(curve["n_clusters"].max())
    height = 1.2 + max(0.62 * len(curve), 2.6)
    figure, axes = figures.new_figure(9.4, height, columns=2, width_ratios=[1, 3])
    _curve(axes[0, 0], curve)
    place = _places(found, tree)
    _tree(axes[0, 1], found, tree, place, widest=widest)
    shades = ScalarMappable(Normalize(0, 1), colormaps[PALETTE])
    figure.colorbar(
        shades, ax=axes[0, 1], label="found again (share of subsamples)", shrink=0.7, aspect=25
    )
    return figure


def _curve(axis: Axes, curve: pd.DataFrame) -> None:
    """Draw the score of each resolution, one a row as in the tree, with the clusters it has."""
    rows = np.arange(len(curve))
    taken = curve["chosen"].to_numpy()
    axis.axvline(0, color=QUIET, linewidth=0.7)
    axis.plot(curve["score"], rows, color=QUIET, linewidth=1)
    axis.plot(curve["score"][~taken], rows[~taken], "o", color="white", markeredgecolor=QUIET)
    axis.plot(curve["score"][taken], rows[taken], "o", color="#D55E00")
    for row, one in zip(rows, curve.itertuples(), strict=True):
        text = f"{one.n_stable} of {one.n_clusters}"
        axis.annotate(
            text, (one.score, row), (0, 6), textcoords="offset points", ha="center", fontsize=8
        )
    axis.set_yticks(rows, [f"{one:g}" for one in curve["resolution"]])
    axis.set(ylabel="resolution", xlabel="score", ylim=(len(curve) - 0.5, -0.6))
    axis.set_title("Score", fontsize=9)
    axis.margins(x=0.25)


def _places(found: pd.DataFrame, tree: pd.DataFrame) -> dict[tuple[float, str], float]:
    """Give each cluster a place from 0 to 1: beneath those that its cells come from."""
    places: dict[tuple[float, str], float] = {}
    previous = None
    for resolution, part in found.groupby("resolution", sort=True):
        clusters = part["cluster"].astype(str).tolist()
        wish = {name: float(number) for number, name in enumerate(clusters)}
        if previous is not None:
            flow = tree[tree["next_resolution"] == resolution]
            above = [places[previous, name] for name in flow["cluster"].astype(str)]
            flow = flow.assign(at=np.multiply(above, flow["n_cells"]))
            sums = flow.groupby(flow["next_cluster"].astype(str))[["at", "n_cells"]].sum()
            wish = (sums["at"] / sums["n_cells"]).to_dict()
        for number, name in enumerate(sorted(clusters, key=lambda one: (wish[one], int(one)))):
            places[resolution, name] = (number + 0.5) / len(clusters)
        previous = resolution
    return places


def _tree(
    axis: Axes,
    found: pd.DataFrame,
    tree: pd.DataFrame,
    place: dict[tuple[float, str], float],
    *,
    widest: int,
) -> None:
    """Draw a row of dots a resolution, joined with the next where cells go."""
    rows = {resolution: number for number, resolution in enumerate(found["resolution"].unique())}
    sizes = found.groupby(["resolution", "cluster"])["n_cells"].sum()
    for one in tree.itertuples():
        share = one.n_cells / sizes[one.resolution, one.cluster]
        if share < MIN_EDGE and one.n_cells / sizes[one.next_resolution, one.next_cluster] < 0.5:
            continue
        start = (place[one.resolution, str(one.cluster)], rows[one.resolution])
        end = (place[one.next_resolution, str(one.next_cluster)], rows[one.next_resolution])
        middle = (start[1] + end[1]) / 2
        path = Path([start, (start[0], middle), (end[0], middle), end], [1, 4, 4, 4])
        width = 0.5 + 4 * one.n_cells / sizes.max()
        axis.add_patch(PathPatch(path, fill=False, edgecolor="#9AA5B1", linewidth=width, alpha=0.7))
    largest = min(320.0, 26_000 / widest**1.35)
    shades = colormaps[PALETTE](found["found_again"].to_numpy(dtype=float))
    spots = [place[one.resolution, str(one.cluster)] for one in found.itertuples()]
    heights = [rows[one] for one in found["resolution"]]
    area = 12 + largest * np.sqrt(found["n_cells"] / found["n_cells"].max())
    rims = np.where(found["chosen"], "#D55E00", "white")
    widths = np.where(found["chosen"], 1.6, 0.5)
    axis.scatter(spots, heights, s=area, c=shades, edgecolors=rims, linewidths=widths, zorder=3)
    for one in found[found["chosen"]].itertuples():
        at = (place[one.resolution, str(one.cluster)], rows[one.resolution])
        axis.annotate(
            str(one.cluster),
            at,
            (0, 10),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=INK,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.8, "linewidth": 0},
        )
    axis.set(xlim=(-0.01, 1.01), ylim=(len(rows) - 0.5, -0.6), xticks=[])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_title("Clusters of each resolution, and where their cells go at the next", fontsize=9)
