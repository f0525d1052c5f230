/** The program `bitnet`. It ends by itself: nothing is left running when the exit code is known. */
import { processTerminal } from "./output.ts";
import { main } from "./program.ts";

process.exitCode = await main(process.argv.slice(2), processTerminal());
