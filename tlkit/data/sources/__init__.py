"""Where images come from: folders, lists, tar shards; all become `Samples`."""
