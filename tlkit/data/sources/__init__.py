"""Sources of images: folders, lists, tar shards; each is read into `Samples`."""
