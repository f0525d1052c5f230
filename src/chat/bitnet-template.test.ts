import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../tests/support/shared.ts";
import { BITNET_CHAT_TEMPLATE, effectiveChatTemplate } from "./bitnet-template.ts";
import { renderChatTemplate } from "./template.ts";

const placeholder =
  "{% for message in messages %}{% if message['role'] == 'user' %}" +
  "{{ 'Human: ' + message['content'] + '\\n\\nBITNETAssistant: ' + eos_token }}{% endif %}{% endfor %}";

describe("effectiveChatTemplate", () => {
  it.each(["bitnet", "bitnet-b1.58", "bitnet-25"])("replaces the placeholder under %s and says so", (architecture) => {
    const { template, warning } = effectiveChatTemplate({ architecture, template: placeholder });
    expect(template).toBe(BITNET_CHAT_TEMPLATE);
    expect(warning).toMatch(/placeholder/);
  });
  it("leaves every other template alone", () => {
    expect(effectiveChatTemplate({ architecture: "llama", template: placeholder })).toEqual({ template: placeholder });
    expect(effectiveChatTemplate({ architecture: "bitnet", template: "{{ x }}" })).toEqual({ template: "{{ x }}" });
    expect(effectiveChatTemplate({ architecture: "bitnet", template: null })).toEqual({ template: null });
  });
});

describe("BITNET_CHAT_TEMPLATE", () => {
  it("writes turns without a BOS, trimmed, and opens the assistant's", () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "  Hi\n" },
      { role: "assistant", content: "Hello" },
      { role: "user", content: "<b>{{ x }}</b>" },
    ];
    const turns = "System: Be brief.<|eot_id|>User: Hi<|eot_id|>Assistant: Hello<|eot_id|>User: <b>{{ x }}</b><|eot_id|>";
    const input = { messages, bosToken: "<|begin_of_text|>", eosToken: "<|eot_id|>" };
    expect(renderChatTemplate(BITNET_CHAT_TEMPLATE, input)).toBe(turns);
    expect(renderChatTemplate(BITNET_CHAT_TEMPLATE, { ...input, addGenerationPrompt: true })).toBe(`${turns}Assistant: `);
  });
});

describe.skipIf(!hasShared)("BitNet's templates (skipped: the full sets are not beside this checkout)", () => {
  it("the official file's placeholder is recognised, and ours renders as the model card's", () => {
    const official = readFileSync(sharedPath("templates/bitnet-gguf-placeholder.jinja"), "utf8");
    expect(effectiveChatTemplate({ architecture: "bitnet-b1.58", template: official }).template).toBe(BITNET_CHAT_TEMPLATE);
    const reference = JSON.parse(readFileSync(sharedPath("templates/bitnet-b1.58-2b-4t.json"), "utf8"));
    expect(reference.cases.length).toBeGreaterThan(10);
    for (const { name, messages, add_generation_prompt: addGenerationPrompt, expected } of reference.cases) {
      expect(renderChatTemplate(BITNET_CHAT_TEMPLATE, { messages, addGenerationPrompt }), name).toBe(expected);
    }
  });
});
