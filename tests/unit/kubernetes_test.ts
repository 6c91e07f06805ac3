/** The manifest for Kubernetes, by the schemas of its API and by what its parts say of each other. */

import assert from "node:assert/strict";
import { validate as validateDeployment } from "kubernetes-models/_schemas/IoK8sApiAppsV1Deployment";
import { validate as validateService } from "kubernetes-models/_schemas/IoK8sApiCoreV1Service";
import { validate as validateBudget } from "kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget";
import type { IDeployment } from "kubernetes-models/apps/v1/Deployment";
import type { IPodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import type { IService } from "kubernetes-models/v1/Service";
import { parseAllDocuments } from "yaml";
import config from "../../deno.json" with { type: "json" };
import { runProgram } from "../support/program.ts";

const MANIFEST = new URL("../../docs/kubernetes.yaml", import.meta.url);

/** How long `ws-server` takes to stop, at most, unless a flag says otherwise. */
const SHUTDOWN_TIMEOUT_S = 30;

/** What the API says of each kind: a validator, which is code that was made of a schema. */
type Validator = { (data: unknown): boolean; errors?: { instancePath: string; params: object }[] | null };

const VALIDATORS: Record<string, unknown> = {
  "apps/v1 Deployment": validateDeployment,
  "policy/v1 PodDisruptionBudget": validateBudget,
  "v1 Service": validateService,
};

/**
 * Fields that no schema knows. The schemas of Kubernetes let such fields pass, and a cluster drops them in silence: here
 * they are those that a validator has never looked at.
 */
function unknownFields(data: unknown, validate: (data: unknown) => void): string[] {
  const unread = new Set<string>();
  const watch = (value: unknown, path: string): unknown => {
    if (typeof value !== "object" || value === null) return value;
    const known = new Map<string, unknown>();
    for (const [key, child] of Object.entries(value)) {
      const childPath = `${path}/${key}`;
      unread.add(childPath);
      known.set(key, watch(child, childPath));
    }
    return new Proxy(value, {
      get(target, key) {
        if (typeof key !== "string" || !known.has(key)) return Reflect.get(target, key);
        unread.delete(`${path}/${key}`);
        return known.get(key);
      },
    });
  };
  validate(watch(data, ""));
  return [...unread];
}

/** @throws {Error} where a cluster would not take all of it. */
function validate(data: { apiVersion: string; kind: string }): void {
  const validator = VALIDATORS[`${data.apiVersion} ${data.kind}`] as Validator;
  const unknown = unknownFields(data, (watched) => {
    const errors = validator(watched) ? [] : validator.errors ?? [];
    assert.deepEqual(errors.map(({ instancePath, params }) => ({ instancePath, ...params })), []);
  });
  assert.deepEqual(unknown, [], "fields that are not known");
}

function read() {
  const documents = parseAllDocuments(Deno.readTextFileSync(MANIFEST));
  for (const document of documents) assert.deepEqual(document.errors, []);
  const objects = documents.map((document) => document.toJS());
  const of = (kind: string) => objects.find((object) => object.kind === kind);
  return {
    objects,
    deployment: of("Deployment") as IDeployment,
    budget: of("PodDisruptionBudget") as IPodDisruptionBudget,
    service: of("Service") as IService,
  };
}

Deno.test("docs/kubernetes.yaml: is what the API of Kubernetes takes, to the last field", () => {
  const { objects } = read();
  assert.deepEqual(objects.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`), Object.keys(VALIDATORS));
  for (const object of objects) validate(object);
});

Deno.test("docs/kubernetes.yaml: the check finds a wrong type, a missing field and a misspelt one", () => {
  const damage: [what: string, how: (spec: Record<string, never>) => void, RegExp][] = [
    ["a wrong type", (spec) => spec["replicas"] = "three" as never, /replicas/],
    ["a missing field", (spec) => delete spec["selector"], /selector/],
    ["a misspelt field", (spec) => spec["minReadySecond"] = 1 as never, /spec\/minReadySecond'/],
  ];
  for (const [what, how, message] of damage) {
    const { deployment } = read();
    how(deployment.spec as never);
    assert.throws(() => validate(deployment), message, what);
  }
});

Deno.test("docs/kubernetes.yaml: its parts mean the same pods and ports, and a pod has time to stop", () => {
  const { deployment, budget, service } = read();
  const { selector, template, replicas } = deployment.spec!;
  const pod = template.spec!;
  const [container] = pod.containers;
  for (const labels of [selector.matchLabels, budget.spec!.selector!.matchLabels, service.spec!.selector]) {
    assert.deepEqual(labels, template.metadata!.labels);
  }
  assert.ok((budget.spec!.maxUnavailable as number) < replicas!);
  const ports = container!.ports!.map(({ name }) => name);
  assert.deepEqual(service.spec!.ports!.map(({ targetPort }) => targetPort), ports);
  for (const probe of [container!.readinessProbe, container!.livenessProbe]) {
    assert.ok(ports.includes(probe!.httpGet!.port as string));
  }
  const sleepS = Number(container!.lifecycle!.preStop!.sleep!.seconds);
  assert.ok(pod.terminationGracePeriodSeconds! > sleepS + SHUTDOWN_TIMEOUT_S);
  assert.equal(pod.enableServiceLinks, false);
});

Deno.test("docs/kubernetes.yaml: sets variables that ws-server knows, and a token where it may read and nobody else writes", async () => {
  const { deployment } = read();
  const { volumes, containers: [container] } = deployment.spec!.template.spec!;
  const variables = new Map(container!.env!.map(({ name, value }) => [name, value]));
  const { stdout: help } = await runProgram("ws-server", ["--help"]);
  const known = new Set(help.match(/SOLO_[A-Z_]+/g));
  assert.deepEqual([...variables.keys()].filter((name) => !known.has(name)), [], "no flag reads these");

  const token = variables.get("SOLO_OPERATOR_TOKEN_FILE")!;
  const mount = container!.volumeMounts!.find(({ mountPath }) => token.startsWith(`${mountPath}/`))!;
  assert.ok(mount.readOnly);
  assert.ok(volumes!.find(({ name }) => name === mount.name)!.secret, "it comes from a secret");
  const readable = config.permissions["ws-server"].read;
  assert.ok(readable.some((folder) => token.startsWith(`${folder}/`)), `${token} is in none of ${readable}`);
});
