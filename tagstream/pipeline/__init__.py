"""The image pipeline: photos into the bucket, its events out of it, and what each means for the catalog."""
