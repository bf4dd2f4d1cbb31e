"""Command: place a sample of your own among the cells of a finished run.

No rule runs it; `make map QUERY=<file>` does. `docs/map.md` says what it writes.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NoReturn

from emhniche.errors import InputError

SUFFIXES = re.compile(
    r"(\.(h5ad|h5|loom|mtx|csv|tsv|txt|rds|rda|gz|zip|tar|bz2))+$", flags=re.IGNORECASE
)
"""Endings of a file's name that are not part of the name of what it holds."""


class Parser(argparse.ArgumentParser):
    """Ends in one line, like every other mistake of a user."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong."""
        self.exit(2, f"error: {message}; see --help\n")


def main() -> int:
    """Map the query and write its table and page."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="configuration of the finished run")
    parser.add_argument("query", help="file with raw counts of cells, in any format of the sheet")
    parser.add_argument("--name", default="", help="of the query; its file's name by default")
    given = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    try:
        from emhniche.map_page import map_file

        if not given.query:
            raise InputError("no query: name a file of raw counts, as in make map QUERY=counts.h5")
        name = given.name or re.sub(
            r"[^A-Za-z0-9_-]+", "_", SUFFIXES.sub("", Path(given.query).name)
        )
        print(map_file(given.config, given.query, name=name, root=root))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
