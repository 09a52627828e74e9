"""Statistics on arrays and counts: intervals, tests, corrections, bootstrap. No torch, no tables, no files."""
