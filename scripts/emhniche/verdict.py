"""May any cell of a lineage be called MDSC-like, and if not, why not?

The donors decide first: their gate, the direction against random gene sets, and the inflammation
control. Only behind an open gate are single cells called, at a threshold whose false discovery
rate is estimated on the reference donors, or on their pooled cells where the mode is ``power``. A
closed gate is a result, not a failure.
"""

import numpy as np
import pandas as pd

from emhniche.assessment import Assessment, Settings
from emhniche.gate import CELL_Q, conformal_p
from emhniche.witnesses import CASE, CONTROL, REFERENCE, Refusal

ALPHA = 0.05
"""Level of the donor gate, after adjustment over lineage x tissue x signature."""

CONSEQUENCE = {
    "leave_one_donor_out": "Residuals against the reference donors are given; no cell is called.",
    "one_reference_donor": "Residuals against one reference donor are given; no cell is called.",
    "fitted_on_all": "Scores are given, adjusted on all these cells themselves; no cell is called.",
    "": "Nothing is scored.",
}
"""What a refused comparison still gives, by what rates and regression were learned on."""

ESTIMATE = {
    "fdr": "target-decoy over reference donors (mode fdr)",
    "power": "conformal p-values over pooled reference cells (mode power), which take no account "
    "of how reference donors differ",
}
"""What the threshold on cells comes from, by mode."""


def decide(result: Assessment, q_gate: float, settings: Settings) -> tuple[str, str, pd.DataFrame]:
    """Call cells, or say why none is called.

    Parameters
    ----------
    result
        An assessment.
    q_gate
        Its gate's p-value adjusted over all gates of the run; NaN where there was no test.
    settings
        Levels and limits.

    Returns
    -------
    code : str
        ``called``, or why not.
    reason : str
        The same as sentences.
    calls : pandas.DataFrame
        Indexed by cell id: ``p``, ``q``, ``pathological`` (boolean, missing where no call was
        possible) and ``status``.
    """
    calls = _blank_calls(result)
    if result.refusals:
        sentences = [*(refusal.sentence for refusal in result.refusals), CONSEQUENCE[result.fit]]
        return result.refusals[0].code, " ".join(sentences), calls
    cells = result.cells
    naive = cells[(cells["role"] == REFERENCE) & cells["supported"]]
    p = conformal_p(cells["standing"].to_numpy(), naive["standing"].to_numpy())
    calls["p"] = np.where(cells["residual"].notna(), p, np.nan)
    tested = (cells["role"] == CASE) & cells["supported"]
    calls.loc[tested, "pathological"] = False
    closed = _closed_gate(result, q_gate)
    if closed:
        return closed.code, closed.sentence, calls
    decoys = [group.to_numpy() for _, group in naive.groupby("donor", sort=True)["standing"]]
    standing = cells.loc[tested, "standing"]
    q = CELL_Q[settings.mode](standing.to_numpy(), decoys)
    called = q <= settings.q
    calls.loc[tested, "q"] = q
    calls.loc[tested, "pathological"] = called
    if not called.any():
        return (
            "no_threshold",
            "The donors differ, but no threshold on cells keeps the estimated false discovery rate "
            f"at or below {settings.q:g}, by {ESTIMATE[settings.mode]}.",
            calls,
        )
    result.facts["threshold"] = float(standing[called].min())
    result.facts["fdr"] = float(q[called].max())
    sentence = (
        f"{called.sum()} case cells ({100 * called.mean():.1f} %) are called {label(result)}, by "
        f"{ESTIMATE[settings.mode]}."
    )
    return "called", sentence, calls


def label(result: Assessment) -> str:
    """Return what a called cell is called: reactive unless an inflammation control passed."""
    passed = result.control is not None and result.control.p <= ALPHA
    return "MDSC-like" if passed else "MDSC-like (reactive)"


def _closed_gate(result: Assessment, q_gate: float) -> Refusal | None:
    """Say why no cell may be called although the arms were compared."""
    effect, low, high = (result.facts[k] for k in ("sign_effect", "random_low", "random_high"))
    if result.test.p >= 1 - ALPHA and effect < low:
        return Refusal(
            "wrong_direction",
            "Case donors hold fewer cells above the naive range than reference donors do, and "
            "fewer than 95 % of random gene sets show: the signature points the wrong way.",
        )
    if q_gate > ALPHA:
        return Refusal(
            "no_donor_level_excess",
            "Case donors hold no more cells above the naive range than reference donors differ "
            f"among themselves (adjusted p {q_gate:.2g}).",
        )
    if effect <= high:
        return Refusal(
            "not_beyond_random_sets",
            "Random gene sets of the same expression show as large an effect, so it is not the "
            "signature's.",
        )
    if result.control is not None and result.control.p > ALPHA:
        return Refusal(
            "not_beyond_inflammation",
            "Case donors hold no more cells above the naive range than inflamed donors do "
            f"(p {result.control.p:.2g}).",
        )
    return None


def _blank_calls(result: Assessment) -> pd.DataFrame:
    """Return the table before anything is called; the status says what a cell is there for."""
    cells = result.cells
    status = pd.Series("score_only", index=cells.index, dtype=object)
    if not result.refusals:
        status[cells["role"] == REFERENCE] = "reference"
        status[cells["role"] == CONTROL] = "inflammation_control"
        status[cells["role"] == CASE] = "tested"
        status[(cells["role"] == CASE) & ~cells["supported"]] = "unsupported"
    status[cells["residual"].isna()] = "not_testable"
    missing = pd.array([pd.NA] * len(cells), dtype="boolean")
    columns = {"p": np.nan, "q": np.nan, "pathological": missing, "status": status}
    return pd.DataFrame(columns, index=cells.index)
