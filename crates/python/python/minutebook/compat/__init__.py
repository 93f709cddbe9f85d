"""The modules of two earlier Python systems, name for name, over this store's files."""
