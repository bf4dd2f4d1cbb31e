"""What do the published labels of some samples say of all other cells?

Labels of the samples that the settings name go to the nearest cells of the latent space, with an
unknown class for cells too far from all labelled ones (:mod:`emhniche.transfer`). They stand beside
the names that markers give and never change them: labels have other words and other errors, so
where the two disagree is shown, and who is right is left open.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from emhniche.errors import InputError
from emhniche.io import CELL_ID
from emhniche.lineage import UNKNOWN, UNRESOLVED, agreement, most_frequent, usual_lineages
from emhniche.transfer import NEAREST, learn, transfer

logger = logging.getLogger(__name__)


def transfer_labels(
    latent: pd.DataFrame, obs: pd.DataFrame, annotation: pd.DataFrame, *, samples: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hand the labels of some samples to all other cells and compare them with the names.

    Parameters
    ----------
    latent
        ``cell_id`` and one column a dimension.
    obs
        Cells, indexed by ``cell_id``: ``sample`` and ``label`` (published, empty for none).
    annotation
        ``cell_id``, ``lineage``.
    samples
        Samples whose labels are used.

    Returns
    -------
    cells : pandas.DataFrame
        ``cell_id``, ``label`` (transferred; :data:`UNKNOWN` where the cell is too far), ``share``
        (of the nearest labelled cells that have it), ``distance``, ``limit``, ``in_reference``,
        ``usual_lineage`` (the most frequent lineage of the labelled cells with that label) and
        ``agrees`` (the cell's lineage is that one; empty where the label is unknown or the cell
        unresolved). Labelled cells of `samples` are left out.
    table : pandas.DataFrame
        One row a label: ``label``, ``n_labelled``, ``usual_lineage``, ``labelled_agree`` (share of
        the labelled cells that have it), ``n_cells`` (that got the label), ``agree`` (share) and
        ``other_lineage`` (most frequent among the others). Shares are of cells with a lineage.

    Raises
    ------
    InputError
        When the samples hold too few labelled cells after quality control.
    """
    cells = obs.loc[latent[CELL_ID], ["sample", "label"]].astype(str)
    lineage = annotation.set_index(CELL_ID)["lineage"].astype(str).loc[latent[CELL_ID]].to_numpy()
    points = latent.drop(columns=CELL_ID).to_numpy(dtype=np.float32)
    known = (cells["sample"].isin(samples) & ~cells["label"].isin(["", "nan"])).to_numpy()
    if known.sum() <= NEAREST:
        raise InputError(
            f"annotate.label_samples: {', '.join(samples)}: {known.sum()} labelled cells are kept, "
            f"more than {NEAREST} are needed; name samples with a `labels` column in the sheet"
        )
    if known.all():
        raise InputError(
            f"annotate.label_samples: {', '.join(samples)}: every cell of the run has a label "
            "of its own, so none is left to hand labels to; name some of the samples only"
        )
    labels, libraries = (cells[name].to_numpy()[known] for name in ("label", "sample"))
    found = transfer(learn(points[known], labels, libraries), points[~known])
    usual = usual_lineages(labels, lineage[known])
    found.insert(0, CELL_ID, latent[CELL_ID].to_numpy()[~known])
    found["usual_lineage"] = found["label"].map(usual).where(found["in_reference"], "")
    found["agrees"] = agreement(lineage[~known], found["usual_lineage"])
    found["label"] = found["label"].where(found["in_reference"], UNKNOWN)
    logger.info("%d cells labelled, %d unknown", len(found), (found["label"] == UNKNOWN).sum())
    own = pd.DataFrame({"label": labels, "lineage": lineage[known]})
    return found, _by_label(found.assign(lineage=lineage[~known]), own, usual)


def _by_label(found: pd.DataFrame, own: pd.DataFrame, usual: pd.Series) -> pd.DataFrame:
    """Say of each label how well it goes with one lineage, where it is from and where it went."""
    rows = []
    named = own[own["lineage"] != UNRESOLVED]
    for label, lineage in usual.items():
        labelled, got = named[named["label"] == label], found[found["label"] == label]
        others = got.loc[got["lineage"] != lineage, "lineage"]
        rows.append(
            {
                "label": label,
                "n_labelled": int((own["label"] == label).sum()),
                "usual_lineage": lineage,
                "labelled_agree": float((labelled["lineage"] == lineage).mean()),
                "n_cells": len(got),
                "agree": float(got["agrees"].astype(float).mean()),
                "other_lineage": most_frequent(others),
            }
        )
    table = pd.DataFrame(rows).sort_values(["n_cells", "label"], ascending=[False, True])
    return table.reset_index(drop=True)
