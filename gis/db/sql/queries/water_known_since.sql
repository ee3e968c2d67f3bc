-- Since when the platform knows a water network.
SELECT min(recorded_from) AS since FROM pub.water_pipe_history WHERE network = %(network)s
