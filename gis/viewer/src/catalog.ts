/** What the layers are: the types of GET /catalog and the texts of attributes by it. */

import { titleOf, t, type Bilingual } from "./text.ts";

export interface Field {
  name: string;
  title?: Bilingual;
  unit?: string | null;
  type: string;
  codes?: Array<{ code: string; title: Bilingual }> | null;
}

export interface StyleCase {
  value: string | number;
  color: string;
  title?: Bilingual | null;
  symbol?: string | null;
}

export interface LayerStyle {
  color?: string;
  outline?: string | null;
  width?: number;
  opacity?: number;
  dash?: number[];
  /** Points are rings around a sign instead of discs. */
  hollow?: boolean;
  /** The character drawn in a point. */
  symbol?: string | null;
  by?: string | null;
  cases?: StyleCase[];
  visible?: boolean;
}

export interface LayerEntry {
  id: string;
  title: Bilingual;
  description?: Bilingual;
  geometry: string;
  style?: LayerStyle;
  /** How sensitive it is: 公开, 内部, 敏感. */
  label?: string | null;
  tiles?: { min_zoom?: number; max_zoom?: number };
  visible?: boolean;
  fields?: Field[];
}

export interface Group {
  id: string;
  title: Bilingual;
  layers: LayerEntry[];
}

export interface Catalog {
  city: {
    code: string;
    name: Bilingual;
    center: [number, number];
    zoom: number;
    extent?: [number, number, number, number];
  };
  user: { name?: string | null; role: string };
  groups: Group[];
}

export function layerOf(catalog: Catalog, id: string): LayerEntry | undefined {
  for (const group of catalog.groups) {
    const layer = group.layers.find((entry) => entry.id === id);
    if (layer) return layer;
  }
  return undefined;
}

export function groupOf(catalog: Catalog, layerId: string): string | undefined {
  return catalog.groups.find((group) => group.layers.some((layer) => layer.id === layerId))?.id;
}

/** Units as readers know them, where the code of UCUM reads oddly. */
const UNITS: Record<string, string> = { "[‰]": "‰", m2: "m²", m3: "m³", "m3/h": "m³/h" };

/** The value as its reader says it: code titles, yes and no, units. Empty text where there is no value. */
export function valueText(field: Field | undefined, value: unknown): string {
  if (value === null || value === undefined || value === "") return "";
  if (field?.codes?.length) {
    const entry = field.codes.find((code) => String(code.code) === String(value));
    if (entry) return titleOf(entry.title, String(value));
  }
  if (typeof value === "boolean" || field?.type === "bool") return value === true || value === "true" ? t("yes") : t("no");
  if (Array.isArray(value)) return value.map((one) => valueText(undefined, one)).join("、");
  if (typeof value === "object") return JSON.stringify(value);
  let text = String(value);
  if (typeof value === "number" && !Number.isInteger(value)) text = String(Number(value.toFixed(3)));
  if (field?.type === "timestamp") text = text.replace("T", " ").slice(0, 16);
  return field?.unit ? `${text} ${UNITS[field.unit] ?? field.unit}` : text;
}

/** Attributes that say nothing to a reader: keys that the platform made for itself. */
const INTERNAL = new Set(["fid", "id", "batch", "recorded_from", "recorded_to"]);

export interface AttributeRow {
  name: string;
  title: string;
  text: string;
}

/** The rows of an attribute table in the order of the layer's fields; empty values are left out. */
export function attributeRows(layer: LayerEntry | undefined, properties: Record<string, unknown>): AttributeRow[] {
  const fields = layer?.fields ?? [];
  const known = new Set(fields.map((field) => field.name));
  const others = Object.keys(properties).filter((name) => !known.has(name) && !INTERNAL.has(name));
  const rows = [...fields, ...others.map((name): Field => ({ name, type: "text" }))].map((field) => ({
    name: field.name,
    title: titleOf(field.title, field.name),
    text: valueText(field, properties[field.name]),
  }));
  return rows.filter((row) => row.text !== "");
}

const NAMES = ["name", "full_text", "address", "road_name", "title"];

/** A short name for a feature in a list: its name where it has one, else its id. */
export function featureName(properties: Record<string, unknown>, id: string): string {
  for (const name of NAMES) {
    const value = properties[name];
    if (typeof value === "string" && value) return value;
  }
  return id;
}
