"""The fast lane: HTTP/1.1 connections of our own, parsed by httptools.

A hot route is answered here. Everything else goes to the `tornado.web` application, through the
interfaces that Tornado documents for other servers. The service is complete without this package,
only slower: ``FAST_LANE=off``.
"""
