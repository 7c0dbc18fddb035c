"""How soon the command line answers, and what importing the runtime costs."""

from __future__ import annotations

import sys
from pathlib import Path

import harness
from harness import BIN, Sample, Target, run

PYTHON = Path(sys.executable)


def sample() -> Sample:
    """One start of each; `python -c pass` is what cannot be less."""
    bare = run([PYTHON, "-c", "pass"])
    imported = run([PYTHON, "-c", "import edgecnn_runtime"])
    helped = run([BIN / "edgecnn", "--help"])
    return {
        "python_s": bare.wall_s,
        "import_s": imported.wall_s,
        "import_peak_mb": imported.peak_mb,
        "help_s": helped.wall_s,
        "help_peak_mb": helped.peak_mb,
    }


def main() -> int:
    """Measure, print and write."""
    asked = harness.arguments(__doc__, pairs=15)
    samples, _ = harness.alternate(sample, None, asked.pairs)
    targets = [Target("import_s", 0.3), Target("import_peak_mb", 80), Target("help_s", 0.5)]
    return harness.report(
        "start_up",
        "start-up: import edgecnn_runtime, edgecnn --help",
        harness.measures(samples, [], targets),
        pairs=asked.pairs,
        versions={"ours": harness.versions_of(PYTHON, "edgecnn", "typer", "rich", "msgspec")},
    )


if __name__ == "__main__":
    sys.exit(main())
