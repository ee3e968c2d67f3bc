/** The analysis tools as the map knows them: one at a time waits for clicks. */

/** A tool that the reader starts with a button and points at the map with. */
export interface Tool {
  readonly id: "burst" | "closure" | "trace";
  /** Layers of which the caller must see one; a visitor who does not is asked to log in. */
  readonly layers: string[];
  loginReason(): string;
  prompt(): { text: string; hint: string };
  /** The reader clicked; true when the tool has what it wants and stops waiting. */
  click(point: { x: number; y: number }, at: [number, number]): boolean;
  /** The reader starts it: make ready for the first click. */
  begin?(): void;
  clear(): void;
}
