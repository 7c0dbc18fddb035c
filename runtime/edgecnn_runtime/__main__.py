"""`python -m edgecnn_runtime VERB` is `edgecnn VERB`."""

from edgecnn_runtime.cli import main

main()
