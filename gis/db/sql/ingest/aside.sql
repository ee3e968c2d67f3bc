-- Where rejected rows of the stage are kept until the load has ended.
CREATE TEMP TABLE {aside} (LIKE {stage})
