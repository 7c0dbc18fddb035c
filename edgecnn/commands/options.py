"""Options that several verbs of the workstation have, in one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDirOption = Annotated[
    Path | None,
    typer.Option(help="Where named data sets lie; $EDGECNN_DATA or a cache by default."),
]
