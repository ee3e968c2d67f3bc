/** The two languages of the map: Chinese unless the reader chose English, which is remembered. */

import { WORDS } from "./words.ts";
import { WATER_WORDS } from "./words_water.ts";

export type Language = "zh" | "en";
export interface Bilingual {
  zh: string;
  en: string;
}

const KEY = "onemap.language";

const TEXTS = { ...WORDS, ...WATER_WORDS } as const;

export type TextKey = keyof typeof TEXTS;

const ROLES: Record<string, Bilingual> = {
  anonymous: { zh: "访客", en: "Visitor" },
  planner: { zh: "规划", en: "Planner" },
  water: { zh: "供水", en: "Water" },
  drainage: { zh: "排水", en: "Drainage" },
  gas: { zh: "燃气", en: "Gas" },
  heat: { zh: "热力", en: "Heat" },
  power: { zh: "电力", en: "Power" },
  telecom: { zh: "通信", en: "Telecom" },
  address: { zh: "地名地址", en: "Address" },
  admin: { zh: "管理员", en: "Administrator" },
  security: { zh: "安全管理员", en: "Security administrator" },
  auditor: { zh: "审计员", en: "Auditor" },
};

const listeners: Array<() => void> = [];
/** A page in one language leads to the map in the same: `?lang=en`. */
const wanted = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem(KEY);
let current: Language = wanted === "en" ? "en" : "zh";

export function language(): Language {
  return current;
}

/** Change the language, remember it, and let everything that is shown redraw itself. */
export function setLanguage(next: Language): void {
  current = next;
  localStorage.setItem(KEY, next);
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  listeners.forEach((listener) => listener());
}

/** Call `listener` whenever the language changed. */
export function onLanguage(listener: () => void): void {
  listeners.push(listener);
}

/** The text of this key in the current language; {0}, {1} … are replaced by the values. */
export function t(key: TextKey, ...values: Array<string | number>): string {
  return TEXTS[key][current === "zh" ? 0 : 1].replace(/\{(\d)\}/g, (_, i) => String(values[Number(i)] ?? ""));
}

/** The current language's side of a bilingual title; falls back to the other side, then to `otherwise`. */
export function titleOf(title: Partial<Bilingual> | string | null | undefined, otherwise = ""): string {
  if (!title) return otherwise;
  if (typeof title === "string") return title;
  return title[current] || title.zh || title.en || otherwise;
}

export function roleTitle(role: string): string {
  return titleOf(ROLES[role], role);
}

/** A whole number with thousands separators. */
export function count(n: number | null | undefined): string {
  return Math.round(n ?? 0).toLocaleString("en-US");
}
