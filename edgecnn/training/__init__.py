"""Train a network on a data set and leave a run folder that says how it was made."""
