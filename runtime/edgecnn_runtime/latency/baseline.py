"""Hold a profile to one that was kept as a file: has it become slower, beyond the noise?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from edgecnn_runtime.errors import InputError
from edgecnn_runtime.latency.conditions import CHANGED
from edgecnn_runtime.latency.profile import Profile
from edgecnn_runtime.latency.ratios import Against, Change, apart

TOLERANCE = 0.05


def read_baseline(path: str | Path) -> Profile:
    """A file that `edgecnn profile BUNDLE --json FILE` has written.

    Raises:
        InputError: it is none, or it holds several profiles.
    """
    make = "make one: edgecnn profile BUNDLE --turns 5 --json FILE"
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"no baseline at {path} ({error.strerror}); {make}") from error
    try:
        whole: Any = msgspec.json.decode(text)
        if isinstance(whole, dict) and "profiles" in whole:
            raise InputError(
                f"{path} holds {len(whole['profiles'])} profiles; expected one bundle's; {make}"
            )
        return msgspec.convert(whole, type=Profile)
    except msgspec.MsgspecError as error:
        raise InputError(f"{path} is not a profile of this version ({error}); {make}") from error


def against(
    now: Profile, then: Profile, baseline: str | Path, tolerance: float = TOLERANCE
) -> Against:
    """Compare the medians, with the interval of their turns, or of their tenths.

    A regression is a ratio above 1 + tolerance whose 95% interval lies above 1: the interval is
    what the turns vary by, and the tolerance what a machine does from one hour to the next.

    Raises:
        InputError: they are not of the same thing, the machine itself runs at another speed, or
            they differ and the machine was disturbed, which may be why.
    """
    if other := differences(now, then):
        raise InputError(f"cannot be compared with {baseline}: {'; '.join(other)}")
    ratio, low, high = apart(now.blocks, then.blocks)
    found = Against(
        baseline=str(baseline),
        ratio=round(ratio, 4),
        low=round(low, 4),
        high=round(high, 4),
        tolerance=tolerance,
        is_regression=ratio > 1 + tolerance and low > 1,
        is_gain=ratio < 1 / (1 + tolerance) and high < 1,
        changes=_changes(now, then),
    )
    if (found.is_regression or found.is_gain) and (why := disturbed(now, then)):
        raise InputError(
            f"cannot be compared with {baseline}: the median is {ratio:.3f} times what it was, and"
            f" the machine was disturbed, which may be why: {'; '.join(why)}; measure when it is"
            " quiet"
        )
    return found


def disturbed(now: Profile, then: Profile) -> list[str]:
    """What else used or slowed the machine, then or now."""
    return [
        f"{when} {what}"
        for when, profile in (("then", then), ("now", now))
        for what in (profile.conditions.disturbances() if profile.conditions else ())
    ]


def differences(now: Profile, then: Profile) -> list[str]:
    """Why two profiles say nothing about each other; empty where they do."""
    pairs = zip(_identity(then).items(), _identity(now).values(), strict=True)
    found = [f"{name} was {a}, is {b}" for (name, a), b in pairs if a != b]
    yards = [p.conditions.yardstick_ms[0] if p.conditions else 0.0 for p in (then, now)]
    if not found and all(yards) and "tensorrt" not in now.backend and "cuda" not in now.backend:
        ratio = yards[1] / yards[0]
        if abs(ratio - 1) > CHANGED:
            found.append(
                f"the processor itself takes {ratio:.2f} times as long for a fixed piece of"
                " arithmetic; wait, cool it, or set its clocks, and measure again"
            )
    return found


def _identity(profile: Profile) -> dict[str, object]:
    """What must be the same. A driver may be another: whether that costs is a fair question."""
    network, conditions = profile.network, profile.conditions
    return {
        "the network": network.name if network else "",
        "its size": (network.parameters, network.macs, network.takes) if network else None,
        "precision": network.precision if network else "",
        "backend": profile.backend,
        "device": profile.device.partition(", driver ")[0],
        "power mode": conditions.power_mode if conditions else None,
        "governor": ", ".join(c.governor for c in conditions.clocks) if conditions else "",
        "rate": profile.rate or "max",
        "idle": profile.idle_s,
        "keep warm": profile.keep_warm,
        "threads": profile.threads or "all",
        "frame size": profile.frame_size,
    }


def _changes(now: Profile, then: Profile) -> list[Change]:
    def figures(p: Profile) -> dict[str, float]:
        return {
            "end to end p50 ms": p.end_to_end.p50,
            "end to end p99 ms": p.end_to_end.p99,
            "preprocess p50 ms": p.stages.preprocess.p50,
            "infer p50 ms": p.stages.infer.p50,
            "postprocess p50 ms": p.stages.postprocess.p50,
            "first inference ms": p.first_ms,
            "load ms": p.load_ms or 0.0,
            "peak memory MB": p.memory.peak_mb if p.memory else 0.0,
        }

    before, after = figures(then), figures(now)
    return [
        Change(name, before[name], after[name], round(after[name] / before[name], 4))
        for name in before
        if before[name] and after[name]
    ]
