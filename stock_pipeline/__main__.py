"""`python -m stock_pipeline`: the command line."""

from stock_pipeline.cli import main

main()
