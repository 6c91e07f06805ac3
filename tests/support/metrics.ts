/** What `/metrics` of a `ws-server` says. */

export async function metricsOf(port: number): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
}

/** The value of one metric, with its labels where it has some; NaN where it is not there. */
export async function metricOf(port: number, name: string): Promise<number> {
  const line = (await metricsOf(port)).split("\n").find((line) => line.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}
