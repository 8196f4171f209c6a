"""Definitions of the Dagster code location, one folder a subject."""

import warnings

import dagster as dg

# Parameters that Dagster marks as beta and that we use on purpose: every code server and every run
# would print a warning for each asset.
for _parameter in ("backfill_policy", "allow_nonexistent_upstream_partitions"):
    warnings.filterwarnings("ignore", f"Parameter `{_parameter}`", dg.BetaWarning)
