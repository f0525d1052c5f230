// npm scripts run on the Node of the devDependency `node`. Without its install script they would silently run on the system's Node.
const [major] = process.versions.node.split(".").map(Number);
if (major < 24) {
  console.error(
    `bitnet-wasm: scripts need Node 24, this is ${process.versions.node}. The devDependency "node" brings it: run "npm ci" without --ignore-scripts.`,
  );
  process.exit(1);
}
