"""A local portal over real HTTP: for rehearsals, for rules, for the tests.

It imports nothing of the connector: behaviours are written from the documentation pages that
each module names, so that the connector and the sandbox cannot share a misreading.
"""
