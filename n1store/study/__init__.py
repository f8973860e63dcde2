"""Comparing codecs on the same chunks: which ones, how they are measured, results, and report."""
