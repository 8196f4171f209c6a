"""Hostile input: mutated payloads, what must hold for any of them, and the long run.

`python -m stock_pipeline_tests.fuzz` is the long form (`make fuzz`), `python -m
stock_pipeline_tests.fuzz.guided` the coverage-guided one.
"""
