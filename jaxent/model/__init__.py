"""One decoder for the Qwen2, Qwen3, Llama and Mistral families."""
