"""The repository keeps its own rules."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import emhniche
from emhniche import environments
from emhniche.schema import read_schema

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
PACKAGE = ROOT / "scripts" / "emhniche"
MODULES = sorted(PACKAGE.rglob("*.py"))
RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
STAGES = [
    *("fetch", "ingest", "qc", "merge", "integrate", "cluster", "annotate"),
    *("score", "niche", "myeloid", "report"),
]
DATA = {".h5ad", ".h5", ".rda", ".rds", ".mtx", ".loom", ".zarr", ".gz", ".zip", ".parquet", ".sif"}
BIN = Path(sys.executable).parent


def tracked() -> list[Path]:
    """Return the files that git tracks."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def tracked_text() -> Iterator[tuple[str, str]]:
    for path in tracked():
        if path.name != "uv.lock" and path.suffix != ".png":
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


distributions = cache(packages_distributions)


@cache
def rules() -> dict[str, str]:
    """Return the text of every rule, by name."""
    found = {}
    for path in RULES:
        text = path.read_text(encoding="utf-8")
        for rule in re.finditer(r"(?m)^(?:rule|checkpoint) (\w+):\n((?: .*\n|\n)+)", text):
            found[rule[1]] = rule[2]
    return found


@cache
def imported(path: Path, *, everywhere: bool) -> set[str]:
    """Return the modules that a file imports: at its top, or also inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree)) if everywhere else list(_outside_functions(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = path.parent if node.level else None
            module = node.module or ""
            if parent is not None:
                inside = parent.relative_to(PACKAGE.parent).parts[: -node.level + 1 or None]
                module = ".".join([*inside, *([module] if module else [])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield from _outside_functions(node)


def reached(script: Path, *, everywhere: bool) -> dict[Path, set[str]]:
    """Return the files of the package that a script leads to, with what each imports."""
    files, waiting = {}, [script]
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        files[path] = imported(path, everywhere=everywhere or path == script)
        for name in files[path]:
            place = PACKAGE.parent.joinpath(*name.split("."))
            for target in (place.with_suffix(".py"), place / "__init__.py"):
                if name.startswith("emhniche") and target.is_file():
                    waiting.append(target)
    return files


@cache
def identifiers(path: Path) -> set[str]:
    """Return the names and the text constants of a file, docstrings left out."""
    if path.suffix == ".smk":
        return set(re.findall(r"\w+", re.sub(r'"""[\s\S]*?"""', "", path.read_text("utf-8"))))
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, (ast.arg, ast.keyword)):
            names.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return names


# --- what is locked, tracked and released


def test_the_lock_names_the_public_index_only():
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    for package in lock["package"]:
        own = package["name"] == "emhniche"
        public = {"editable": "."} if own else {"registry": "https://pypi.org/simple"}
        assert package["source"] == public, package["name"]
        for file in [*package.get("wheels", []), package.get("sdist", {"url": "https://"})]:
            assert file["url"].startswith("https://"), package["name"]


def test_no_data_and_nothing_large_is_tracked():
    assert [path for path in tracked() if path.suffix in DATA] == []
    large = [p.name for p in tracked() if p.stat().st_size > 1_000_000 and p.name != "uv.lock"]
    assert large == []


def test_no_file_names_a_path_of_one_machine():
    machine = re.compile("|".join(f"/{name}/" for name in ("work", "tmp", "root", "home/[a-z]+")))
    beside = re.compile(r"\.\./" + "shared")
    allowed = {".ci/run", "tests/conftest.py"}
    for name, text in tracked_text():
        assert machine.search(text) is None, name
        assert beside.search(text) is None or name in allowed, name


def test_a_called_cell_has_one_name():
    other = re.compile(
        r"(?i)called\s+(?:\W*\w+\W*\s+)?patholog|pathological[\w{} ]+cells? (?:are|is) called"
    )
    kept = {"CHANGELOG.md", "tests/test_repository.py"}
    named = [
        f"{n}: {hit[0]}"
        for n, text in tracked_text()
        for hit in other.finditer(text)
        if n not in kept
    ]
    assert named == []


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    images = yaml.safe_load((ROOT / "envs" / "images.yaml").read_text(encoding="utf-8"))
    assert project["version"] == emhniche.__version__ == citation["version"]
    assert tuple(images) == (*environments.PURPOSES, *environments.APART)
    for purpose, entry in images.items():
        assert entry["image"].endswith(f"emh-niche-{purpose}:{project['version']}")


def test_links_between_documents_lead_somewhere():
    for path in tracked():
        if path.suffix == ".md":
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
                assert (path.parent / target).exists(), f"{path.name} links to {target}"


# --- how the code is built


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_every_room(stage):
    assert (ROOT / "workflow" / "rules" / f"{stage}.smk").is_file()
    assert [path for path in SCRIPTS if path.name.startswith(stage)]
    assert (PACKAGE / f"{stage}.py").is_file() or (PACKAGE / stage).is_dir()
    assert list((ROOT / "tests").rglob(f"test_{stage}*.py"))
    assert (ROOT / "docs" / f"{stage}.md").is_file()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_is_science_of_readable_size(path):
    text = path.read_text(encoding="utf-8")
    assert not any(re.match(r"snakemake\b", name) for name in imported(path, everywhere=True))
    assert len(text.splitlines()) < 400
    for node in ast.walk(ast.parse(text)):
        assert not (isinstance(node, ast.Name) and node.id == "snakemake")
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60 + _docstring_lines(node), node.name


def _docstring_lines(node: ast.FunctionDef) -> int:
    return len((ast.get_docstring(node) or "").splitlines())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_only_maps(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60
    # a rule's script writes the rule's log; a command talks to the one who typed it
    assert {"job_log", "ArgumentParser"} & identifiers(path)


def test_settings_are_read_without_heavy_imports():
    heavy = ("anndata", "matplotlib", "scanpy", "scipy", "scvi", "sklearn", "torch")
    check = f"import sys, emhniche.settings; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == "[]"


# --- rules, environments, settings


def test_every_rules_file_says_what_goes_in_and_out():
    for path in RULES:
        head = re.match(r'"""([\s\S]*?)"""', path.read_text(encoding="utf-8"))
        assert head, path.name
        if path.name != "common.smk":
            assert "In: " in head[1], path.name
            assert "Out: " in head[1], path.name


@pytest.mark.parametrize("name", list(rules()))
def test_a_rule_is_complete(name):
    directives = ("output", "log", "benchmark", "threads", "resources", "conda")
    for directive in (*directives, "container", "script"):
        assert re.search(rf"(?m)^    {directive}:", rules()[name]), directive
    for resource in ("mem_mb", "runtime"):
        assert re.search(rf"\b{resource}=", rules()[name]), resource
    assert rules()[name].startswith('    """'), "docstring"


NOT_CALLED = {
    "core": {"lightning", "scvi-tools", "torch"},  # a GPU's rule and scVI's have another image
    "scvi-cpu": {"harmonypy"},
    "scvi-gpu": {"harmonypy", "faiss-cpu"},  # a GPU searches all with all
    "report": {"scanpy"},  # scores were made by then; the pages read their names
}
"""Image -> packages imported within functions that no rule of the image calls."""


NOT_IMPORTED = {
    "pyarrow",  # pandas reads and writes parquet by it
    *("pynndescent", "scikit-image", "umap-learn"),  # scanpy imports them when it needs them
    "cellbender",  # run as a command
    "cuml-cu13",  # imported where it is asked for; its name says for which CUDA
}
"""Packages that an image names though no code of ours imports them."""

EITHER = {
    "{run.training}": ("scvi-cpu", "scvi-gpu"),
    "{run.clustering}": ("core", "scvi-gpu"),
    "{run.layout}": ("core", "rapids"),
}


def named(rule: str) -> str:
    """Return what a rule says of its environment: a purpose, or the setting that decides it."""
    return re.search(r"envs/([\w-]+|{run\.\w+})/environment\.yaml", rules()[rule]).group(1)


@cache
def wanted(rule: str, *, everywhere: bool) -> set[str]:
    """Return the packages that a rule's script imports."""
    script = re.search(r"scripts/(\w+\.py)", rules()[rule]).group(1)
    tops = {
        module.split(".")[0]
        for names in reached(ROOT / "scripts" / script, everywhere=everywhere).values()
        for module in names
    }
    outside = tops - set(sys.stdlib_module_names) - {"emhniche", ""}
    return {distributions()[module][0].lower().replace("_", "-") for module in outside}


@pytest.mark.parametrize("name", list(rules()))
def test_the_environment_of_a_rule_holds_what_its_script_imports(name):
    purpose = named(name)
    image = f"[{purpose.strip('{}')}]" if purpose in EITHER else f'["{purpose}"]'
    assert f"run.images{image}" in rules()[name]
    for everywhere in (False, True):
        for one in EITHER.get(purpose, (purpose,)):
            missing = wanted(name, everywhere=everywhere) - set(environments.packages(one))
            assert missing <= (NOT_CALLED.get(one, set()) if everywhere else set()), one


@pytest.mark.parametrize("purpose", [*environments.PURPOSES, *environments.APART])
def test_an_environment_names_nothing_that_no_rule_needs(purpose):
    ours = [name for name in rules() if purpose in EITHER.get(named(name), (named(name),))]
    needed = set().union(*(wanted(name, everywhere=True) for name in ours))
    assert set(environments.packages(purpose)) - needed - NOT_IMPORTED == set()


@pytest.mark.parametrize("purpose", environments.PURPOSES)
def test_conda_pins_are_those_of_the_lock(purpose):
    folder = ROOT / "envs" / purpose
    written = (folder / "environment.yaml").read_text(encoding="utf-8")
    assert written == environments.render(purpose, ROOT), "run `make docs`"
    assert environments.packages(purpose) == sorted(environments.packages(purpose))
    for recipe in ("Containerfile", f"emh-niche-{purpose}.def"):
        text = (folder / recipe).read_text(encoding="utf-8")
        assert f"sh install.sh {purpose}" in text
        assert f"envs/{purpose}/packages.txt" in text


@pytest.mark.parametrize("purpose", environments.APART)
def test_an_environment_apart_has_the_versions_of_the_lock_where_it_can(purpose):
    folder = ROOT / "envs" / purpose
    written = (folder / "environment.yaml").read_text(encoding="utf-8")
    assert written == environments.render(purpose, ROOT), "run `make docs`"
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    locked = {f"{one['name']}=={one['version']}" for one in lock}
    pins = {line.strip()[2:] for line in written.splitlines() if "==" in line}
    # RAPIDS 26.10 allows numba below 0.65 and cudf's pandas, and numba a numpy below 2.5
    own = {"cuml-cu13", "numpy", "pandas"}
    assert {pin.split("==")[0] for pin in pins - locked} == own
    for recipe in ("Containerfile", f"emh-niche-{purpose}.def"):
        assert f"envs/{purpose}/requirements.txt" in (folder / recipe).read_text(encoding="utf-8")


@pytest.mark.parametrize("purpose", environments.PURPOSES)
def test_conda_can_read_every_spec(purpose):
    rattler = pytest.importorskip("rattler", reason="py-rattler is not installed")
    environment = yaml.safe_load((ROOT / "envs" / purpose / "environment.yaml").read_text("utf-8"))
    specs = [spec for spec in environment["dependencies"] if isinstance(spec, str)]
    assert len(specs) > 3
    for spec in specs:
        match = rattler.MatchSpec(spec)
        assert match.name is not None
        assert match.version is not None or spec == "pip", spec


def test_profiles_name_rules_that_exist():
    for path in (ROOT / "workflow" / "profiles").glob("*/config.yaml"):
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in ("set-resources", "set-threads"):
            assert set(profile.get(key, {})) <= set(rules()), path
    # Snakemake looks for the profile `default` in this folder
    assert (ROOT / "profiles" / "default" / "config.yaml").is_file()


def _leaves(section: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, part in section["properties"].items():
        inner = part.get("items", part)
        yield (*path, key)
        if "properties" in inner:
            yield from _leaves(inner, (*path, key))


CONFIG = read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")


@pytest.mark.parametrize("key", list(_leaves(CONFIG)), ids=".".join)
def test_a_setting_is_read(key):
    """A key is a name in the rules of its section, or in the code that their scripts lead to."""
    section, name = key[0], key[-1]
    readers = {*RULES, PACKAGE / "settings.py"} if len(key) == 1 else set(RULES)
    for path in RULES:
        if path.stem == section and len(key) > 1:
            for script in re.findall(r"scripts/(\w+\.py)", path.read_text(encoding="utf-8")):
                readers |= set(reached(ROOT / "scripts" / script, everywhere=True))
    assert any(name in identifiers(path) for path in readers)


# --- what the tools say


def clean(*command: str) -> None:
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_is_linted_and_formatted():
    clean("ruff", "check", "--no-cache")
    clean("ruff", "format", "--check", "--no-cache")


@pytest.mark.workflow
def test_rules_are_formatted():
    clean("snakefmt", "--check", "Snakefile", "workflow")


@pytest.mark.workflow
def test_the_workflow_passes_its_lint():
    clean("snakemake", "--lint")


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("tests/benchmark_*.py")), ids=lambda one: one.stem
)
def test_every_benchmark_still_finds_what_it_measures(path):
    importlib.import_module(path.stem)
