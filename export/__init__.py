"""A folder, not a package: a second copy of `edgecnn_export` must not load."""

raise ImportError("import edgecnn_export: the folder export/ is not a package")
