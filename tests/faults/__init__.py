"""`make faults`: a town's whole workload while everything that can break is broken; who was told stays the same."""
