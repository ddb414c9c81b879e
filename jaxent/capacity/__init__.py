"""Plan before you pay: does a run fit a machine, and how long does it take?"""
