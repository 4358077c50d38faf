// Runs the cases of the official JavaScript clients and prints one line of JSON for each:
// {"client", "name", "column", "verdict": "passed" | "failed" | "n/a", "detail"}.
//
//     run.mjs PLACES_FILE [TEXT ...]     only cases whose `client name column` holds one of the texts
//
// It starts nothing: where gateway and simulators are is in the file, as the Python half of the run writes it.

import { readFile } from "node:fs/promises";

import { Target, cases } from "./harness.mjs";

// Importing them declares their cases.
import "./openai.mjs";
import "./responses.mjs";
import "./anthropic.mjs";
import "./google.mjs";
import "./vercel.mjs";
import "./relayed.mjs";
import "./batches.mjs";

// Clients wait far more than they compute.
const WORKERS = 8;

function tell(job, verdict, detail = "") {
  const { client, name } = job.case;
  process.stdout.write(`${JSON.stringify({ client, name, column: job.target.column, verdict, detail })}\n`);
}

function described(error) {
  const own = String(error?.stack)
    .split("\n")
    .map((line) => line.match(/([a-z]+\.mjs:\d+):\d+\)?$/)?.[1])
    .find((place) => place && !/^(harness|run)/.test(place));
  const words = [error?.constructor?.name, error?.message].join(": ").replaceAll(/\s+/g, " ");
  return `${own ?? "?"}: ${words.slice(0, 1500)}`;
}

async function run(job) {
  try {
    await job.case.run(job.target);
    tell(job, "passed");
  } catch (error) {
    tell(job, "failed", described(error));
  }
}

const [path, ...only] = process.argv.slice(2);
const place = JSON.parse(await readFile(path, "utf8"));
const jobs = [];
for (const item of cases) {
  const own = place.targets.find((facts) => facts.provider === item.dialect);
  const targets = [new Target(place, own, true), ...place.targets.map((facts) => new Target(place, facts, false))];
  for (const target of targets) {
    const label = `${item.client} ${item.name} ${target.column}`;
    if (only.length && !only.some((text) => label.includes(text))) continue;
    const job = { case: item, target };
    const reason = item.notApplicable[target.column];
    if (reason) tell(job, "n/a", reason);
    else jobs.push(job);
  }
}
// Names of deprecated models are used on purpose: they differ in what they support.
console.warn = () => {};
// What a client throws in the background must not end the run, and is not silent either.
process.on("unhandledRejection", (error) => console.error("unhandled:", described(error)));
// Those that measure time run last and alone.
const alone = jobs.filter((job) => job.case.name === "disconnect");
const queue = jobs.filter((job) => job.case.name !== "disconnect");
await Promise.all(
  Array.from({ length: WORKERS }, async () => {
    for (let job = queue.shift(); job; job = queue.shift()) await run(job);
  }),
);
for (const job of alone) await run(job);
process.exit(0);
