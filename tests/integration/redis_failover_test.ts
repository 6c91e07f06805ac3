/** A service whose Redis fails over: with Sentinels and replicas, and with a Redis Cluster, all of them real. */

import { isServed, Service } from "../support/failover.ts";
import { RedisCluster } from "../support/redis_cluster.ts";
import { Sentinels } from "../support/sentinels.ts";

Deno.test("RedisRegistry, Sentinel: a primary that stood still while another took its place is left", async () => {
  await using sentinels = await Sentinels.start();
  await using service = await Service.start(sentinels.url);
  const { primary } = sentinels;
  primary.freeze();
  const next = await sentinels.failover(primary);
  primary.thaw();
  await isServed(next);
  await service.goesOn();
});

Deno.test("RedisRegistry, Sentinel: with a Sentinel that stands still and one that is dead a service starts", async () => {
  await using sentinels = await Sentinels.start();
  sentinels.sentinels[0]!.kill("SIGSTOP");
  sentinels.sentinels[1]!.kill("SIGKILL");
  await using service = await Service.start(sentinels.url);
  await service.goesOn();
});

Deno.test("RedisRegistry, Cluster: a failover by force closes nobody", async () => {
  await using cluster = await RedisCluster.start();
  await using service = await Service.start(cluster.url);
  await cluster.force();
  await isServed(await cluster.current());
  await service.goesOn();
});
