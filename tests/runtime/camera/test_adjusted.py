from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.source import Captured
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.errors import SourceError


def read(path: Path, most: int = 1000, **texts: object) -> list[Captured]:
    source = open_source(path, settings=settings_of(texts))
    frames = []
    while len(frames) < most and (captured := source.read()) is not None:
        frames.append(captured)
    source.stop()
    assert source.read() is None
    source.close()
    return frames


@pytest.mark.parametrize(("degrees", "quarters"), [(90, -1), (180, 2), (270, 1)])
def test_a_picture_is_turned_clockwise_and_the_region_is_of_the_turned_one(
    clip: Path, degrees: int, quarters: int
) -> None:
    (plain,), (turned,) = read(clip, 1), read(clip, 1, rotate=degrees)
    assert (turned.frame == np.rot90(plain.frame, quarters)).all()
    (part,) = read(clip, 1, rotate=degrees, roi="10,20,50,40")
    assert (part.frame == turned.frame[20:60, 10:60]).all()
    assert part.frame.flags.c_contiguous


def test_a_region_outside_of_the_picture_is_one_line(clip: Path) -> None:
    with pytest.raises(SourceError, match="100,0,100,50 lies outside of the 160x120 frames"):
        read(clip, roi="100,0,100,50")


def test_a_film_s_time_goes_on_over_what_is_left_out_and_its_rounds(clip: Path) -> None:
    thirtieths = [i / 30 for i in range(60)]
    assert [c.film_s for c in read(clip, skip=2)] == pytest.approx(thirtieths[0:40:3])
    assert [c.film_s for c in read(clip, 60, loop=True)] == pytest.approx(thirtieths)
    assert {c.film_s for c in read(clip, 2, fps=200)} == {None}, "it is played"


def test_frames_are_left_out_after_each_one_taken(clip: Path) -> None:
    assert [c.index for c in read(clip, skip=2)] == list(range(0, 40, 3))


def test_a_film_begins_again_where_it_ends(clip: Path, pan: list[NDArray[np.uint8]]) -> None:
    frames = read(clip, 100, loop=True)
    assert [c.index for c in frames] == list(range(100))
    assert (frames[3].frame == frames[43].frame).all()


def test_a_film_is_played_at_the_rate_asked_for(clip: Path) -> None:
    stamps = [c.stamp_ns for c in read(clip, 6, fps=50)]
    assert (stamps[-1] - stamps[0]) / 1e6 > 4 * 20, "five pauses of 20 ms, of which one may be late"


@pytest.mark.parametrize("roi", ["1,2,3", "0,0,0,5", "a,b,c,d", "-1,0,5,5"])
def test_what_is_no_region_is_one_line(roi: str) -> None:
    with pytest.raises(ValueError, match="expected X,Y,WIDTH,HEIGHT"):
        settings_of({"roi": roi})
