"""`make mutate`: takes one guard of the database away at a time, and names the test that notices."""
