/** Times as readers write and read them. */

import { t } from "./text.ts";

function two(n: number): string {
  return String(n).padStart(2, "0");
}

/** A moment on the reader's clock, as a field of a form takes it: 2026-01-05T08:00. */
export function fieldTime(moment: Date): string {
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}T${two(moment.getHours())}:${two(moment.getMinutes())}`;
}

/** The same moment for the server, with its zone; null where the field holds none. */
export function moment(field: string): string | null {
  const parsed = new Date(field);
  return Number.isNaN(parsed.getTime()) ? null : parsed.toISOString();
}

/** A moment for the eye: 2026-01-05 08:00. */
export function timeText(iso: string | Date): string {
  const parsed = new Date(iso);
  return Number.isNaN(parsed.getTime()) ? String(iso) : fieldTime(parsed).replace("T", " ");
}

/** From when until when; the day is said once where both are on the same. */
export function spanText(from: string, until: string): string {
  const [a, b] = [timeText(from), timeText(until)];
  return a.slice(0, 10) === b.slice(0, 10) ? `${a} – ${b.slice(11)}` : `${a} – ${b}`;
}

/** Seconds as minutes, or hours and minutes. */
export function minutesText(seconds: number): string {
  if (seconds > 0 && seconds < 60) return t("underMinute");
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? t("nMinutes", minutes) : t("hoursMinutes", Math.floor(minutes / 60), two(minutes % 60));
}

/** This many hours from now, at the full quarter of an hour. */
export function hoursAhead(hours: number): Date {
  const quarter = 15 * 60_000;
  return new Date(Math.ceil((Date.now() + hours * 3_600_000) / quarter) * quarter);
}
