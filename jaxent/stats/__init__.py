"""Intervals, differences and proportions over probe sets, seeds and problems."""
