"""What a job used of a GPU, as the driver's program tells it; a script stands in for that."""

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from emhniche import gpu_use as module
from emhniche.gpu_use import ASKED, gpu_use

RISING = """\
echo "$@" >> asked
n=$(wc -l < asked)
[ "$n" = 2 ] && used=9000 || used=$((1000 * n))
echo "0, Made-up GPU, 24564, $used, $((10 * n))"
echo "1, Other GPU, [N/A], [N/A], 0"
"""


@pytest.fixture
def driver(monkeypatch, tmp_path):
    """Return what lets the driver's program do what a shell script says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(module, "SECONDS", 0.01)

    def does(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)

    return does


def asked():
    """Return the words of each question."""
    path = Path("asked")
    return path.read_text().splitlines() if path.exists() else []


def wait_for(times):
    deadline = time.monotonic() + 60
    while len(asked()) < times and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_peak_and_the_mean_of_each_device_stand_beside_the_benchmark(driver, caplog):
    driver(RISING)
    with caplog.at_level("INFO"), gpu_use("gpu/integrate/scvi.tsv", "auto"):
        wait_for(3)
    used = pd.read_csv("gpu/integrate/scvi.tsv", sep="\t")
    times = len(asked())
    first, other = used.itertuples(index=False)
    assert (first.device, first.name, first.memory_mb) == (0, "Made-up GPU", 24564)
    assert first.peak_used_mb == max(9000, 1000 * times)
    assert first.mean_utilisation_percent == pytest.approx(10 * (times + 1) / 2, abs=0.1)
    assert first.asked == other.asked == times
    # what a device cannot tell is not zero
    assert pd.isna(other.peak_used_mb) and other.mean_utilisation_percent == 0
    assert "GPU 0 (Made-up GPU): " in caplog.text
    assert set(asked()) == {f"--query-gpu={','.join(ASKED)} --format=csv,noheader,nounits"}


def test_only_devices_that_the_job_sees_are_asked(driver, monkeypatch):
    driver(RISING)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-5f")
    with gpu_use("used.tsv", "cuda"):
        pass
    assert asked()[-1].endswith(" --id=1,GPU-5f")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with gpu_use("none.tsv", "cuda"):
        pass
    assert not Path("none.tsv").exists()


def test_a_job_that_fails_is_told_of_too(driver):
    driver(RISING)
    with pytest.raises(ValueError, match="ours"), gpu_use("used.tsv", "cuda"):
        raise ValueError("ours")
    assert len(pd.read_csv("used.tsv", sep="\t")) == 2


@pytest.mark.parametrize(
    ("script", "accelerator"), [(RISING, "cpu"), ("exit 9", "auto"), (None, "auto")]
)
def test_where_no_gpu_is_used_nothing_is_written_and_an_earlier_table_goes(
    driver, monkeypatch, tmp_path, script, accelerator
):
    if script is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        driver(script)
    (tmp_path / "used.tsv").write_text("of an earlier job")
    with gpu_use(tmp_path / "used.tsv", accelerator), gpu_use(None, "cpu"):
        assert not (tmp_path / "used.tsv").exists()
    assert not (tmp_path / "used.tsv").exists() and not asked()
