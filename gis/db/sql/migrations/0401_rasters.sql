-- Which file a raster batch made: kept by its digest under raster/<layer>/ in the home, so that a rollback finds the one of before.
CREATE TABLE meta.raster (
  batch  bigint PRIMARY KEY REFERENCES meta.batch ON DELETE CASCADE,
  layer  text NOT NULL,
  sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  bytes  bigint NOT NULL CHECK (bytes >= 0),
  crs    text
);
COMMENT ON COLUMN meta.raster.sha256 IS 'Digest of the cloud-optimised GeoTIFF that was made of the delivered file (meta.batch.sha256)';
COMMENT ON COLUMN meta.raster.crs IS 'The CRS that the operator gave, where the file declares none or a wrong one';
-- Usage: the raster that is believed, and those before it
CREATE INDEX raster_layer ON meta.raster (layer, batch DESC);

GRANT SELECT ON meta.raster TO onemap_admin;
