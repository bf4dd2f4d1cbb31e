"""Compare simulated with real cells: figures and a table for docs/demo.md.

make demo public
python scripts/demo_realism.py results/demo results/public docs
"""

import argparse
import sys
from pathlib import Path

from emhniche.errors import InputError
from emhniche.io import atomic_path, write_table
from emhniche.realism import compare_runs, load_run, shared_genes
from emhniche.realism_figures import draw_all


def main() -> None:
    """Read both runs, write ``demo_realism.tsv`` and ``images/realism_*.png``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("simulated", type=Path, help="folder of a finished simulated run")
    parser.add_argument("real", type=Path, help="folder of a finished run of real data")
    parser.add_argument("output", type=Path, help="folder to write to")
    args = parser.parse_args()
    try:
        simulated, real = load_run(args.simulated), load_run(args.real)
    except InputError as error:
        sys.exit(str(error))
    write_table(compare_runs(simulated, real), args.output / "demo_realism.tsv")
    figures = draw_all(simulated, real, shared_genes([simulated, real]))
    for name, figure in figures.items():
        with atomic_path(args.output / "images" / f"{name}.png") as temporary:
            figure.savefig(temporary)


if __name__ == "__main__":
    main()
