"""Codecs compared on the same chunks: which, how measured, the results, and their report."""
