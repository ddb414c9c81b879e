"""What weights are made of: NF4 arrays, 8-bit scales and LoRA adapters."""
