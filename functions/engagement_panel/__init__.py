"""The engagement panel's page: what managers open every morning, and act from.

Source: "MD-Clean Engagement Panel Part 2/2", modules 11 to 17, 19 and 20; rules.md §5. The page asks the API itself,
with the manager's own token: this function serves files, and holds no key that a browser may not have.
"""
