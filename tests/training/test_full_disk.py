"""A disk that is full: one line, nothing corrupted, and the last checkpoint goes on when there is room again."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqkit.training.checkpoint import checkpoint_files, read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    *("tag", "train", "sample-ner", "--epochs=4", "--hidden=32", "--chars=none", "--batch-size=64", "--quiet"),
    *("--threads=1", "--device=cpu", "--set=embedding.word_size=64"),
]
LEFT = "; the last checkpoint is whole, go on from it with --resume\n"
SEQKIT = [sys.executable, "-m", "seqkit"]
# The file system ends with the processes that see it, so that all is done in one go.
ON_A_SMALL_DISK = """
set -u
disk=$1 size=$2 room=$3 out=$4
shift 4
mount -t tmpfs -o size=$size tmpfs "$disk" || exit 77
"$@" -o "$disk/m" 2> "$out/err" > "$out/out"
echo $? > "$out/status"
cp -r "$disk/m" "$out/left"
mount -o remount,ro "$disk"
"$@" -o "$disk/m" --resume 2> "$out/err1" > "$out/out1"
echo $? > "$out/status1"
mount -o remount,rw "$disk"
mount -o remount,size=$room "$disk"
"$@" -o "$disk/m" --resume 2> "$out/err2" > "$out/out2"
echo $? > "$out/status2"
cp -r "$disk/m" "$out/done"
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that had room enough."""
    output = tmp_path_factory.mktemp("whole") / "m"
    subprocess.run([*SEQKIT, *FLAGS, "-o", output], cwd=ROOT, check=True, capture_output=True)
    return output


def weights(output: Path) -> bytes:
    return (output / "weights.safetensors").read_bytes()


@pytest.mark.slow
def test_on_a_small_disk(whole: Path, tmp_path: Path) -> None:
    """There is room for two checkpoints, and the third ends the run; then the disk is read-only for a while."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare(1), to mount a small disk")
    one = checkpoint_files(whole)[0].stat().st_size
    (tmp_path / "disk").mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", tmp_path / "disk"]
    sizes = [str(int(2.7 * one)), str(20 * one)]
    done = subprocess.run([*command, *sizes, tmp_path, *SEQKIT, *FLAGS], cwd=ROOT, capture_output=True, check=False)
    if not (tmp_path / "status").exists():
        pytest.skip(f"needs the right to mount a small disk: {done.stderr.decode()[:200]}")
    assert (tmp_path / "status").read_text() == "1\n"
    path = checkpoint_files(tmp_path / "disk" / "m")[0]
    assert (tmp_path / "err").read_text() == f"error: {path}: cannot be written: No space left on device{LEFT}"
    assert (tmp_path / "out").read_text() == ""
    found = read_checkpoint(tmp_path / "left")
    assert found is not None and found[1]["counters"]["epoch"] == 2
    assert not list((tmp_path / "left").rglob("*.part"))
    assert (tmp_path / "status1").read_text() == "1\n"
    unusable = "cannot be used as output directory: Read-only file system"
    assert (tmp_path / "err1").read_text() == f"error: {tmp_path / 'disk' / 'm'}: {unusable}\n"
    assert (tmp_path / "status2").read_text() == "0\n", (tmp_path / "err2").read_text()
    assert weights(tmp_path / "done") == weights(whole)


@pytest.mark.slow
def test_under_a_limit_on_the_size_of_files(whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "m"
    one = checkpoint_files(whole)[0].stat().st_size

    def train(*flags: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
        limited = None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return subprocess.run(
            [*SEQKIT, *FLAGS, "-o", output, *flags], cwd=ROOT, capture_output=True, text=True, preexec_fn=limited
        )

    assert train("--epochs=2").returncode == 0
    (output / "config.json").unlink()
    path = checkpoint_files(output)[0]
    kept = path.read_bytes()
    done = train("--resume", limit=one // 2)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {path}: cannot be written: File too large{LEFT}"
    assert path.read_bytes() == kept
    assert not list(output.rglob("*.part"))
    assert train("--resume").returncode == 0
    assert weights(output) == weights(whole)
