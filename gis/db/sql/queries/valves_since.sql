-- The valves of a network that are believed anew since a moment.
SELECT valve_id FROM pub.water_valve WHERE recorded_from > %(since)s AND network = %(network)s LIMIT %(most)s
