"""Is each library good enough to be part of the run, and is it what the sheet says it is?

:func:`judge_libraries` puts together what each library shows by itself (its ``qc.json``) and what
only all of them show: sex against the sheet and the donor's other libraries, and libraries entered
twice. A library that fails is kept out of what follows unless the sheet says otherwise.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from emhniche.duplicates import tell_duplicate
from emhniche.errors import InputError
from emhniche.sex_genes import judge_sex
from emhniche.verdict_limits import MEASURES, worst

COLUMNS = [
    "sample",
    "verdict",
    "verdict_reason",
    "kept",
    "keep_failed",
    "n_in",
    "n_kept",
    *MEASURES,
    "share_kept",
    "median_counts",
    "kept_pct_mito",
    "share_doublets",
    "sex",
    "sex_observed",
    "sex_status",
    "female_counts",
    "male_counts",
    "duplicate_of",
    "same_cells",
]
"""Columns of ``samples.tsv``."""


def judge_libraries(
    summaries: Mapping[str, Mapping], sheet: pd.DataFrame, duplicates: pd.DataFrame
) -> pd.DataFrame:
    """Give every library of the run its verdict.

    Parameters
    ----------
    summaries
        Sample -> its ``qc.json``, in the order of the sheet.
    sheet
        Sample sheet, indexed by sample: ``sex``, ``donor``, ``keep_failed``.
    duplicates
        From :func:`emhniche.duplicates.find_duplicates`. Twins of a sample that is kept out for
        another reason are no duplicates in the run.

    Returns
    -------
    pandas.DataFrame
        One row a sample, :data:`COLUMNS`: ``verdict``, ``verdict_reason``, ``kept`` (whether the
        sample is part of what follows), the measures, ``share_kept``, medians of the kept cells
        (``median_counts``; ``kept_pct_mito``, where ``median_pct_mito`` is that of all barcodes
        with enough counts and genes), ``share_doublets`` (called doublets of all barcodes; NaN
        where they were not searched for), and what sex genes and duplicates show.

    Raises
    ------
    InputError
        When no sample is left.
    """
    names = list(summaries)
    table = sheet.loc[names, ["sex", "donor", "keep_failed"]].copy()
    table["observed"] = [summaries[name]["sex_genes"]["observed"] for name in names]
    sexes = judge_sex(table)
    own = {name: _own_faults(summaries[name], sexes.loc[name]) for name in names}
    failed = {name for name in names if worst(own[name])[0] == "fail"}
    forced = set(table.index[table["keep_failed"] == "yes"])
    duplicates = _within_the_run(duplicates, failed, forced)
    rows = []
    for name in names:
        summary, sex = summaries[name], sexes.loc[name]
        twice = duplicates[duplicates["sample"] == name]
        found = [(row["level"], tell_duplicate(row)) for _, row in twice.iterrows()]
        verdict, reason = worst(own[name] + found)
        kept = verdict != "fail" or table.at[name, "keep_failed"] == "yes"
        rows.append(
            {
                "sample": name,
                "verdict": verdict,
                "verdict_reason": reason,
                "kept": bool(kept and summary["n_kept"]),
                "keep_failed": table.at[name, "keep_failed"],
                "n_in": summary["n_in"],
                "n_kept": summary["n_kept"],
                **{key: summary["measures"][key] for key in MEASURES},
                **_of_kept_cells(summary),
                "sex": table.at[name, "sex"],
                "sex_observed": table.at[name, "observed"],
                "sex_status": sex["sex_status"],
                "female_counts": summary["sex_genes"]["female"],
                "male_counts": summary["sex_genes"]["male"],
                "duplicate_of": "; ".join(twice.loc[twice["level"] == "fail", "other"]),
                "same_cells": int(twice["n_same"].max()) if len(twice) else 0,
            }
        )
    judged = pd.DataFrame(rows, columns=COLUMNS)
    if not judged["kept"].any():
        reasons = "; ".join(_reasons(judged))
        raise InputError(
            f"samples: none is left after quality control: {reasons}; change qc.verdict in the "
            "config, or set keep_failed to yes in the sample sheet"
        )
    return judged


def _within_the_run(duplicates: pd.DataFrame, failed: set[str], forced: set[str]) -> pd.DataFrame:
    """Return the pairs whose larger sample is part of the run; the largest samples come first."""
    out = failed - forced
    stays = []
    for row in duplicates.itertuples():
        stays.append(row.other not in out)
        if stays[-1] and row.level == "fail" and row.sample not in forced:
            out.add(row.sample)
    return duplicates[np.array(stays, dtype=bool)]


def _of_kept_cells(summary: Mapping) -> dict[str, float]:
    """Return what tables of samples show beside the measures; the medians are of kept cells."""
    n_in, medians = summary["n_in"], summary["medians"]
    doublets = summary["doublets"]
    searched = doublets["status"] == "scored"
    return {
        "share_kept": summary["n_kept"] / n_in if n_in else np.nan,
        "median_counts": medians["n_counts"],
        "kept_pct_mito": medians["pct_mito"],
        "share_doublets": doublets["n_called"] / n_in if searched and n_in else np.nan,
    }


def _own_faults(summary: Mapping, sex: pd.Series) -> list[tuple[str, str]]:
    """Return level and text of what is wrong with a library, whatever other ones hold its cells."""
    found = [(str(level), str(text)) for level, text in summary["found"]]
    if sex["level"] != "pass":
        found.append((sex["level"], sex["text"]))
    return found


def _reasons(judged: pd.DataFrame) -> Iterator[str]:
    for row in judged.itertuples():
        yield f"{row.sample} ({row.verdict_reason})"
