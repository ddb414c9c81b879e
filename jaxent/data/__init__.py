"""Text to arrays in numpy: tokenizers, corpora, mixtures, batches, probe texts."""
