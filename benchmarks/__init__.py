"""Measurements that write benchmarks/results/<benchmark>.json; none of them is a test."""
