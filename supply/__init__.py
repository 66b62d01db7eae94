"""What Tagstream is made of, and whether that may go out: bills of materials and the audit of everything pinned."""
