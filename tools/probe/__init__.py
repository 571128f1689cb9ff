"""
Questions to the real service: small scripts of calls, each with the answer that this package assumes.

``make probe`` asks the sandbox, and the real service where ``COVEO_ORG`` and ``COVEO_KEY`` are set
(``docs/api-notes.md, "Probes"``).
"""
