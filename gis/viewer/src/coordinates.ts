/** Positions that are typed instead of an address. */

const COORDINATES = /^\s*(-?\d{1,3}(?:\.\d+)?)\s*[,，\s]\s*(-?\d{1,2}(?:\.\d+)?)\s*$/;

/** The position that a text like “117.01, 32.02” means, or null. */
export function coordinatesOf(text: string): [number, number] | null {
  const found = COORDINATES.exec(text);
  if (!found) return null;
  const [lon, lat] = [Number(found[1]), Number(found[2])];
  return Math.abs(lon) <= 180 && Math.abs(lat) <= 90 ? [lon, lat] : null;
}
