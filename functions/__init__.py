"""One folder, one deployable HTTP function. A function imports `shared`, never another function."""
