"""A project is begun, checked and run by one command."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from emhniche import command
from emhniche.errors import InputError
from emhniche.schema import complete, read_schema
from own_project import CONFIG, ROOT, SCHEMA, edit

PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))
SCHEMAS = {name: read_schema(ROOT / SCHEMA.format(name)) for name in ("config", "samples")}


def emhniche(*words: str) -> int:
    return command.main(list(words))


def uncommented(text: str) -> dict:
    """Read a new configuration as if every # in the first column were taken away."""
    return yaml.safe_load(re.sub(r"(?m)^#(?=(?: {2})*(?:#|- |[\w]+:))", "", text))


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A project that was just begun, and the counts that its sheet names."""
    monkeypatch.chdir(tmp_path)
    assert emhniche("init", "mine") == 0
    monkeypatch.chdir(tmp_path / "mine")
    Path("counts").mkdir()
    for name in ("m1_spleen", "m1_marrow"):
        Path("counts", f"{name}.h5").touch()
    return tmp_path / "mine"


def test_a_new_configuration_names_every_key_with_its_default(begun):
    text = Path("config.yaml").read_text(encoding="utf-8")
    needed = {"run": "mine", "samples": "samples.tsv"}
    assert yaml.safe_load(text) == needed
    opened = uncommented(text)
    assert opened.keys() == SCHEMAS["config"]["properties"].keys() - {"simulate"}
    assert complete(opened, SCHEMAS["config"]) == complete(needed, SCHEMAS["config"])
    assert opened["qc"] == complete(needed, SCHEMAS["config"])["qc"]
    for column in SCHEMAS["samples"]["properties"]:
        assert f"#   {column}: " in text


def test_a_section_to_fill_in_is_asked_for_once_its_marks_are_taken_away(begun, capsys):
    edit("config.yaml", "#annotate:", "annotate:")
    text = Path("config.yaml").read_text(encoding="utf-8")
    assert "#  # To have it, take away this # too" in text
    for line in ("celltypist:", "  model: ", "  sha256: "):
        edit("config.yaml", f"#  # {line}", f"  {line}")
    assert emhniche("check", "config.yaml") == 1
    assert "annotate.celltypist.sha256: 'SHA256' " in capsys.readouterr().err


def test_a_new_project_is_good_once_its_files_are_there(begun, capsys):
    assert emhniche("check", "config.yaml") == 0
    said = capsys.readouterr().out
    assert "samples.tsv: good; 2 mouse samples of 1 known donors, spleen, bone marrow" in said
    assert "contrast extramedullary_vs_marrow: 1 known donors of extramedullary, 1 of" in said
    Path("counts/m1_spleen.h5").unlink()
    assert emhniche("check", "config.yaml") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: samples.tsv: sample 'm1_spleen': file: 'counts/m1_spleen.h5'")
    assert error.count("\n") == 1


def test_nothing_is_overwritten(begun, capsys):
    edit("config.yaml", 'run: "mine"', "run: changed")
    Path("samples.tsv").unlink()
    assert emhniche("init", ".") == 1
    assert "config.yaml: is there already" in capsys.readouterr().err
    assert not Path("samples.tsv").exists()
    assert "run: changed" in Path("config.yaml").read_text()


@pytest.mark.parametrize(
    ("folder", "run"), [("My study (2)", "My_study__2_"), (".hidden", "hidden"), ("µ", "mine")]
)
def test_the_run_is_called_what_a_run_may_be_called(tmp_path, folder, run):
    assert emhniche("init", str(tmp_path / folder)) == 0
    config = yaml.safe_load((tmp_path / folder / "config.yaml").read_text(encoding="utf-8"))
    assert re.match(SCHEMAS["config"]["properties"]["run"]["pattern"], config["run"])
    assert config["run"] == run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory; name a configuration"),
        ("run: a\n  seed: 1\n", "line 2: no YAML"),
        ("- run\n", "holds no keys"),
        ("run: a\nsamples: samples.tsv\nqcc: {}\n", "qcc: unknown key; did you mean 'qc'?"),
        (
            yaml.safe_dump(CONFIG | {"resources": {"panel": "samples.tsv"}}),
            "samples.tsv: column axis, role",
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_1(project, capsys, text, message):
    if text is not None:
        Path("mine.yaml").write_text(text, encoding="utf-8")
    assert emhniche("check", "mine.yaml") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_contrast_counts_known_donors_in_its_subset(project, capsys):
    contrast = {"name": "lps", "factor": "condition", "test": "LPS", "reference": "control"}
    contrast["subset"] = {"tissue": "spleen"}
    Path("mine.yaml").write_text(yaml.safe_dump(CONFIG | {"niche": {"contrasts": [contrast]}}))
    assert emhniche("check", "mine.yaml") == 0
    assert "contrast lps: 1 known donors of LPS, 1 of control" in capsys.readouterr().out


def test_an_unknown_profile_is_refused_with_the_known_ones(begun, capsys):
    assert emhniche("run", "config.yaml", "--profile", "sge") == 1
    assert "use one of default, gpu, slurm" in capsys.readouterr().err


def test_words_that_no_command_takes_are_refused(begun, capsys):
    with pytest.raises(SystemExit) as caught:
        emhniche("check", "config.yaml", "--quick")
    assert caught.value.code == 2


@pytest.mark.workflow
@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_plans_a_run_and_further_words_go_to_snakemake(begun, profile):
    settings = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text("utf-8"))
    if settings.get("executor") and not find_spec("snakemake_executor_plugin_slurm"):
        pytest.skip("snakemake-executor-plugin-slurm is not installed (uv sync --group slurm)")
    words = ["run", "config.yaml", "--profile", profile, "--cores", "1", "-n", "--until", "qc"]
    done = subprocess.run(
        [sys.executable, "-m", "emhniche.command", *words], capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    assert "results/mine/samples/m1_spleen/qc.parquet" in said
    assert "rule merge" not in said


def test_the_installed_package_finds_the_snakefile_that_came_with_it(tmp_path, monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"]["emhniche"] == "emhniche.command:main"
    packed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for source, target in packed.items():
        if "scripts" not in source:
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / source, tmp_path / target)
    module = tmp_path / "emhniche" / "command.py"
    monkeypatch.setattr(command, "__file__", str(module))
    assert command.pipeline_folder() == (tmp_path / command.PACKED).resolve()
    assert emhniche("init", str(tmp_path / "mine")) == 0
    for name in ("default", "gpu", "slurm"):
        assert (tmp_path / command.PACKED / "profiles" / name / "config.yaml").is_file()


def test_without_a_snakefile_it_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "__file__", str(tmp_path / "emhniche" / "command.py"))
    with pytest.raises(InputError, match="run `emhniche` from a clone"):
        command.pipeline_folder()
