"""Files of the codec n1 alone (.n1): a WAV file in, the same bytes out."""
