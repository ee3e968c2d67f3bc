/** Lists as files that a spreadsheet opens rightly. */

/** One cell of CSV: quoted where needed; what a spreadsheet would run as a formula, or round as a number, is made a text. */
export function cell(value: unknown): string {
  let text = value === null || value === undefined ? "" : String(value);
  if (/^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text)) text = `'${text}`;
  // A tab before the digits of a long code: a spreadsheet keeps 15 of them and drops the rest.
  if (/^\d{16,}$/.test(text)) text = `\t${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** CSV with a byte order mark: without it Excel reads Chinese as the machine's own code page. */
export function csv(rows: unknown[][]): string {
  return "\ufeff" + rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** Hand the reader this text, or these bytes, as a file. */
export function download(name: string, content: string | Uint8Array, type = "text/csv;charset=utf-8"): void {
  const url = URL.createObjectURL(new Blob([content as BlobPart], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
