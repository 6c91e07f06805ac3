/** What Prometheus would make of texts of ours: the samples of `/metrics`, and what a query asks for. */

import { parser } from "@prometheus-io/lezer-promql";

/** The labels of every sample, by metric. */
export type Samples = Map<string, Record<string, string>[]>;

/** Labels that no process knows: Prometheus adds them when it scrapes one. */
const ADDED_LABELS = ["job", "instance"];

/** Reads answers of `/metrics`, several as one. */
export function samplesOf(...texts: string[]): Samples {
  const samples: Samples = new Map();
  for (const line of texts.join("\n").split("\n")) {
    const [, name, labels = ""] = /^([a-z]\w*)(?:\{(.*)\})? \S+$/i.exec(line) ?? [];
    if (name === undefined) continue;
    const pairs = labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g).map(([, label, value]) => [label, value]);
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name)!.push(Object.fromEntries(pairs));
  }
  return samples;
}

/**
 * What a query in PromQL, by the grammar of Prometheus itself, asks for that is not there: metrics, labels of them, and
 * values of labels.
 *
 * @throws {SyntaxError} where it is no query.
 */
export function missingFrom(samples: Samples, query: string): string[] {
  const missing: string[] = [];
  const text = (node: { from: number; to: number }) => query.slice(node.from, node.to);
  const tree = parser.parse(query);
  tree.iterate({
    enter: (node) => {
      if (node.type.isError) throw new SyntaxError(`Cannot read "${query}" at ${node.from}`);
    },
  });
  const known = (labels: string[], label: string) => ADDED_LABELS.includes(label) || labels.includes(label);
  let labelsOfAll: string[] = [];
  const grouped: string[] = [];
  tree.iterate({
    enter: ({ name, node }) => {
      if (name === "GroupingLabels") grouped.push(...node.getChildren("LabelName").map(text));
      if (name !== "VectorSelector") return;
      const metric = text(node.getChild("Identifier")!);
      const found = samples.get(metric) ?? [];
      if (found.length === 0) missing.push(metric);
      const labels = found.flatMap(Object.keys);
      labelsOfAll = labelsOfAll.concat(labels);
      for (const matcher of node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? []) {
        const label = text(matcher.getChild("LabelName")!);
        const value = text(matcher.getChild("StringLiteral")!).slice(1, -1);
        if (!known(labels, label)) missing.push(`${metric}{${label}}`);
        else if (
          text(matcher.getChild("MatchOp")!) === "=" && !found.some((sample) => sample[label] === value)
        ) {
          missing.push(`${metric}{${label}="${value}"}`);
        }
      }
    },
  });
  for (const label of grouped) if (!known(labelsOfAll, label)) missing.push(`by (${label})`);
  return missing;
}
