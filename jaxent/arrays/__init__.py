"""What weights are made of: NF4 arrays and LoRA adapters."""
