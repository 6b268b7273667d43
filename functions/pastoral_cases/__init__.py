"""Pastoral cases: somebody who has stopped coming is asked after, by the shepherd of their household, once.

Source: "Engagement Scoring & At-Risk Automation", 3; rules.md §4 and §6.
"""
