/**
 * The chat template of BitNet b1.58 2B4T. The official GGUF does not carry it: its converter writes a placeholder
 * (microsoft/BitNet, utils/convert-ms-to-gguf-bitnet.py at 16da220ae2b510caff437d403288882687f44ae5) with which the model babbles
 * on without end. The model was trained on "{Role}: {content}<|eot_id|>" turns, as in the model card of
 * microsoft/bitnet-b1.58-2B-4T; the one BOS in front is the tokenizer's.
 */

/** What the model was trained on. */
export const BITNET_CHAT_TEMPLATE =
  "{% for message in messages %}{{ message['role'] | capitalize }}: {{ message['content'] | trim }}<|eot_id|>{% endfor %}" +
  "{% if add_generation_prompt %}Assistant: {% endif %}";

/** In no other template: the placeholder's text for the assistant's turn. */
const PLACEHOLDER_MARK = "BITNETAssistant";

/** The template to render with: the file's own, save for BitNet's placeholder. `warning` says what was replaced. */
export function effectiveChatTemplate(model: { readonly architecture: string; readonly template: string | null }): {
  template: string | null;
  warning?: string;
} {
  const { architecture, template } = model;
  if (template === null || !architecture.startsWith("bitnet") || !template.includes(PLACEHOLDER_MARK)) return { template };
  return {
    template: BITNET_CHAT_TEMPLATE,
    warning:
      "chat template: the file carries the placeholder of BitNet's converter, not the format that the model was trained on; " +
      "the model card's template is used in its place",
  };
}
