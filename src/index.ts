/** The public API. Everything else may change without notice. */
export type { ByteSource } from "./bytes/byte-source.ts";
export type { ChatMessage, ToolDefinition } from "./chat/messages.ts";
export { type ChatTemplateInput, renderChatTemplate } from "./chat/template.ts";
export type { Chat, ChatOptions } from "./engine/chat.ts";
export type { GenerateOptions } from "./engine/generate-options.ts";
export type { Generation, GenerationResult, Piece } from "./engine/generation.ts";
export type { ModelInfo, ModelPlan } from "./engine/info.ts";
export { type Inspection, inspect, openTokenizer } from "./engine/inspect.ts";
export { type LoadOptions, loadModel, type Model } from "./engine/model.ts";
export type { FinishReason, LoadProgress } from "./engine/protocol.ts";
export type { PrefillOptions, Session } from "./engine/session.ts";
export type { ModelSource } from "./engine/source.ts";
export {
  BackendError,
  ConfigError,
  ContextOverflowError,
  GgufError,
  GrammarError,
  LmError,
  NetworkError,
  TemplateError,
  UnsupportedError,
} from "./errors.ts";
export type { SamplingOptions } from "./sampling/options.ts";
export type { Tokenizer } from "./tokenizer/tokenizer.ts";
