/** A tab that was out of sight for a while. */

/** Call `back` when the page is seen again after more than so many minutes. */
export function whenBack(minutes: number, back: () => void): void {
  let left = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) left = Date.now();
    else if (left && Date.now() - left > minutes * 60_000) back();
  });
}
