"""Meshes of devices, and several processes of one program."""
