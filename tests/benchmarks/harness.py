"""Two programs, one after the other, again and again: medians, their ratio, and its interval.

Everything here is the standard library's: a process inherits the peak memory of the one that
starts it, so that must be small, and no peak below its 15 MB can be seen. Absolute times drift on
a shared machine; only the ratio within one run means something, and only with its interval.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache" / "bench"
RESULTS = HERE / "results"
BIN = Path(sys.executable).parent
RESAMPLES = 5000
RUNTIME = ("edgecnn", "numpy", "onnxruntime", "opencv-python-headless")  # what `stream` runs on

Sample = Mapping[str, float]  # measure -> value, of one process


@dataclass(frozen=True)
class Target:
    """At most so much; of a ratio, or of our own median where there is nobody to compare with."""

    measure: str
    at_most: float


@dataclass(frozen=True)
class Finished:
    """A process that ended well. `peak_mb` is its largest resident size."""

    wall_s: float
    peak_mb: float
    stdout: str


def run(command: Sequence[str | Path], **variables: str) -> Finished:
    """Run a program to its end and measure it from outside.

    Raises:
        SystemExit: it failed; its own words are shown.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment | variables,
            text=True,
        )
        assert process.stdout is not None
        stdout = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            ended = f"{' '.join(map(str, command))}\nended with status {process.returncode}"
            raise SystemExit(f"{stdout}{said.read()}{ended}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Finished(wall_s, usage.ru_maxrss / unit, stdout)


def alternate(
    ours: Callable[[], Sample], theirs: Callable[[], Sample] | None, pairs: int
) -> tuple[list[Sample], list[Sample]]:
    """Run both in turn, one warm-up pair first; who begins changes from pair to pair."""
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    for pair in range(pairs + 1):
        turns = [(0, ours)] if theirs is None else [(0, ours), (1, theirs)]
        for which, program in turns if pair % 2 else reversed(turns):
            sample = program()
            if pair:
                samples[which].append(sample)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r  pair {pair} of {pairs} ")
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * 30 + "\r")
    return samples


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of the medians and its 95% interval, bootstrapped over pairs."""
    source = random.Random(0)
    count = len(ours)
    drawn = []
    for _ in range(RESAMPLES):
        picks = source.choices(range(count), k=count)
        drawn.append(
            statistics.median(ours[i] for i in picks) / statistics.median(theirs[i] for i in picks)
        )
    drawn.sort()
    low, high = drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES) - 1]
    return statistics.median(ours) / statistics.median(theirs), low, high


def summary(values: Sequence[float]) -> dict[str, object]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "values": [round(value, 4) for value in values],
    }


def measures(
    ours: Sequence[Sample], theirs: Sequence[Sample], targets: Sequence[Target]
) -> dict[str, dict[str, object]]:
    """Every measure that was taken, with its ratio and whether its target is met."""
    limits = {target.measure: target.at_most for target in targets}
    found: dict[str, dict[str, object]] = {}
    for name in ours[0]:
        mine = [sample[name] for sample in ours]
        entry: dict[str, object] = {"ours": summary(mine)}
        value = low = statistics.median(mine)  # without an opponent the figure itself
        if theirs and name in theirs[0]:
            other = [sample[name] for sample in theirs]
            value, low, high = ratio(mine, other)
            entry |= {
                "theirs": summary(other),
                "ratio": round(value, 4),
                "interval_95": [round(low, 4), round(high, 4)],
            }
        if name in limits:
            limit = limits[name]
            state = "met" if value <= limit else "missed" if low > limit else "within the noise"
            entry |= {"at_most": limit, "target": state}
        found[name] = entry
    return found


def report(
    name: str,
    title: str,
    found: Mapping[str, Mapping[str, object]],
    *,
    pairs: int,
    versions: Mapping[str, Mapping[str, str]],
    notes: Mapping[str, object] | None = None,
) -> int:
    """Print a table and write results/NAME.json.

    Returns:
        1 if a target is missed beyond the noise, otherwise 0.
    """
    result = {
        "name": name,
        "title": title,
        "command": " ".join(
            ["python", f"tests/benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
        ),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions,
        "pairs": pairs,
        **(notes or {}),
        "measures": found,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{title}\n{result['machine']['cpu']}, {pairs} pairs")  # type: ignore[index]
    for measure, entry in found.items():
        print("  " + _line(measure, entry))
    print(f"  written to {path.relative_to(ROOT)}")
    return int(any(entry.get("target") == "missed" for entry in found.values()))


def _line(measure: str, entry: Mapping[str, object]) -> str:
    parts = [f"{measure:<24} ours {entry['ours']['median']:>9.3f}"]  # type: ignore[index]
    if "ratio" in entry:
        low, high = entry["interval_95"]  # type: ignore[misc]
        parts.append(f"theirs {entry['theirs']['median']:>9.3f}")  # type: ignore[index]
        parts.append(f"ratio {entry['ratio']:.3f} [{low:.3f}, {high:.3f}]")
    if "target" in entry:
        parts.append(f"at most {entry['at_most']}: {entry['target']}")
    return "  ".join(parts)


def machine() -> dict[str, object]:
    """What a reader must know to judge an absolute figure."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            x.split(":", 1)[1].strip() for x in info.read_text().splitlines() if "model name" in x
        ]
        cpu = names[0] if names else cpu
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": cpu,
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_1min": round(os.getloadavg()[0], 2),
    }


def versions_of(python: Path, *names: str) -> dict[str, str]:
    """Versions of installed packages in the environment of an interpreter."""
    code = (
        "import json, platform, sys; from importlib.metadata import version\n"
        "found = {'python': platform.python_version()} | {n: version(n) for n in sys.argv[1:]}\n"
        "print(json.dumps(found))"
    )
    return dict(json.loads(run([python, "-c", code, *names]).stdout))


def arguments(description: str | None, pairs: int) -> argparse.Namespace:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument(
        "--pairs", type=int, default=pairs, help=f"of processes; {pairs} by default"
    )
    return parser.parse_args()
