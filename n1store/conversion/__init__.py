"""The main job: which arrays to make of which inputs, and writing them."""
