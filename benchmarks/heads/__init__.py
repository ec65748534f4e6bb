"""Heads on saved scores: what label embeddings and training methods gain."""
