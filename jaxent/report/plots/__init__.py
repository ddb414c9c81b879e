"""Drawings: measured values in colour, published ones in grey."""
