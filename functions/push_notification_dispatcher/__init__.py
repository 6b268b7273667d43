"""The push notification dispatcher: what was decided goes from the outbox to people's phones, once, if it still holds.

Source: "Scenario Trigger Engine", relationships; rules.md §3 (gates, at release) and §6.
"""
