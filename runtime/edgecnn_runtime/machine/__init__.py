"""What this machine is: driver, GPUs, board, clocks. Reads files and asks the driver itself."""
