"""Codecs compared on the same chunks: which, how they are measured, the results, and their report."""
