from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.baseline import against
from edgecnn_runtime.latency.batches import BatchRate
from edgecnn_runtime.latency.drawing import Scale
from edgecnn_runtime.latency.layers import Layer, LayerRuns, layer_profile
from edgecnn_runtime.latency.page import page, write_page
from edgecnn_runtime.latency.peaks import Level, Peaks
from edgecnn_runtime.latency.profile import Network, Profile, profile
from edgecnn_runtime.latency.turns import BLOCKS, Comparison, merge, ratios

from .fakes import FakeClock, fake_model

VOID = {"meta", "path", "circle", "rect", "br"}


class Checked(HTMLParser):
    """Fails where a tag is not closed; counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen[tag] = self.seen.get(tag, 0) + 1
        if tag not in VOID or tag == "circle":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen[tag] = self.seen.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def turn(classify: Classifier, ms: float, name: str) -> Profile:
    clock = FakeClock()
    delays = [ms / 1e3] * 40 + [0.2, ms / 1e3]
    model = fake_model(classify, clock.sleep, delays)
    found = profile(model, [np.zeros((48, 64, 3), np.uint8)], count=40, clock=clock)
    return replace(
        found,
        network=Network(name, "net", "fp32", (32, 32, 3)),
        batches=[BatchRate(1, 100.0, 10.0, 50), BatchRate(4, 200.0, 20.0, 50)],
        warnings=["other processes kept 1.5 of 2 cores busy"],
    )


@pytest.fixture
def compared(classify: Classifier) -> Comparison:
    profiles = [
        merge([turn(classify, ms * part, name) for part in (1.0, 1.1, 1.0)])
        for ms, name in ((10, "a.bundle"), (15, "<b>&c.bundle"))
    ]
    return Comparison(profiles, ratios(profiles, BLOCKS), [], BLOCKS)


def test_a_comparison_is_one_page_that_needs_nothing_else(
    compared: Comparison, tmp_path: Path
) -> None:
    write_page(compared, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    read = Checked()
    read.feed(text)
    assert read.open == []
    assert read.seen["svg"] == 6
    assert "script" not in read.seen
    assert not re.search(r"https?:|src=|url\(|@import|<link", text), "no foreign address"
    assert "&lt;b&gt;&amp;c.bundle takes 1.500 times as long as a.bundle" in text
    assert "<b>&c" not in text
    assert "Unsteady: other processes kept 1.5 of 2 cores busy" in text
    assert "prefers-color-scheme: dark" in text
    assert "nan" not in text.lower().replace("nano", "")


def test_a_single_profile_has_no_ratios_and_the_slowest_frame_is_drawn(
    classify: Classifier,
) -> None:
    one = turn(classify, 10, "a.bundle")
    text = page(Comparison([one], [], [], "one process"))
    assert "Times as long" not in text
    assert one.end_to_end.max == pytest.approx(200, abs=1)
    assert ">200<" in text, "the axis reaches it"


def test_a_baseline_is_drawn_beside_what_is_held_to_it(classify: Classifier) -> None:
    now, then = turn(classify, 12, "a.bundle"), turn(classify, 10, "a.bundle")
    held = replace(now, against=against(now, then, "old.json"))
    text = page(Comparison([held], [], [], "one process"), baseline=then)
    assert 'class="verdict bad">REGRESSION: the median is 1.2' in text
    assert "</i>baseline</td>" in text
    assert text.count('class="area') == 2


def test_frames_that_all_took_the_same_are_drawn(classify: Classifier) -> None:
    one = replace(turn(classify, 10, "a.bundle"), samples_ms=[10.0] * 40)
    assert "<svg" in page(Comparison([one], [], [], "one process"))
    single = replace(one, samples_ms=[10.0])
    assert "<svg" in page(Comparison([single], [], [], "one process"))


def test_layers_are_drawn_below_their_roofs(compared: Comparison) -> None:
    layers = layer_profile(
        LayerRuns(
            (Layer("conv", "Conv", macs=10**7, bytes=10**5), Layer("add", "Add", bytes=10**6)),
            [[0.2, 0.1]],
            [0.35],
            "fp32",
        ),
        backend="onnxruntime",
        device="a CPU",
        infer_ms=0.3,
        end_to_end_ms=0.5,
        peaks=Peaks(0.2, 0.2, 0.8, 20.0, (Level(1 << 20, 100.0),), "measured"),
    )
    text = page(replace(compared, profiles=compared.profiles[:1], ratios=[]), layers)
    assert "Roofline" in text
    assert "conv: 0.200 ms, 66.7%" in text
    assert "2 layers, the dearest first" in text


@pytest.mark.parametrize(
    ("low", "high", "is_log"),
    [(0, 7, False), (0, 0.013, False), (3, 1e6, True), (7.61, 11.2, True), (0.9, 30_000, True)],
)
def test_an_axis_has_a_few_round_ticks(low: float, high: float, is_log: bool) -> None:
    ticks = Scale(low, high, 0, 100, is_log).ticks()
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high * 1.000001 for tick in ticks)
