"""The report of a comparison: a page for a browser, and its plots."""
