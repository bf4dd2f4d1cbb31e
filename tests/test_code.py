"""A rule is run again when code that it uses has changed, and not for a comment."""

import os
import re
from pathlib import Path

import pytest

from emhniche.code import code_digest, put_first, show_to_containers

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "stage.py": "from emhniche.logs import x\nwith x():\n    from emhniche.deep import f\n",
    "other.py": "from emhniche.logs import x\n",
    "emhniche/__init__.py": "",
    "emhniche/logs.py": "def x():\n    pass\n",
    "emhniche/deep.py": "from emhniche.pages import page\n\n\ndef f():\n    return 1\n",
    "emhniche/unused.py": "x = 1\n",
    "emhniche/pages/__init__.py": "",
    "emhniche/pages/page.py": "y = 1\n",
    "emhniche/pages/templates/page.html": "<p>",
}


@pytest.fixture
def scripts(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(script, scripts):
    """Compute it as a new process would."""
    from emhniche import code

    for cached in (code.code_digest, code._parsed, code._meaning):
        cached.cache_clear()
    return code_digest(script, scripts)


def changes(scripts, file, text):
    before = [digest(name, scripts) for name in ("stage", "other")]
    (scripts / file).write_text(text)
    return [
        one != digest(name, scripts) for one, name in zip(before, ("stage", "other"), strict=True)
    ]


def test_a_change_reaches_every_script_that_imports_the_module(scripts):
    assert changes(scripts, "emhniche/deep.py", FILES["emhniche/deep.py"] + "z = 2\n") == [
        True,
        False,
    ]
    assert changes(scripts, "emhniche/pages/page.py", "y = 2\n") == [True, False]
    assert changes(scripts, "emhniche/pages/templates/page.html", "<p>new") == [True, False]
    assert changes(scripts, "emhniche/logs.py", "def x():\n    return 1\n") == [True, True]
    assert changes(scripts, "emhniche/unused.py", "x = 2\n") == [False, False]


def test_words_for_readers_are_no_change(scripts):
    text = '"""What it does."""\n# why\n' + FILES["emhniche/deep.py"].replace(
        "def f():\n", 'def f():\n    """Return one."""\n'
    )
    assert changes(scripts, "emhniche/deep.py", text) == [False, False]


def test_every_rule_carries_the_digest_of_its_script():
    # fetched files are what their sums say, whatever code brought them
    rules = {
        (path.stem, name): block
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for name, block in re.findall(r"(?ms)^rule (\w+):(.*?)(?=^rule |\Z)", path.read_text())
        if path.stem != "fetch"
    }
    assert len(rules) > 15
    for (file, name), block in rules.items():
        script = re.search(r'scripts/(\w+)\.py"', block).group(1)
        wanted = f'code=lambda wildcards: code_digest("{script}"),'
        assert wanted in block, f"{file}.smk: rule {name}"


def test_jobs_look_for_the_package_in_one_folder_first(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/other", "/mine", ""]))
    put_first("/mine")
    assert os.environ["PYTHONPATH"] == os.pathsep.join(["/mine", "/other"])
    monkeypatch.delenv("PYTHONPATH")
    put_first("/mine")
    assert os.environ["PYTHONPATH"] == "/mine"


def test_containers_see_what_lies_outside_of_the_working_directory(tmp_path, monkeypatch):
    for name in ("project", "data", "far"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "far" / "counts.h5ad").touch()
    (tmp_path / "data" / "linked.h5ad").symlink_to(tmp_path / "far" / "counts.h5ad")
    (tmp_path / "project" / "own.tsv").touch()
    monkeypatch.setenv("APPTAINER_BIND", "/given")
    show_to_containers(["../data/linked.h5ad", "own.tsv", tmp_path / "data", "", "gone/x.h5ad"])
    shown = os.environ["APPTAINER_BIND"].split(",")
    assert shown == ["/given", str(tmp_path / "data"), str(tmp_path / "far")]
