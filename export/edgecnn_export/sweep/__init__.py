"""Which network fits a device and a budget: train, export and measure a family, and choose."""
