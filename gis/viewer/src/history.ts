/** One feature through time: what changed from version to version, when, and by which batch. */

import type { Version } from "./api.ts";
import { attributeRows, type AttributeRow, type LayerEntry } from "./catalog.ts";
import { h } from "./dom.ts";
import { language, t } from "./text.ts";
import { timeText } from "./times.ts";

export interface Change {
  title: string;
  before: string;
  after: string;
}

/** A version as its reader sees it: `changes` against the version before; null for the first that is known. */
export interface Step {
  version: Version;
  changes: Change[] | null;
  moved: boolean;
}

/** Versions, newest first, each with what it changed of the one before; texts are those of the layer's fields. */
export function stepsOf(layer: LayerEntry | undefined, versions: Version[]): Step[] {
  return versions.map((version, i) => {
    const before = versions[i + 1];
    if (!before) return { version, changes: null, moved: false };
    return { version, changes: differences(rowsOf(layer, before), rowsOf(layer, version)), moved: JSON.stringify(before.geometry) !== JSON.stringify(version.geometry) };
  });
}

function rowsOf(layer: LayerEntry | undefined, version: Version): Map<string, AttributeRow> {
  return new Map(attributeRows(layer, version.properties).map((row) => [row.name, row]));
}

function differences(before: Map<string, AttributeRow>, after: Map<string, AttributeRow>): Change[] {
  const names = [...new Set([...after.keys(), ...before.keys()])];
  return names
    .map((name) => ({ title: (after.get(name) ?? before.get(name))!.title, before: before.get(name)?.text ?? "", after: after.get(name)?.text ?? "" }))
    .filter((change) => change.before !== change.after);
}

const KINDS: Record<string, "historyLoad" | "historyRollback" | "historyEdit"> = { load: "historyLoad", rollback: "historyRollback", edit: "historyEdit" };

function batchText({ recorded: { by } }: Version): string {
  if (!by) return "";
  const kind = KINDS[by.kind];
  return [t("historyBatch", by.batch), kind ? t(kind) : by.kind, by.source, by.operator].filter(Boolean).join(" · ");
}

/** The versions as a list, newest first; a text where they could not be read. */
export function historyBlock(layer: LayerEntry | undefined, versions: Version[] | string): HTMLElement {
  const head = h("h3", {}, t("history"));
  if (typeof versions === "string") return h("section", { class: "history" }, head, h("p", { class: "muted" }, versions));
  const rows = stepsOf(layer, versions).map((step) => {
    const { from, to } = step.version.recorded;
    const said = [
      step.changes === null && h("li", {}, t("historyFirst")),
      step.moved && h("li", {}, t("historyMoved")),
      ...(step.changes ?? []).map(({ title, before, after }) =>
        h("li", {}, `${title}${language() === "zh" ? "：" : ": "}`, h("del", {}, before || t("historyEmpty")), " → ", h("ins", {}, after || t("historyEmpty"))),
      ),
      step.changes?.length === 0 && !step.moved && h("li", {}, t("historySame")),
    ];
    return h("li", {}, h("strong", {}, `${timeText(from)} – ${to ? timeText(to) : t("historyNow")}`), h("small", {}, batchText(step.version)), h("ul", {}, ...said));
  });
  return h("section", { class: "history" }, head, h("ol", {}, ...rows));
}
