"""Several candidates in turn, A B A B, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median

import msgspec

from edgecnn_runtime.errors import BackendError, InputError
from edgecnn_runtime.latency.conditions import together
from edgecnn_runtime.latency.profile import Profile, summarise
from edgecnn_runtime.latency.ratios import Ratio, paired
from edgecnn_runtime.latency.session import Candidate, Session, Way
from edgecnn_runtime.latency.side_by_side import Row, side_by_side
from edgecnn_runtime.latency.stages import StageSamples
from edgecnn_runtime.latency.watch import Energy

log = logging.getLogger("edgecnn")

PROCESSES = "processes in turn"
BLOCKS = "blocks in turn in one process"
Tick = Callable[[], object]


@dataclass(frozen=True)
class Skipped:
    """A candidate that cannot run here."""

    backend: str
    why: str


@dataclass(frozen=True)
class Comparison:
    """Candidates side by side; each ratio is to the first of them."""

    profiles: list[Profile]
    ratios: list[Ratio]
    skipped: list[Skipped]
    how: str
    side_by_side: list[Row] = field(default_factory=list)


def in_processes(
    candidates: Sequence[Candidate], way: Way, turns: int, on_turn: Tick = lambda: None
) -> Comparison:
    """Each turn of each candidate is a process of its own, warmed up again.

    Nothing is shared but the machine: memory, caches, thread pools and where the linker put the
    code are drawn anew, and what they do to the times is in the interval.

    Raises:
        InputError: a candidate does not run; what its process said.
    """
    found: list[list[Profile]] = [[] for _ in candidates]
    for turn in range(turns):
        for place in _order(len(candidates), turn):
            share = _share(way, turn, turns)
            found[place].append(_child(candidates[place], share, talks=turn == 0))
            on_turn()
    merged = [merge(profiles) for profiles in found]
    return Comparison(merged, ratios(merged, PROCESSES), [], PROCESSES, side_by_side(merged))


def in_one_process(
    candidates: Sequence[Candidate], way: Way, turns: int, on_turn: Tick = lambda: None
) -> Comparison:
    """All are open at once and take turns in blocks; one that does not open is left out.

    Quicker, since each opens once; but they share memory, caches and what their thread pools leave
    running.
    """
    skipped: list[Skipped] = []
    with ExitStack() as stack:
        sessions: list[Session] = []
        for candidate in candidates:
            opened = _open(candidate, way)
            if isinstance(opened, Skipped):
                skipped.append(opened)
            else:
                sessions.append(stack.enter_context(opened))
        found: list[list[Profile]] = [[] for _ in sessions]
        for turn in range(turns):
            for place in _order(len(sessions), turn):
                session = sessions[place]
                session.way = _share(way, turn, turns)
                found[place].append(session.measure())
                on_turn()
    merged = [
        replace(merge(profiles), first_ms=profiles[0].first_ms, memory=None) for profiles in found
    ]
    return Comparison(merged, ratios(merged, BLOCKS), skipped, BLOCKS, side_by_side(merged))


def _open(candidate: Candidate, way: Way) -> Session | Skipped:
    try:
        return Session(candidate, way)
    except BackendError as error:
        return Skipped(candidate.backend, str(error))


def _share(way: Way, turn: int, turns: int) -> Way:
    """What of it falls to a turn: a part of the frames, and batches in the first alone."""
    frames = way.frames * (turn + 1) // turns - way.frames * turn // turns
    return replace(way, frames=max(1, frames), batches=() if turn else way.batches)


def _order(count: int, turn: int) -> Sequence[int]:
    """Who begins changes from turn to turn."""
    return range(count) if turn % 2 == 0 else range(count - 1, -1, -1)


def ratios(profiles: Sequence[Profile], how: str) -> list[Ratio]:
    """Of each to the first, from the medians of the turns."""
    if not profiles:
        return []
    names = labels(profiles)
    first = profiles[0].blocks
    found = []
    for name, profile in zip(names[1:], profiles[1:], strict=True):
        if profile.turns > 1:
            ratio, low, high = paired(profile.blocks, first)
            edges: tuple[float | None, float | None] = round(low, 4), round(high, 4)
        else:
            ratio, edges = profile.end_to_end.p50 / profiles[0].end_to_end.p50, (None, None)
        found.append(Ratio(name, names[0], round(ratio, 4), *edges, profile.turns, how))
    return found


def labels(profiles: Sequence[Profile]) -> list[str]:
    """A name for each: the parts in which they differ, and a number where they are the same."""
    parts = [
        (p.network.bundle if p.network else "", p.backend, p.network.precision if p.network else "")
        for p in profiles
    ]
    differ = [i for i in range(3) if len({part[i] for part in parts}) > 1] or [0]
    names = [", ".join(part[i] for i in differ) or part[1] for part in parts]
    return [
        f"{name} #{names[:i].count(name) + 1}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def merge(profiles: Sequence[Profile]) -> Profile:
    """Turns of one candidate as one profile, every frame of each in it."""
    if len(profiles) == 1:
        return profiles[0]
    first, frames = profiles[0], sum(p.frames for p in profiles)
    backends: dict[str, int] = {}
    for profile in profiles:
        for name, count in profile.backends.items():
            backends[name] = backends.get(name, 0) + count
    seconds = sum(p.frames / p.throughput_fps for p in profiles if p.throughput_fps)
    whole = summarise(
        StageSamples(
            *(
                [ms for p in profiles for ms in getattr(p.stage_samples_ms, stage)]
                for stage in ("preprocess", "infer", "postprocess")
            )
        ),
        [ms for p in profiles for ms in p.samples_ms],
        throughput_fps=frames / seconds if seconds else 0.0,
        first_ms=median(p.first_ms for p in profiles),
        load_ms=median(p.load_ms or 0.0 for p in profiles),
        backend=profiles[-1].backend,
        device=first.device,
        warmup_frames=sum(p.warmup_frames for p in profiles),
        rate=first.rate,
        idle_s=first.idle_s,
        late_starts=sum(p.late_starts for p in profiles),
        backends=backends,
        is_steady=all(p.is_steady for p in profiles),
        keep_warm=first.keep_warm,
        turns=len(profiles),
    )
    seen = [p.conditions for p in profiles if p.conditions]
    memories = [p.memory for p in profiles if p.memory]
    return replace(
        whole,
        network=first.network,
        threads=first.threads,
        frame_size=first.frame_size,
        conditions=together(seen) if seen else None,
        energy=_energy(profiles),
        memory=max(memories, key=lambda memory: memory.peak_mb) if memories else None,
        batches=first.batches,
        warnings=_warnings(profiles),
        notes=first.notes,
    )


def _energy(profiles: Sequence[Profile]) -> list[Energy]:
    """Of all turns in which it could be read, a counter at a time."""
    found = []
    for one in profiles[0].energy:
        read = [(p.frames, e) for p in profiles for e in p.energy if e.of == one.of]
        same, frames = [e for _, e in read], sum(count for count, _ in read)
        joules = sum(e.joules for e in same)
        mean = fmean(e.mean_w for e in same)
        found.append(
            replace(
                one,
                joules=round(joules, 4),
                mean_w=round(mean, 3),
                mj_per_frame=round(1e3 * joules / frames, 4),
            )
        )
    return found


def _warnings(profiles: Sequence[Profile]) -> list[str]:
    """Those of every turn, with the turns; where only figures differ, the first is taken."""
    said: dict[str, tuple[str, list[int]]] = {}
    for number, profile in enumerate(profiles, start=1):
        for warning in profile.warnings:
            kind = re.sub(r"[\d.]+", "", warning)
            said.setdefault(kind, (warning, []))[1].append(number)
    count = len(profiles)
    return [
        words
        if len(turns) == count
        else f"{words} (turn{'s' * (len(turns) > 1)} {', '.join(map(str, turns))} of {count})"
        for words, turns in said.values()
    ]


def _child(candidate: Candidate, way: Way, *, talks: bool) -> Profile:
    """`edgecnn profile` of one candidate in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "profile.json"
        command = [sys.executable, "-m", "edgecnn_runtime", "profile", candidate.bundle]
        done = subprocess.run(
            [*command, *_options(candidate, way), "--json", str(result)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        said = [line.removeprefix("edgecnn profile: ") for line in done.stderr.splitlines()]
        if done.returncode:
            what = said[-1] if said else f"its process ended with status {done.returncode}"
            raise InputError(f"{candidate.backend} on {candidate.bundle}: {what}")
        for line in said if talks else ():
            log.warning("%s", line)
        return msgspec.json.decode(result.read_bytes(), type=Profile)


def _options(candidate: Candidate, way: Way) -> list[str]:
    pairs = {
        "--backend": candidate.backend,
        "--precision": candidate.precision,
        "--compile": candidate.compile,
        "--frames": way.frames,
        "--rate": way.rate,
        "--idle": way.idle_s or None,
        "--keep-warm": way.keep_warm,
        "--threads": way.threads,
        "--frame-size": f"{way.size[1]}x{way.size[0]}" if way.size else None,
        "--batch": ",".join(map(str, way.batches)) or None,
    }
    given = {name: str(value) for name, value in pairs.items() if value is not None}
    return [word for pair in given.items() for word in pair]
