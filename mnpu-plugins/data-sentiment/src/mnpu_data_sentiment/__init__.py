"""Features of texts for MNPU: tone, attention, novelty and embeddings, by the moment each text could be read."""
