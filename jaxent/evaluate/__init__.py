"""Generated programs scored: HumanEval through EvalPlus, in a sandbox."""
