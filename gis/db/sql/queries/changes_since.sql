-- What was published into the layers of a network since a moment.
SELECT before, newest, changed, updates_only FROM meta.changes_since(%(layers)s, %(network)s, %(since)s)
