"""`attend doctor`: whether an installation is as it should be."""
