"""Small pictures of photos, to look at: how they are made and called, and the bucket that keeps them.

Design: docs/catalog.md, Thumbnails.
"""
