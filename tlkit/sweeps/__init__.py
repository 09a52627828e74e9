"""Sweeps: fits of one recipe with searched values, chosen on val and judged on test."""
