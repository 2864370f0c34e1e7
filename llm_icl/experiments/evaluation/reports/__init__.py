"""What a report of evaluations says."""
