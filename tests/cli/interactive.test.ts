/** Ctrl-C, broken pipes, conversations: what needs a process or a terminal. */
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import { call, editedStories, MAIN, memoryTerminal, start, temporaryFolder, withKey } from "./support.ts";

const folder = temporaryFolder();
let chatModel: string;
beforeAll(async () => {
  const template = "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %} {% else %}\n{% endif %}{% endfor %}";
  chatModel = folder.write("chat.gguf", await editedStories({ entries: withKey("tokenizer.chat_template", template) }));
});
afterAll(() => folder.dispose());

/** Goes on for minutes unless it is stopped. */
const ENDLESS = ["-n", "1000000", "-c", "100000", "--ignore-eos", "--temp", "0"];

describe("Ctrl-C", () => {
  test("stops run within a token: text, statistics, 130; nothing hangs", async () => {
    const running = start(["run", "-p", "Once upon a time", ...ENDLESS], { stdin: "" });
    expect(await running.firstOutput).toBe(true);
    running.kill("SIGINT");
    const { code, stdout, stderr } = await running.outcome;
    expect(code).toBe(130);
    expect(stdout).toMatch(/^Once upon a time, there/);
    expect(stderr).toMatch(/end: interrupted \(abort\)/);
  });

  test("leaves one JSON object with what there is", async () => {
    const terminal = memoryTerminal();
    const done = main(["run", "-p", "Once upon a time", "--json", ...ENDLESS], terminal);
    // nothing is printed before the end: long enough for a loaded machine to be in the middle of it
    setTimeout(() => terminal.interrupt(), 4000);
    expect(await done).toBe(130);
    const report = JSON.parse(terminal.out()) as { finishReason: string; tokens: number[] };
    expect(report.finishReason).toBe("abort");
    expect(terminal.exits).toEqual([]);
  });

  test("a second one ends at once", async () => {
    const terminal = memoryTerminal(undefined, () => {
      terminal.interrupt();
      terminal.interrupt();
    });
    expect(await main(["run", "-p", "Once upon a time", ...ENDLESS], terminal)).toBe(130);
    expect(terminal.exits[0]).toBe(130);
  });

  test("before the model is loaded ends quietly", async () => {
    const terminal = memoryTerminal();
    const done = main(["run", "-p", "x"], terminal);
    setTimeout(() => terminal.interrupt(), 20);
    expect(await done).toBe(130);
    expect(terminal.err()).not.toMatch(/bitnet: /);
  });
});

test("a reader that goes away ends the program quietly", async () => {
  const running = start(["run", "-p", "Once upon a time", ...ENDLESS], { stdin: "" });
  await running.firstOutput;
  running.closeStdout();
  const { code, stderr } = await running.outcome;
  expect(code).toBe(0);
  expect(stderr.replace(/^warning: .*\n/gm, "")).toBe("");
});

test.skipIf(process.platform !== "linux")("output that cannot be written is one line and exit code 1", async () => {
  const command = ["/bin/sh", "-c", '"$0" "$@" > /dev/full', process.execPath, MAIN];
  const { code, stderr } = await start(["run", "-p", "Once", "-n", "2"], { stdin: "", command }).outcome;
  expect(code).toBe(1);
  expect(stderr).toMatch(/^bitnet: the output cannot be written: ENOSPC[^\n]*\n$/);
});

describe("chat without a terminal", () => {
  const greedy = ["-n", "12", "--temp", "0"];

  test("each line is a turn that builds on the ones before", async () => {
    const twoTurns = await call(["chat", chatModel, ...greedy], "Once upon a time\n\nThe next day\n");
    expect(twoTurns.code, twoTurns.stderr).toBe(0);
    const [first, second] = twoTurns.stdout.split("\n");
    expect(first).not.toBe("");
    expect(second).not.toBe("");
    const afterReset = await call(["chat", chatModel, ...greedy], "Once upon a time\n/reset\nThe next day\n");
    const alone = await call(["chat", chatModel, ...greedy], "The next day");
    expect(afterReset.stdout).toBe(`${first}\n${alone.stdout}`);
    expect(afterReset.stdout).not.toBe(twoTurns.stdout);
  });

  test("/exit ends before the rest, --system comes first", async () => {
    const outcome = await call(["chat", chatModel, ...greedy], "Once upon a time\n/exit\nThe next day\n");
    expect(outcome.stdout.trimEnd().split("\n")).toHaveLength(1);
    const told = await call(["chat", chatModel, ...greedy, "--system", "Lily was a girl."], "Once upon a time\n");
    expect(told.stdout).not.toBe(outcome.stdout);
  });

  test("a turn that does not fit is one line; the conversation goes on, the exit code is 1", async () => {
    const outcome = await call(["chat", chatModel, "-c", "64", ...greedy], `${"word ".repeat(100)}\nThe dog\n`);
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/^bitnet: .*64.*larger -c\)\n$/);
    expect(outcome.stdout).not.toBe("");
  });

  test("Ctrl-C stops the answer, prints its statistics and ends with 130", async () => {
    const terminal = memoryTerminal(new PassThrough(), () => terminal.interrupt());
    (terminal.stdin as PassThrough).write("Once upon a time\n");
    expect(await main(["chat", chatModel, "-c", "100000", "--ignore-eos"], terminal)).toBe(130);
    expect(terminal.err()).toContain("(abort)");
  });

  test("a process ends by itself when its input does", async () => {
    const { code, stdout } = await start(["chat", chatModel, ...greedy], { stdin: "Once upon a time\n" }).outcome;
    expect(code).toBe(0);
    expect(stdout).not.toBe("");
  });
});
