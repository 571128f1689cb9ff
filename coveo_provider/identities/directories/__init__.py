"""
Exports of directories (LDAP, Active Directory, SCIM, Entra ID) → the datasets of members and mappings.

:mod:`~.ldif`, :mod:`~.tables` and :mod:`~.json_pages` read a format each and give :class:`~.entries.Entry`;
:mod:`~.census` finds out who belongs to whom, checks it, and :mod:`~.writing` makes the datasets of it.
"""
