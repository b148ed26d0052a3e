"""Ticket Allocation: a service that sells tickets from an allocation and never oversells."""

__version__ = "1.0.0"
