"""The workstation: networks, data, training, evaluation. Needs PyTorch."""
