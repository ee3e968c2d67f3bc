-- The kept EPANET file of a network, while its nodes, pipes and sources are those of the file.
SELECT batch, name, sha256 FROM meta.network_model(%(network)s)
