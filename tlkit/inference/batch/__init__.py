"""Prediction of many images in parts: a shard of them per process, so that a job that was killed goes on."""
