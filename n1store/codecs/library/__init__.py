"""Codecs whose work a library does: a file for each."""
