"""Tagstream: photos in a bucket become searchable by what they show; files over SQS topics become jobs."""
