"""Judge a classifier on labelled images."""
