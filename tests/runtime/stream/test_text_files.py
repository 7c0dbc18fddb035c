from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn_runtime.classifier import Prediction
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.result import Event, Result
from edgecnn_runtime.stream.rotation import Rotation
from edgecnn_runtime.stream.sink import Sink
from edgecnn_runtime.stream.sinks import open_sinks
from edgecnn_runtime.stream.text_files import CSV_COLUMNS, CsvLine, JsonLine, TextFile


def written(uri: object, results: list[Result]) -> Sink:
    (sink,) = open_sinks([str(uri)], lossless=True)
    for result in results:
        sink.put(result)
    sink.close()
    return sink


def test_csv_has_a_row_for_every_result_under_a_header(
    results: list[Result], tmp_path: Path
) -> None:
    written(tmp_path / "x.csv", results)
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert [int(row["index"]) for row in rows] == list(range(40))
    assert rows[0]["utc"].endswith("Z")
    assert rows[0]["source"] == "pan.mp4"
    assert rows[0]["label"] == results[0].best.label
    assert float(rows[0]["probability"]) == results[0].best.probability
    assert rows[0]["steady_label"] == rows[0]["event"] == ""


def test_csv_and_json_have_the_steady_answer_and_events_beside_the_raw_one(
    results: list[Result], tmp_path: Path
) -> None:
    event = Event('wet, "loose" gravel', 2.0, results[0].captured_at)
    steady = Prediction(2, 'wet, "loose" gravel', 0.75)
    changed = replace(results[0], steady=steady, events=(event,))
    written(tmp_path / "x.csv", [changed])
    written(tmp_path / "x.jsonl", [changed])
    with (tmp_path / "x.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    record = json.loads((tmp_path / "x.jsonl").read_text())
    assert row["label"] == record["label"] == results[0].best.label
    assert row["steady_label"] == record["steady_label"] == 'wet, "loose" gravel'
    assert record["steady_probability"] == 0.75
    assert row["event"] == record["events"][0]["label"] == 'wet, "loose" gravel'


def test_rotation_by_size_loses_no_line_and_every_csv_has_its_header(
    results: list[Result], tmp_path: Path
) -> None:
    written(f"{tmp_path / 'x.csv'}?rotate_mb=0.002", results)
    files = sorted(tmp_path.iterdir())
    assert len(files) > 2
    rows = []
    for path in files:
        assert path.stat().st_size < 2400
        with path.open(newline="") as file:
            rows += list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(range(40))


def test_rotation_by_time_begins_a_new_file(results: list[Result], tmp_path: Path) -> None:
    file = TextFile(tmp_path / "x.jsonl", JsonLine(), Rotation(rotate_seconds=1e-9))
    for result in results[:3]:
        file.write(result)
    file.close()
    lines = [path.read_text() for path in sorted(tmp_path.iterdir())]
    assert [json.loads(line)["index"] for line in lines if line] == [0, 1, 2]


def test_a_limit_removes_the_oldest_files_of_the_sink_and_nothing_else(
    results: list[Result], tmp_path: Path
) -> None:
    earlier = tmp_path / "x-20200101T000000Z-0001.jsonl"
    others = [tmp_path / "x-notes.jsonl", tmp_path / "x.jsonl", tmp_path / "y.jsonl"]
    for path in (earlier, *others):
        path.write_bytes(bytes(9000))
    written(f"{tmp_path / 'x.jsonl'}?rotate_mb=0.002&keep_mb=0.006", results)
    kept = sorted(set(tmp_path.iterdir()) - set(others))
    assert not earlier.exists()
    assert all(path.stat().st_size == 9000 for path in others)
    assert sum(path.stat().st_size for path in kept) < 6000 + 2400
    last = [json.loads(line)["index"] for path in kept for line in path.read_text().splitlines()]
    assert last == list(range(last[0], 40))
    assert last[0] > 0


def test_a_full_disk_leaves_whole_csv_rows_and_is_said(
    results: list[Result], small_disk: Callable[[str], Path]
) -> None:
    path = small_disk("8k") / "x.csv"
    sink = written(path, results * 4)
    assert sink.summary().error == "No space left on device"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sink.summary().frames > 0
    assert all(row["backend"] for row in rows)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("rotate_mb=none", "rotate_mb=none; expected a number above 0"),
        ("keep_mb=-1", "keep_mb=-1; expected a number above 0"),
        ("rotate_bm=1", "did you mean 'rotate_mb'"),
    ],
)
def test_an_option_that_is_not_understood_is_an_input_error_and_makes_no_file(
    tmp_path: Path, query: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_sinks([f"{tmp_path / 'x.csv'}?{query}"], lossless=True)
    assert list(tmp_path.iterdir()) == []


def test_a_csv_line_of_a_filter_has_no_label(results: list[Result]) -> None:
    line = CsvLine().line(replace(results[0], predictions=[])).decode()
    assert dict(zip(CSV_COLUMNS, line.split(","), strict=True))["label"] == ""
