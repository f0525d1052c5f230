/** Starts and stops a server on 127.0.0.1 for one test file. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** Listens on a free port; the origin. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}
