"""What does a contrast allow, and how are its units laid out in a model?

A contrast compares two arms. An interaction asks whether that difference is another one at a second
place (does the tumour change the spleen more than the marrow), so it has four groups of units. The
functions here are the one place that knows which of the two it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from emhniche.confounding import independent_columns, listing

_MIN_RESIDUAL = 2


@dataclass(frozen=True)
class Audit:
    """What a contrast allows.

    Attributes
    ----------
    name, factor, test, reference
        The contrast.
    verdict
        ``tested``, ``effect_only``, ``not_identifiable`` or ``not_testable``.
    reason
        The verdict in a sentence.
    samples
        Libraries that the tables of the contrast use, indexed by sample: ``unit`` (a donor in an
        arm), ``donor``, ``donor_known``, ``test`` (True on the test side), and the columns of
        :data:`emhniche.confounding.NUISANCES` that the sheet has.
    blocks
        Columns of the design besides the factor; ``donor`` first where donors are paired.
    aliased_with, nested_in
        Columns the factor cannot be told from: with one level an arm, or with several.
    counts
        ``units`` and ``known`` (known donors), each as (test, reference), and ``paired``.
    within
        Of an interaction its second factor, test and reference level; else empty. `samples` then
        has ``within`` (True at that test level), and a unit is a donor in one of four groups.
    """

    name: str
    factor: str
    test: str
    reference: str
    verdict: str
    reason: str
    samples: pd.DataFrame
    blocks: tuple[str, ...] = ()
    aliased_with: tuple[str, ...] = ()
    nested_in: tuple[str, ...] = ()
    counts: Mapping = field(default_factory=dict)
    within: tuple[str, ...] = ()

    @property
    def formula(self) -> str:
        """The design that the samples allow; empty when the factor cannot be estimated."""
        if self.verdict in ("not_testable", "not_identifiable"):
            return ""
        last = ":".join([self.factor, *self.within[:1]])
        return "~ " + " + ".join([*self.blocks, last])

    @property
    def units(self) -> pd.DataFrame:
        """One row a unit (a donor in an arm), sorted by its name."""
        return self.samples.drop_duplicates("unit").set_index("unit").sort_index()

    @property
    def contrast(self) -> dict[str, object]:
        """The contrast as the configuration has it, without its subset."""
        found = {key: getattr(self, key) for key in ("name", "factor", "test", "reference")}
        if self.within:
            keys = ("factor", "test", "reference")
            found["interaction"] = dict(zip(keys, self.within, strict=True))
        return found

    @property
    def groups(self) -> dict[str, tuple[bool, ...]]:
        """What each group of libraries is called, and its ``test`` (and ``within``)."""
        arms = {self.test: True, self.reference: False}
        if not self.within:
            return {name: (side,) for name, side in arms.items()}
        _, there, elsewhere = self.within
        return {
            f"{name} in {place}": (side, inside)
            for place, inside in ((there, True), (elsewhere, False))
            for name, side in arms.items()
        }


def design_matrix(
    units: pd.DataFrame, blocks: Sequence[str], *, min_units: int
) -> tuple[pd.DataFrame | None, str]:
    """Build the model matrix of the units that are left for a cell type.

    Parameters
    ----------
    units
        Rows of :attr:`Audit.units`, of known donors.
    blocks
        Columns besides the factor.
    min_units
        Known donors that each arm needs.

    Returns
    -------
    matrix
        Units x coefficients; the last column, ``test``, is the factor, or the interaction where
        the units have ``within``. Paired designs keep the donors with both arms. None when it
        cannot be estimated.
    reason
        Why not, else empty.
    """
    if "donor" in blocks:
        units = units[paired(units)]
    sizes = [int(here.sum()) for here in split(units)]
    if min(sizes) < min_units:
        kind = "paired donors" if "donor" in blocks else "known donors"
        numbers = " against ".join(map(str, sizes[:2]))
        if len(sizes) > 2:
            numbers = f"{numbers} and {' against '.join(map(str, sizes[2:]))}"
        return None, f"{numbers} {kind}, {min_units} in each arm are needed"
    others = independent_columns(units, blocks)
    matrix = np.column_stack([others, compared(units)])
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        return None, f"in these donors it cannot be told from {listing(blocks, 'and')}"
    if len(matrix) - matrix.shape[1] < _MIN_RESIDUAL:
        return None, f"adjusting for {listing(blocks, 'and')} leaves too few donors to judge noise"
    names = ["intercept", *(f"block_{i}" for i in range(1, others.shape[1])), "test"]
    return pd.DataFrame(matrix, index=units.index, columns=names), ""


def paired(rows: pd.DataFrame) -> pd.Series:
    """Tell the rows whose donor is known and stands on both sides.

    Parameters
    ----------
    rows
        Libraries or units: ``donor``, ``donor_known``, ``test``, and ``within`` of an interaction.

    Returns
    -------
    pandas.Series
        Bool. Of an interaction: the donor has both levels of one factor at one of the other.
    """
    if "within" not in rows:
        return rows["donor_known"] & (rows.groupby("donor")["test"].transform("nunique") == 2)
    both = [
        rows.groupby(["donor", at])[factor].transform("nunique") == 2
        for at, factor in (("test", "within"), ("within", "test"))
    ]
    return rows["donor_known"] & (both[0] | both[1])


def split(units: pd.DataFrame) -> list[np.ndarray]:
    """Tell the units of each group.

    Parameters
    ----------
    units
        Rows of :attr:`Audit.units`.

    Returns
    -------
    list of numpy.ndarray
        Bool, one array a group: test and reference; of an interaction these two at the second
        factor's test level and then at its reference level.
    """
    side = units["test"].to_numpy(dtype=bool)
    if "within" not in units:
        return [side, ~side]
    inside = units["within"].to_numpy(dtype=bool)
    return [side & inside, ~side & inside, side & ~inside, ~side & ~inside]


def sizes(rows: pd.DataFrame) -> list[int]:
    """Count the units of each group.

    Parameters
    ----------
    rows
        Libraries of a contrast.

    Returns
    -------
    list of int
        In the order of :func:`split`.
    """
    return [int(here.sum()) for here in split(rows.drop_duplicates("unit"))]


def compared(units: pd.DataFrame) -> np.ndarray:
    """Return the column of the model whose coefficient is the effect.

    Parameters
    ----------
    units
        Rows of :attr:`Audit.units`.

    Returns
    -------
    numpy.ndarray
        1 on the test side, of an interaction on both test sides, else 0.
    """
    return split(units)[0].astype(float)


def difference(values: np.ndarray, units: pd.DataFrame) -> np.ndarray:
    """Return the difference of the arms' means, or the difference of two such differences.

    Parameters
    ----------
    values
        Units x features.
    units
        Rows of :attr:`Audit.units`; no group is empty.

    Returns
    -------
    numpy.ndarray
        One value a feature.
    """
    means = [values[here].mean(axis=0) for here in split(units)]
    effect = means[0] - means[1]
    return effect if len(means) == 2 else effect - (means[2] - means[3])
