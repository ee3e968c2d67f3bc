/** One question at a time: what is asked, what came of it, and that a later question makes an earlier one void. */

import { logInAgain, RequestError } from "./api.ts";
import { strip, working } from "./blocks.ts";
import { button, type Child } from "./dom.ts";
import { t } from "./text.ts";

/** Asks and keeps the answer. `changed` is called when there is something new to show, `again` when the reader wants it asked once more. */
export class Asking<T> {
  answer: T | null = null;
  error: RequestError | null = null;
  private pending: AbortController | null = null;

  constructor(
    private readonly changed: () => void,
    private readonly again?: () => void,
  ) {}

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
    if (this.error?.status === 401 && this.again && (await logInAgain())) this.again();
    return this.answer;
  }

  /** Give up what is being asked, and forget what was answered. */
  stop(): void {
    this.pending?.abort();
    this.pending = null;
    this.answer = null;
    this.error = null;
  }

  /** Whether it may work when it is asked again: the server was silent, busy or failed. */
  private get passing(): boolean {
    const status = this.error?.status ?? 200;
    return !!this.again && (status === 0 || status === 429 || status >= 500);
  }

  /** What to show instead of an answer that is not there: that it is being worked out, or what went wrong. */
  waiting(): Child[] {
    if (this.error) return [strip("danger", this.error.message, this.passing && button({ class: "link", "data-key": "again", click: this.again! }, null, t("retry")))];
    return this.busy ? [working()] : [];
  }
}
