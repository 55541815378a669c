"""Who may do what: users and password hashes as synced, tokens of our own making."""
