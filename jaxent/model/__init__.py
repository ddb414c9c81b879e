"""One decoder for the Qwen2, Llama and Mistral families."""
