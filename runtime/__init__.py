"""A folder, not a package: a second copy of `edgecnn_runtime` must not load."""

raise ImportError("import edgecnn_runtime: the folder runtime/ is not a package")
