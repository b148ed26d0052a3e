"""The handlers, one file a resource: decode, call the store, answer."""
