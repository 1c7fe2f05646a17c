"""All that has to be seen on a GPU once, by one command of at most eight minutes, on data that it makes itself.

    python benchmarks/gpu_check.py

One part after the other, each with what it found on standard output: the types in which recurrent layers are computed;
the tests marked ``gpu``; the turns of ``gpu.py``; profiles of a step of a tagger and of a language model; the speed of
language models of the sizes of the literature and of hidden sizes for which cuDNN has faster kernels. A part that fails
is told, and the next one follows; one for which no time is left is left out. Writes ``OUTPUT/gpu_check.json`` and
profiles that a browser shows (``chrome://tracing``). ``--dry`` tries the script on a CPU, with tiny networks.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import RESULTS, Machine, alternate, parser, shown, summary, table
from gpu import Round, all_turns, build, make_tagged, own_training, run_tests
from torch import nn
from torch.profiler import ProfilerActivity, profile

from seqkit.config import load_recipe, override
from seqkit.devices import precision_context, training_arithmetic
from seqkit.heads.tagging.settings import TagSettings
from seqkit.nn.recurrent import CELLS, FusedLayer, fused, make_layer
from seqkit.training.distribution import ALONE
from seqkit.training.learner import Learner
from seqkit.training.progress import Progress
from seqkit.training.stepping import Stepper


class Size(NamedTuple):
    """A language model of the literature, or beside it.

    Attributes:
        layers: the number of LSTM layers.
        hidden: H, also the size of a word's vector.
        streams: parallel streams of text.
        bptt: the length of a window.
    """

    layers: int
    hidden: int
    streams: int
    bptt: int


SIZES = {
    "PTB large, 2 × 1500": Size(2, 1500, 20, 35),
    "AWD, 3 × 1150": Size(3, 1150, 20, 70),
    "2 × 192": Size(2, 192, 20, 20),
    "2 × 200": Size(2, 200, 20, 20),
    "2 × 256": Size(2, 256, 20, 20),
    "2 × 256, 32 streams": Size(2, 256, 32, 20),
}


class Check:
    """The parts of the check.

    Args:
        device: where to compute.
        dry: whether networks and turns are tiny.
        rounds: rounds of what takes turns.
        output: where files go.
    """

    def __init__(self, device: torch.device, dry: bool, rounds: int, output: Path) -> None:
        self.device, self.dry, self.rounds, self.output = device, dry, rounds, output
        self.machine = Machine(device)

    def types(self) -> dict[str, Any]:
        """In which types torch's LSTM and the layers here are computed under each precision."""
        kind, found = self.device.type, {}
        x = torch.randn(4, 9, 8, device=self.device)
        with torch.autocast(kind, torch.bfloat16):
            found["torch.nn.LSTM under bf16 autocast"] = str(nn.LSTM(8, 8).to(self.device)(x)[0].dtype)
        for cell in (cell for cell, layer in CELLS.items() if issubclass(layer, FusedLayer)):
            layer = make_layer(cell, 8, 8).to(self.device)
            for precision in ("fp32", "auto", "bf16", *(("fp16",) if kind == "cuda" else ())):
                with precision_context(precision, self.device):
                    found[f"{cell} in {precision}"] = str(layer(x)[0].dtype)
        found["recurrent layers in bf16 by one kernel"] = fused._has_bf16_kernels(x.device)
        found["cuDNN"] = torch.backends.cudnn.version()
        for name, value in found.items():
            print(f"{name}: {value}")
        return found

    def tests(self) -> dict[str, Any]:
        """The tests marked ``gpu``; dry, which they are."""
        found = run_tests("-q", *(("--collect-only",) if self.dry else ("-rA", "--durations=10")), limit=240)
        print(found["summary"])
        return found

    def turns(self) -> dict[str, Any]:
        """Training and decoding in each precision, beside plain torch, as ``gpu.py`` has it."""
        sentences, batches = (40, 2) if self.dry else (20_000, 100)
        speeds = alternate(all_turns(sentences, batches, self.device), self.rounds, self.machine)
        print(self.machine)
        print(table(["", "tokens/s"], [[name, shown(values)] for name, values in speeds.items()]))
        return {"machine": self.machine.to_json(), **{name: summary(values) for name, values in speeds.items()}}

    def profiles(self) -> dict[str, Any]:
        """What the time of a step goes to: of a tagger with batches of 32, of a small language model."""
        tagged = make_tagged(600 if self.dry else 2000)
        changes = {"schedule": "constant", "precision": "auto"}
        tagger = override(TagSettings(), {"encoder": {"hidden": 100}, "training": {**changes, "batch_size": 32}})
        recipe = override(load_recipe("lm-ptb-small").settings, {"training": {**changes, "lr": 1.0}})
        lines = [" ".join(tokens) for tokens, _ in tagged]
        return {
            "tagger": self._profile("tagger", build(tagger, tagged, self.device)),
            "language model": self._profile("language_model", build(recipe, lines, self.device)),
        }

    def _profile(self, name: str, learner: Learner, steps: int = 5) -> dict[str, Any]:
        training = learner.settings.training
        stepper = Stepper(learner, training, ALONE, Progress(quiet=True))
        learner.network.train()
        batches = list(islice(learner.batches(0, slice(None)), 5 + 2 * steps))
        on_gpu = self.device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        with training_arithmetic(training.precision, self.device):
            for batch in batches[:5]:
                stepper.step(batch, 0.1, 1, ())
            self._finish()
            began = time.perf_counter()
            for batch in batches[5 : 5 + steps]:
                stepper.step(batch, 0.1, 1, ())
            queued = time.perf_counter() - began  # the CPU's own time
            self._finish()
            spent = time.perf_counter() - began
            with profile(activities=activities) as seen:
                for batch in batches[5 + steps :]:
                    stepper.step(batch, 0.1, 1, ())
                self._finish()
        seen.export_chrome_trace(str(self.output / f"{name}.json"))
        launches = sum(event.count for event in seen.key_averages() if "LaunchKernel" in event.key) / steps
        found = {"ms": 1e3 * spent / steps, "ms until queued": 1e3 * queued / steps, "kernels": launches}
        print(
            f"{name}: a step takes {found['ms']:.2f} ms, is queued in {found['ms until queued']:.2f} ms, and launches "
            f"{launches:.0f} kernels"
        )
        events = seen.key_averages()
        print(events.table(sort_by=f"self_{self.device.type}_time_total", row_limit=15, max_name_column_width=60))
        return found

    def sizes(self) -> dict[str, Any]:
        """The speed of training language models of several sizes, in turns."""
        lines = [" ".join(tokens) for tokens, _ in make_tagged(400 if self.dry else 8000)]
        turns: dict[str, Callable[[], float]] = {}
        for name, size in SIZES.items():
            for precision in ("fp32", "auto"):
                hidden, layers = (16, 1) if self.dry else (size.hidden, size.layers)
                changes = {
                    "embedding": {"word_size": hidden},
                    "encoder": {"hidden": hidden, "layers": layers},
                    "training": {
                        **{"epochs": 1, "patience": 0, "schedule": "constant", "lr": 0.5, "precision": precision},
                        **{"batch_size": size.streams, "bptt": size.bptt},
                    },
                }
                learner = build(override(load_recipe("lm-ptb-small").settings, changes), lines, self.device)
                turns[f"{name}, {precision}"] = partial(own_training, Round(learner, 2 if self.dry else 50))
        speeds = alternate(turns, self.rounds, self.machine)
        print(table(["", "tokens/s"], [[name, shown(values)] for name, values in speeds.items()]))
        return {name: summary(values) for name, values in speeds.items()}

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main() -> None:
    """Run the parts while there is time, and write what they found."""
    arguments = parser(__doc__, threads=torch.get_num_threads(), rounds=3)
    arguments.add_argument("--dry", action="store_true", help="on a CPU, with tiny networks")
    arguments.add_argument("--limit", type=float, default=480.0, help="seconds after which no further part begins")
    arguments.add_argument("--output", type=Path, default=RESULTS, help="folder for the files")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    if not options.dry and not torch.cuda.is_available():
        arguments.error("no CUDA device found; --dry tries the script itself")
    options.output.mkdir(parents=True, exist_ok=True)
    device = torch.device("cpu") if options.dry else torch.device("cuda", torch.cuda.current_device())
    check = Check(device, options.dry, 1 if options.dry else options.rounds, options.output)
    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda}
    began = time.monotonic()
    for part in (check.types, check.tests, check.sizes, check.profiles, check.turns):
        name, spent = part.__name__, time.monotonic() - began
        if spent > options.limit:
            found[name] = "left out: no time is left"
            print(f"\n== {name}: {found[name]}", flush=True)
            continue
        print(f"\n== {name}, after {spent:.0f} s", flush=True)
        try:
            found[name] = part()
        except Exception as error:  # the other parts are to be seen all the same
            traceback.print_exc(file=sys.stdout)
            found[name] = f"failed: {error!r}"
        (options.output / "gpu_check.json").write_text(
            json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8"
        )
    print(f"\n{time.monotonic() - began:.0f} s; all of it: {options.output / 'gpu_check.json'}")


if __name__ == "__main__":
    main()
