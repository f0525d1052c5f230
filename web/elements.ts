/** The elements of index.html by id, checked once. */

function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`index.html has no ${type.name} with the id '${id}'`);
}

export const elements = {
  modelName: byId("model-name", HTMLElement),
  modelFacts: byId("model-facts", HTMLElement),
  file: byId("file", HTMLInputElement),
  loading: byId("loading", HTMLElement),
  progress: byId("progress", HTMLProgressElement),
  progressLabel: byId("progress-label", HTMLElement),
  error: byId("error", HTMLElement),
  errorMessage: byId("error-message", HTMLElement),
  errorHint: byId("error-hint", HTMLElement),
  form: byId("form", HTMLFormElement),
  prompt: byId("prompt", HTMLTextAreaElement),
  temperature: byId("temperature", HTMLInputElement),
  temperatureValue: byId("temperature-value", HTMLElement),
  maxTokens: byId("max-tokens", HTMLInputElement),
  stop: byId("stop", HTMLButtonElement),
  generate: byId("generate", HTMLButtonElement),
  result: byId("result", HTMLElement),
  said: byId("said", HTMLElement),
  text: byId("text", HTMLElement),
  statistics: byId("statistics", HTMLElement),
};
