/** Long work: queued as a job of the OGC API, looked after until it is done, given up when the reader says so. */

import { request, RequestError } from "./api.ts";
import { t } from "./text.ts";

export interface JobState {
  status: "accepted" | "running" | "successful" | "failed" | "dismissed";
  /** Percent. */
  progress: number;
  message: string;
}

const FIRST_MS = 250;
const SLOWEST_MS = 3000;
const QUIET_MS = 8000;

/** Run a process as a job; `told` hears of its state when that changes (what is drawn anew under a hand is not clicked), after a while each
    time. Aborting `signal` dismisses the job. Throws RequestError. */
export async function runJob<T>(process: string, inputs: object, told: (state: JobState) => void, signal: AbortSignal): Promise<T> {
  const { jobID } = await request<{ jobID: string }>(`processes/${process}/execution`, { body: { inputs }, prefer: "respond-async", signal });
  const path = `jobs/${encodeURIComponent(jobID)}`;
  const begun = Date.now();
  let last = "";
  try {
    for (let wait = FIRST_MS; ; wait = Math.min(wait * 1.4, SLOWEST_MS)) {
      await pause(wait, signal);
      const state = await request<JobState>(`${path}?f=json`, { signal, seconds: 20 });
      const now = `${state.status} ${Math.round(state.progress)}`;
      if (now !== last || Date.now() - begun > QUIET_MS) told(state);
      last = now;
      if (state.status === "successful") return await request<T>(`${path}/results?f=json`, { signal });
      if (state.status === "failed" || state.status === "dismissed") throw new RequestError(400, "JobFailed", t("jobFailed", state.message ?? ""));
    }
  } catch (error) {
    // Nobody waits for it any more: the worker is free for others. It may have ended meanwhile, which is as good.
    if (signal.aborted) await request(path, { method: "DELETE", seconds: 20 }).catch(() => undefined);
    throw error;
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const clock = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(clock);
      reject(signal.reason);
    });
  });
}
