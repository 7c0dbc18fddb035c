from __future__ import annotations

import re

from rich.console import Console

from edgecnn_runtime.latency.report import latency_table, trtexec_lines
from edgecnn_runtime.latency.stages import Percentiles

SOME = Percentiles(7.66, 7.64, 7.7, 7.8, 8.2, 11.0, 7.61, 11.17)


def test_the_lines_are_read_by_what_reads_trtexec() -> None:
    lines = trtexec_lines(131.187, SOME)
    assert lines.startswith("Throughput: 131.187 qps\nLatency: min = 7.61 ms, max = 11.17 ms,")
    assert re.search(r"median = 7\.64 ms, percentile\(90%\) = 7\.7 ms", lines)


def test_the_table_fits_into_eighty_columns() -> None:
    console = Console(width=80, record=True, file=None, stderr=True, quiet=False)
    with console.capture() as captured:
        console.print(latency_table({"preprocess": SOME, "end to end": SOME}))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "p99.9" in text
    assert "11.17" not in text, "three digits are enough"
