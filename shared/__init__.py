"""What the deployable functions share. Imports no function, and nothing of the command line."""
