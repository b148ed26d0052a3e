"""The database: versioned SQL, and what migrates a server to the version shipped here."""
