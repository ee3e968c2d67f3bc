/** How far a job is, with a way to give it up. */

import { button, h } from "./dom.ts";
import type { JobState } from "./jobs.ts";
import { t } from "./text.ts";

const QUEUED_LONG_MS = 8000;

/** `begun`: when it was asked, milliseconds. A job that nobody takes up is said to wait for a worker. */
export function progress(state: JobState | null, begun: number, giveUp: () => void): HTMLElement {
  const running = state?.status === "running";
  const stands = !running && Date.now() - begun > QUEUED_LONG_MS;
  const bar = h("progress", { max: 100, "aria-label": t("computing"), ...(running ? { value: state.progress } : {}) });
  return h(
    "div",
    { class: "job", role: "status" },
    h("div", {}, running ? t("jobRunning", Math.round(state.progress)) : t("jobQueued")),
    bar,
    stands && h("p", { class: "muted small" }, t("jobNobody")),
    button({ "data-key": "give-up", click: giveUp }, "close", t("giveUp")),
  );
}
