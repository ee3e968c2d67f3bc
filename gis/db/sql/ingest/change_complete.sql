-- Fields that the delivery does not speak of.
UPDATE {stage} s SET ({fields}) = ROW({kept}) FROM {core} c WHERE {same_key} AND s.src_row > %(before)s AND s.src_row <= %(last)s
