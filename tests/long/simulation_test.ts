/** Simulated clusters, in more schedules than are tried with every change. */

import { testSchedules } from "../simulation/schedules.ts";

testSchedules(["default", "operator"], { from: 61, to: 300 });
testSchedules(["default", "clock", "operator"], { from: 21, to: 100 });
