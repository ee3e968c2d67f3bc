/** What the processes answer, as far as the map reads it. */

import type { FeatureCollection } from "geojson";

import type { Bilingual } from "./text.ts";

export interface AddressHit {
  full_text: string;
  lon: number;
  lat: number;
  score: number;
  level?: string;
}

export interface Geocoded {
  results: AddressHit[];
  ambiguous?: boolean;
}

export type AnswerFeatures = FeatureCollection<GeoJSON.Geometry, AnswerProperties>;

/** What each feature of an analysis' answer plays for the map. */
export interface AnswerProperties {
  layer: string;
  id: string;
  part: string;
  order?: number;
  [more: string]: unknown;
}

export interface DoorPlate {
  id: string;
  address?: string | null;
  community?: string | null;
}

export interface ValveLists {
  close: string[];
  optional: string[];
  already_closed: string[];
  stuck: string[];
}

/** The answer of `pipe-burst`. */
export interface BurstAnswer {
  network: string;
  burst: { pipe?: string; node?: string; valve?: string; connection?: string; lon?: number; lat?: number };
  isolated: boolean;
  segments: Array<string | number>;
  valves: ValveLists;
  sources_to_shut: string[];
  affected: Affected;
  unintended: { pipes: string[]; customers: number };
  also_cut?: { pipes: string[]; customers: number };
  /** What stuck valves add to the plan without them. */
  added?: { valves: string[]; pipes: string[]; customers: number };
  if_stuck?: IfStuck[];
  drain?: Drain;
  feeds_to_open: string[];
  data_version: string;
  as_of?: string | null;
  seconds: number;
  features?: AnswerFeatures;
  doorplate_list?: DoorPlate[];
  findings?: Finding[];
}

/** What the failure of one valve of the plan would add (N-1). */
export interface IfStuck {
  valve: string;
  close_added: string[];
  pipes_added: string[];
  customers_added: number;
  isolated: boolean;
}

/** How the closed part is emptied; the lowest first, `n` counts them all. */
export interface Drain {
  volume_m3: number;
  n?: { lowest: number; hydrants: number };
  lowest: Array<{ node: string; level_m: number | null } & Spot>;
  hydrants: Array<{ hydrant: string; kind?: string | null; level_m: number | null } & Spot>;
}

/** A position, where it is known. */
export interface Spot {
  lon?: number | null;
  lat?: number | null;
}

/** Who must be told first: the service connection, why, how many hang on it, and the building behind it. */
export interface PriorityUser {
  connection: string;
  priority: string;
  customers: number;
  building?: string | null;
}

/** What an answer rests on that the data do not say. */
export interface Finding {
  code: string;
  message: string;
  message_zh?: string;
  n: number;
  ids: string[];
}

export interface Affected {
  pipes: string[];
  length_m: number;
  volume_m3?: number;
  customers: number;
  doorplates?: string[];
  priority?: PriorityUser[];
  hydrants?: string[];
}

export interface Networks {
  networks: Array<{ id: string; pipes: number; bbox: [number, number, number, number] }>;
}

export type WorkState = "planned" | "in_progress" | "finished" | "cancelled";

export interface Work {
  id: number;
  kind: "planned" | "emergency";
  title: string;
  reason: string;
  network: string;
  element: "pipe" | "node" | "valve" | "connection";
  element_id: string;
  stuck: string[];
  starts: string;
  ends: string;
  state: WorkState;
  operator?: string;
  /** In progress beyond its end. */
  overdue?: boolean;
}

/** Works at the same time that have to be seen as one; `extra`: who loses water only by the combination. */
export interface Conflict {
  works: number[];
  from: string;
  until: string;
  shut: string[];
  shared: string[];
  spared: string[];
  isolated: boolean;
  affected: Affected;
  extra: Affected & { customer_list?: Customer[] };
}

/** One service line and who is behind it. */
export interface Customer {
  connection: string;
  priority: string;
  customers: number;
  name: string | null;
  phone: string | null;
  community: string;
  address: string | null;
}

/** The answer of `works` about one work, and of `work-change`. */
export interface WorkAnswer {
  work: Work;
  events: Array<{ at: string; was: WorkState | null; becomes: WorkState; undoes?: number | null; operator: string; note?: string | null }>;
  held: Array<{ valve_id: string; position: number; closed_at: string; released_at: string | null }>;
  may_open: string[];
  stay_shut: Array<{ valve: string; works: number[] }>;
  plan: null | {
    isolated: boolean;
    sources_to_shut: string[];
    valves: ValveLists;
    affected: Affected;
    unintended: { pipes: string[]; customers: number };
    feeds_to_open: string[];
  };
  conflicts: Conflict[];
  findings?: Finding[];
  data_version: string;
  features?: AnswerFeatures;
  doorplate_list?: DoorPlate[];
  opened?: string[];
  closed?: string[];
  left_shut?: string[];
}

export interface Hydraulics {
  min_pressure_m: number;
  standard: { text?: string; source?: string; status?: string } | null;
  junctions: Record<string, number>;
  customers: Record<string, number>;
  lowest_m: number | null;
  largest_fall_m: number | null;
  unserved_lps: { before: number | null; after: number | null; cut_off: number | null };
  points: Array<{ node: string; pipe: string | null; state: string; before_m: number; after_m: number; customers: number }>;
  model: { kind: string; name: string; why: string; hours?: number };
  findings: Finding[];
  data_version: string;
  seconds: number;
  features?: AnswerFeatures;
}

export interface LegendClass {
  from: number | null;
  to: number | null;
  color: string;
  n: number;
}

export interface Criticality {
  network: string;
  layers?: Record<"segment" | "valve", { title: Bilingual; property: string; classes: LegendClass[] }>;
  segments?: Array<Record<string, any>>;
  valves?: Array<Record<string, any>>;
  features: AnswerFeatures;
  data_version: string;
  seconds: number;
}

export interface CrewStop {
  order: number;
  valve: string;
  lon: number;
  lat: number;
  address: string | null;
  address_m: number | null;
  drive_m: number;
  drive_s: number;
  arrive_s: number;
  leave_s: number;
}

export interface CrewRoute {
  depot: { id: string | null; name: string | null; lon: number; lat: number } | null;
  order: "closing" | "quickest";
  stops: CrewStop[];
  remote: string[];
  unreached: string[];
  drive_m: number;
  drive_s: number;
  total_s: number;
  assumed: { share_of_speed_limit: number; minutes_per_valve: number };
  features?: AnswerFeatures;
}

export interface Quality {
  network: string;
  findings: number;
  counts: Record<string, number>;
  meanings: Record<string, { level: "error" | "warning" | "info"; zh: string; en: string; remedy?: Bilingual }>;
  data_version: string;
  features?: FeatureCollection<GeoJSON.Geometry | null, QualityFinding>;
}

export interface QualityFinding {
  code: string;
  level: string;
  layer: string;
  id: string;
  other: string | null;
  n: number;
  distance_m: number | null;
}
