"""Adapter to text: the decode loop."""
