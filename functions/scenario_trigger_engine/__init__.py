"""The scenario trigger engine: evaluates conditions over people's data and makes each notification exactly once.

Source: "Scenario Trigger Engine" (component detail), rules.md §3 and §6.
"""
