// Calls a resource as many callers until standard input ends, then five times more as each, and
// prints the outcomes. Arguments: the service's URL, the resource's, the number of callers, and
// the file of the package, which this file is not beside.
const [url, resource, callers, file] = process.argv.slice(2);
const { createClient } = await import(file);

const call = createClient({ url }).fetch("creative-force");
const outcomes = [];
let ended = false;
process.stdin.resume().on("end", () => (ended = true));

async function once() {
  try {
    const response = await call(resource);
    await response.arrayBuffer();
    outcomes.push(response.status);
  } catch (error) {
    outcomes.push(error.name);
  }
}

async function repeat() {
  while (!ended) await once();
  for (let i = 0; i < 5; i++) await once();
}

const all = Array.from({ length: Number(callers) });
await Promise.all(all.map(once));
console.log("started");
await Promise.all(all.map(repeat));
console.log(`${outcomes.filter((outcome) => outcome === 200).length} [${outcomes.filter((outcome) => outcome !== 200)}]`);
