"""What a profile says beside its percentiles, in words: for the terminal and for the page."""

from __future__ import annotations

from edgecnn_runtime.latency.profile import Profile
from edgecnn_runtime.latency.ratios import Against, Ratio


def pace(result: Profile) -> str:
    """How the frames followed each other, in words."""
    paced = f"paced at {result.rate:g} fps" if result.rate else "as fast as possible"
    idle = f", {result.idle_s:g} s idle before each" if result.idle_s else ""
    warm = {"no": "", "infer": ", kept warm by inferences", "spin": ", kept warm by waiting awake"}
    return f"{paced}{idle}{warm[result.keep_warm]}"


def facts(result: Profile) -> list[str]:
    """Spread, conditions, memory, energy and batch sizes, a line each."""
    found = [f"Coefficient of variation: {result.cv:.1%}"]
    seen = result.conditions
    if seen:
        modes = [f"power mode {seen.power_mode}"] if seen.power_mode else []
        modes += [
            f"{clock.name} {clock.before_mhz} then {clock.after_mhz} of {clock.most_mhz} MHz"
            + (f" ({clock.governor})" if clock.governor else "")
            for clock in seen.clocks
        ]
        modes += ["clocks are not told here"] if not seen.clocks else []
        if seen.other_cores is not None:
            modes.append(
                f"others used {seen.other_cores:.2f} cores, the host took {seen.stolen_cores:.2f}"
            )
        found.append("Machine: " + "; ".join(modes))
    if result.memory:
        gpu = "" if result.memory.gpu_mb is None else f", on the GPU {result.memory.gpu_mb:.0f} MB"
        found.append(
            f"Memory: peak {result.memory.peak_mb:.0f} MB, of which opening took"
            f" {result.memory.opening_mb:.0f}{gpu}"
        )
    for one in result.energy:
        how = ", summed up from readings" if one.is_sampled else ""
        found.append(
            f"Energy of {one.of}: {one.mj_per_frame:.3g} mJ a frame, mean {one.mean_w:.3g} W{how}"
        )
    if not result.energy and seen:
        found.append("Energy: no counter can be read here")
    found += result.notes
    for rate in result.batches:
        found.append(
            f"Batch {rate.batch}: {rate.why}"
            if rate.why
            else f"Batch {rate.batch}: {rate.fps:.6g} frames a second, {rate.p50_ms:.4g} ms a batch"
        )
    return found


def ratio_line(one: Ratio) -> str:
    """How long one takes beside another, and how well that is known."""
    if one.low is None or one.high is None:
        known = "one turn tells no interval"
    else:
        same = "; no difference beyond the noise" if one.low <= 1 <= one.high else ""
        known = f"95% interval {one.low:.3f} to {one.high:.3f}{same}"
    return f"{one.what} takes {one.ratio:.3f} times as long as {one.to} ({known})"


def verdict(found: Against) -> str:
    """What the comparison with a baseline gave."""
    what = (
        "REGRESSION"
        if found.is_regression
        else "Faster"
        if found.is_gain
        else "No change beyond the noise"
    )
    return (
        f"{what}: the median is {found.ratio:.3f} times what it was (95% interval {found.low:.3f}"
        f" to {found.high:.3f}); up to {found.tolerance:.0%} is never called a regression"
    )
