"""Pure functions and types: nothing here imports dagster, boto3 or kafka, or opens a socket."""
