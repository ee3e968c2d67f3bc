-- The rows of a delivery as they were read; texts of what could not be read stand beside the value.
CREATE TEMP TABLE observed (
  src_row bigint, sensor_id text, parameter text, at timestamptz, value double precision, unit text, quality text, at_text text, value_text text)
