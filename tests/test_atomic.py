"""What a job writes is there and whole, or not there: in the code, and on a disk that is full."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from emhniche.logs import disk_is_full

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
CODE = sorted(SCRIPTS.rglob("*.py"))
ATOMIC = {"atomic_path", "atomic_folder"}
WRITERS = {
    *("to_csv", "to_parquet", "to_json", "to_excel", "write_text", "write_bytes", "write_h5ad"),
    *(
        "savefig",
        "save",
        "savez",
        "save_npz",
        "copyfile",
        "copy",
        "copytree",
        "copyfileobj",
        "dump",
    ),
}
EXEMPT = {
    "scripts/emhniche/fetch.py": "a download goes on where it broke off: .part, renamed when whole",
    "scripts/emhniche/starter.py": "writes the user's first files before any run",
    "scripts/emhniche/config_docs.py": "writes documentation of the repository",
    "scripts/emhniche/environments.py": "writes documentation of the repository",
    "scripts/liana_opinion.py": "no rule runs it",
}
"""Files that may write themselves, with the reason."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def temporaries(module: ast.Module) -> set[str]:
    """Return the names that ``with atomic_path(...) as name`` and buffers in memory give."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Lambda):  # what `Integration.save` is told to write into
            found |= {one.arg for one in node.args.args} & {"folder"}
        if isinstance(node, ast.With):
            for item in node.items:
                inside = {name_of(one) for one in ast.walk(item) if isinstance(one, ast.Call)}
                if inside & (ATOMIC | {"TemporaryDirectory"}) and item.optional_vars is not None:
                    found |= names(item.optional_vars)
        call = node.value if isinstance(node, ast.Assign) else None
        if isinstance(call, ast.Call) and name_of(call) in {"BytesIO", "StringIO"}:
            found |= set().union(*map(names, node.targets))
    # a path inside a temporary folder
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and names(node.value) & found:
            found |= set().union(*map(names, node.targets))
    return found


def writes(call: ast.Call) -> bool:
    """Tell whether a call writes to a path that it is given."""
    name = name_of(call)
    if name in {"open", "File"}:
        texts = {one.value for one in ast.walk(call) if isinstance(one, ast.Constant)}
        return bool(texts & {"w", "wb", "a", "ab", "x", "xb", "r+", "r+b"})
    if not isinstance(call.func, ast.Attribute) or name not in WRITERS:
        return False
    # `data.copy()` copies an object, `io.write_text` is a helper of emhniche.io
    owner = getattr(call.func.value, "id", "")
    needed = {"copy": "shutil", "dump": "json"}
    return owner != "io" and owner == needed.get(name, owner)


def unsafe(module: ast.Module) -> list[int]:
    """Return the lines that write, and not to a temporary name."""
    safe = temporaries(module)
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and writes(node)]
    return [call.lineno for call in calls if not names(call) & safe]


def test_what_is_written_goes_through_a_temporary_name():
    found = {path.relative_to(ROOT).as_posix(): unsafe(tree(path)) for path in CODE}
    found = {path: lines for path, lines in found.items() if lines}
    assert len(CODE) > 100
    assert {path: found[path] for path in found.keys() - EXEMPT.keys()} == {}
    assert EXEMPT.keys() - found.keys() == set(), "needs no exemption"


@pytest.mark.parametrize(
    "code",
    [
        "table.to_csv(output)",
        "Path(output).write_text('x')",
        "with open(output, 'w') as file:\n    file.write('x')",
        "with h5py.File(output, 'w') as store:\n    pass",
        "with atomic_path(output) as temporary:\n    figure.savefig(output)",
        "shutil.copyfile(a, b)",
    ],
)
def test_a_write_to_the_final_name_is_found(code):
    assert unsafe(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "with atomic_path(output) as temporary:\n    table.to_csv(temporary)",
        "with atomic_path(o) as t, h5py.File(t, 'w') as store:\n    pass",
        "with h5py.File(path, 'r') as store:\n    pass",
        "buffer = BytesIO()\nfigure.savefig(buffer)",
        "io.write_text('x', output)",
        "other = table.copy()",
    ],
)
def test_a_safe_write_is_let_through(code):
    assert unsafe(ast.parse(code)) == []


FULL = """
import sys
import anndata as ad, numpy as np, pandas as pd
from scipy import sparse
from emhniche import io
from emhniche.logs import job_log
place, kind = sys.argv[1:]
rng = np.random.default_rng(0)
table = pd.DataFrame(rng.normal(size=(20000, 10)), columns=list("abcdefghij"))
def folder(path):
    with io.atomic_folder(path) as temporary:
        np.savez(temporary / "weights.npz", table.to_numpy())
write = {
    "tsv": lambda path: io.write_table(table, path),
    "parquet": lambda path: io.write_table(table, path),
    "json": lambda path: io.write_json(table.to_dict("list"), path),
    "h5ad": lambda path: io.write_h5ad(ad.AnnData(sparse.csr_matrix(table.to_numpy())), path),
    "model": folder,
}[kind]
with job_log(f"{sys.argv[1]}.log"):
    write(f"{place}/result.{kind}")
"""


@pytest.fixture(scope="module")
def namespace():
    """The words that run a command where it may mount, or a skip with the reason."""
    try:
        tried = subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here to mount a small disk with")
    if tried.returncode:
        pytest.skip(f"no small disk can be mounted here: {tried.stderr.strip()}")
    return ["unshare", "-rm", "sh", "-ec"]


@pytest.mark.parametrize("kind", ["tsv", "parquet", "json", "h5ad", "model"])
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing_half_written(namespace, tmp_path, kind):
    (tmp_path / "disk").mkdir()
    (tmp_path / "write.py").write_text(FULL)
    steps = """
    mount -t tmpfs -o size=300k none "$1/disk"
    echo before > "$1/disk/before.tsv"
    "$2" "$1/write.py" "$1/disk" "$3" || echo "ended with $?"
    ls -A "$1/disk"
    """
    done = subprocess.run(
        [*namespace, steps, "sh", str(tmp_path), sys.executable, kind],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SCRIPTS), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert done.stdout.split("\n") == ["ended with 1", "before.tsv", ""]
    errors = done.stderr.strip().splitlines()
    assert [line for line in errors if line.startswith("error: ")] == errors[-1:], done.stderr
    assert "no space left on the disk" in errors[-1]
    assert "Traceback" not in done.stderr
    assert (tmp_path / "disk.log").read_text().count("Traceback") == 0


def test_only_a_full_disk_is_called_so():
    wrapped = RuntimeError("cannot close")
    wrapped.__cause__ = OSError("unable to write (errno = 28, No space left on device)")
    assert disk_is_full(wrapped)
    assert not disk_is_full(OSError(2, "No such file"))
    assert not disk_is_full(ValueError("counts"))
