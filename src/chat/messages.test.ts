import { describe, expect, it } from "vitest";
import { ConfigError } from "../errors.ts";
import { validateMessages, validateTools } from "./messages.ts";

describe("validateMessages", () => {
  it.each<[string, unknown]>([
    ["text", [{ role: "user", content: "Hi" }]],
    ["empty text", [{ role: "user", content: "" }]],
    ["any role", [{ role: "ipython", content: "1" }]],
    ["parts", [{ role: "user", content: [{ type: "text", text: "Hi" }, { type: "image" }] }]],
    ["null beside tool calls", [{ role: "assistant", content: null, tool_calls: [{ function: { name: "f", arguments: {} } }] }]],
    ["nothing beside tool calls", [{ role: "assistant", tool_calls: [{ function: { name: "f", arguments: "{}" } }] }]],
  ])("takes %s", (_, messages) => {
    expect(() => validateMessages(messages)).not.toThrow();
  });

  it.each<[unknown, string]>([
    [undefined, "chat: messages is missing"],
    ["Hi", "chat: messages is 'Hi'; must be an array"],
    [[], "chat: messages is an empty array; must be at least one message"],
    [["Hi"], "chat: messages[0] is 'Hi'; must be an object"],
    [[{ content: "Hi" }], "chat: messages[0].role is missing"],
    [[{ role: 1, content: "Hi" }], "chat: messages[0].role is 1"],
    [[{ role: "", content: "Hi" }], "chat: messages[0].role is ''"],
    [[{ role: "user", content: "a" }, { role: "user" }], "chat: messages[1].content is missing"],
    [[{ role: "user", content: null }], "chat: messages[0].content is null"],
    [[{ role: "assistant", content: null, tool_calls: [] }], "chat: messages[0].content is null"],
    [[{ role: "user", content: 5 }], "chat: messages[0].content is 5"],
    [[{ role: "user", content: ["Hi"] }], "chat: messages[0].content[0] is 'Hi'"],
    [[{ role: "user", content: [{ type: "text" }] }], "chat: messages[0].content[0] is an object"],
  ])("refuses %j", (messages, start) => {
    let error: unknown;
    try {
      validateMessages(messages);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).code).toBe("invalid-messages");
    expect((error as ConfigError).message.startsWith(start), (error as ConfigError).message).toBe(true);
  });
});

describe("validateTools", () => {
  it("takes none and functions", () => {
    for (const tools of [undefined, null, [], [{ type: "function", function: { name: "f", parameters: {} } }]]) {
      expect(() => validateTools(tools)).not.toThrow();
    }
  });
  it.each([
    ["f"],
    [{}],
    [[null]],
    [[{ type: "function" }]],
    [[{ function: { name: "f" } }]],
    [[{ type: "function", function: {} }]],
  ])("refuses %j", (tools) => {
    expect(() => validateTools(tools)).toThrow(ConfigError);
  });
});
