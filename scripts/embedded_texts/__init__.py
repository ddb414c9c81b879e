"""Makes the texts that the package carries: some generated, some cut from Python's."""
