"""The only place that imports a TensorRT builder. Needs no PyTorch; TensorRT-RTX needs no GPU."""
