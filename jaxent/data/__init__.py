"""Text to arrays, in numpy: tokenizers, corpora, mixtures, packed batches and probe texts."""
