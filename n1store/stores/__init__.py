"""Stores: where the chunks of recordings are kept, and how to get at them again."""
