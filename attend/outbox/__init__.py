"""`attend outbox`: what is on its way to people's phones, what became of it, and trying again."""
