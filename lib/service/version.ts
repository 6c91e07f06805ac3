import config from "../../deno.json" with { type: "json" };

/** The version of Solo, from the one place that states it. */
export const VERSION: string = config.version;
