"""Tokens and text from a model: `generate` decodes any number of prompts together."""

from jaxent.decode.text import Completion, generate, stream

__all__ = ["Completion", "generate", "stream"]
