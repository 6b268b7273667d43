"""Statistics recompute: keeps every person's activity statistics right after every change.

Source: "Activity Statistics" (data model), rules.md §2 and §6.
"""
