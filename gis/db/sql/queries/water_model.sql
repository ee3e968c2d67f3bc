-- The kept EPANET file of a network, while its nodes, pipes and sources are those of the file; at a moment (null: now).
SELECT batch, name, sha256 FROM meta.network_model(%(network)s, %(moment)s)
