/** The tools as the map knows them: some wait for clicks, some open a page at once. */

import type { TextKey } from "./text.ts";

/** A tool that the reader starts with a button. */
export interface Tool {
  readonly id: string;
  readonly title: TextKey;
  /** A word for narrow screens. */
  readonly short: TextKey;
  readonly icon: string;
  /** Layers of which the caller must see one; a visitor who does not is asked to log in. */
  readonly layers: string[];
  /** The process without which the tool is of no use: who may not run it does not see the tool. Absent: everybody sees it. */
  readonly process?: string;
  loginReason(): string;
  /** What to click; absent where the tool needs no click. */
  prompt?(): { text: string; hint: string };
  /** The reader clicked; true when the tool has what it wants and stops waiting. */
  click?(point: { x: number; y: number }, at: [number, number]): boolean;
  /** The reader clicked on something of the answer that is drawn; true when the tool shows it. */
  pickedSymbol?(properties: Record<string, unknown>): boolean;
  /** The reader starts it: make ready for the first click, or open the page. */
  begin?(): void;
  /** Open again what an address names (see place.ts). */
  restore?(words: string[], stuck: string[]): void;
  /** The states of valves changed. */
  valvesChanged?(): void;
}
