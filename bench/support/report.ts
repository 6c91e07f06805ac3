/** How the results stand on the screen. */

/** Rows of cells below a head, columns aligned: the first to the left, the others to the right. */
export function printTable(head: string[], rows: string[][]): void {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => (row[i] ?? "").length)));
  for (const row of [head, ...rows]) {
    const cells = widths.map((width, i) => {
      const cell = row[i] ?? "";
      return i === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    console.log(`  ${cells.join("   ").trimEnd()}`);
  }
}

/** One line that says whether an aim is met. */
export function printAim(text: string, met: boolean): void {
  console.log(`  ${met ? "met    " : "NOT MET"}  ${text}`);
}

export function printHeading(text: string): void {
  console.log(`\n${text}\n`);
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function times(ratio: number): string {
  return `${ratio.toFixed(2)}×`;
}
