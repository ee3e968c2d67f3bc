/** One question at a time: what is asked, what came of it, and that a later question makes an earlier one void. */

import { RequestError } from "./api.ts";
import { strip, working } from "./blocks.ts";
import type { Child } from "./dom.ts";

/** Asks and keeps the answer. `changed` is called when there is something new to show. */
export class Asking<T> {
  answer: T | null = null;
  error: RequestError | null = null;
  private pending: AbortController | null = null;

  constructor(private readonly changed: () => void) {}

  get busy(): boolean {
    return this.pending !== null;
  }

  /** The answer, or null where it failed (see `error`) or another question came in between. The old answer is dropped. */
  async ask(question: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
    this.stop();
    const request = (this.pending = new AbortController());
    this.changed();
    try {
      const answer = await question(request.signal);
      if (this.pending !== request) return null;
      this.answer = answer;
    } catch (error) {
      if (this.pending !== request) return null;
      this.error = error instanceof RequestError ? error : new RequestError(0, "Unknown", String(error));
    }
    this.pending = null;
    this.changed();
    return this.answer;
  }

  /** Give up what is being asked, and forget what was answered. */
  stop(): void {
    this.pending?.abort();
    this.pending = null;
    this.answer = null;
    this.error = null;
  }

  /** What to show instead of an answer that is not there: that it is being worked out, or what went wrong. */
  waiting(): Child[] {
    if (this.error) return [strip("danger", this.error.message)];
    return this.busy ? [working()] : [];
  }
}
