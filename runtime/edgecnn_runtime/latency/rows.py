"""Profiles as rows of a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.latency.profile import Profile


def row(profile: Profile) -> dict[str, object]:
    """A profile's figures by column; durations are in milliseconds, nothing stands for None."""
    network, memory, seen = profile.network, profile.memory, profile.conditions
    found: dict[str, object] = {
        "bundle": network.bundle if network else "",
        "precision": network.precision if network else "",
        "backend": profile.backend,
        "device": profile.device,
        "power_mode": seen.power_mode if seen else None,
        "rate": profile.rate,
        "idle_s": profile.idle_s,
        "keep_warm": profile.keep_warm,
        "threads": profile.threads,
        "turns": profile.turns,
        "frames": profile.frames,
        "late_starts": profile.late_starts,
        "throughput_fps": profile.throughput_fps,
        "load": profile.load_ms,
        "first": profile.first_ms,
        "cv": profile.cv,
        "peak_mb": memory.peak_mb if memory else None,
        "gpu_mb": memory.gpu_mb if memory else None,
        "mj_per_frame": sum(e.mj_per_frame for e in profile.energy) if profile.energy else None,
        "mean_w": sum(e.mean_w for e in profile.energy) if profile.energy else None,
        "warnings": "; ".join(profile.warnings),
    }
    parts = {"end_to_end": profile.end_to_end, **vars(profile.stages)}
    for name, percentiles in parts.items():
        found |= {f"{name}_{key}": value for key, value in asdict(percentiles).items()}
    return found


def write_rows(profiles: Sequence[Profile], path: str | Path) -> None:
    """Write a table, a profile a row.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    rows = [row(profile) for profile in profiles]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(Path(path), text.getvalue().encode())
