"""The handlers, one file per resource: decode, call the store, answer."""
