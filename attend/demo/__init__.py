"""The demo: a generated organisation, a throw-away stack, and the whole way from a change to a notification."""
