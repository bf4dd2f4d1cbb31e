"""What do the short names of cell types stand for?"""

from pathlib import Path

import pandas as pd

from emhniche.io import read_table
from emhniche.report import words


def meanings(path: Path, annotation: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the cell types and lineages of a run with what their names mean, by name.

    Parameters
    ----------
    path
        ``lineages.tsv`` of the run; its column ``meaning`` is optional.
    annotation
        ``lineage`` and ``cell_type`` of every cell.

    Returns
    -------
    list of tuple
        ``(name, meaning)`` of those that cells of the run have and whose meaning the file tells.
    """
    table = read_table(path)
    if "meaning" not in table:
        return []
    told = table.dropna(subset=["meaning"]).drop_duplicates("cell_type").set_index("cell_type")
    used = set(annotation["lineage"].astype(str)) | set(annotation["cell_type"].astype(str))
    named = [(words.name(one), str(told.loc[one, "meaning"])) for one in told.index if one in used]
    return sorted(named, key=lambda pair: pair[0].casefold())
