"""The operators' side of the scenario engine: rules with their change guard, questions, decisions, quarantine."""
