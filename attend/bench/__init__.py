"""Benchmarks: every figure is a ratio against a limit that was measured in the same run (docs/performance.md)."""
