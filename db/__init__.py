"""The database: versioned SQL, and what brings a server to the version shipped here."""
