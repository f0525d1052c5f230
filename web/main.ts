/**
 * The page: one model, one prompt, one result. Loads the bundled model at once, another one from a chosen or dropped file; the old
 * model goes only when the new one is there, so that a wrong file costs nothing.
 */
import storiesUrl from "../models/stories-4m-i2_s.gguf?url";
import { type Generation, loadModel, type Model, type ModelSource } from "../src/index.ts";
import { elements } from "./elements.ts";
import { errorWords, liveWords, modelFacts, progressWords, resultWords } from "./words.ts";

/** Cuts off what hardly ever fits; small models need it. */
const TOP_K = 40;
/** The numbers change no faster than they can be read. */
const STATISTICS_MS = 250;

let model: Model | null = null;
let loading: AbortController | null = null;
let generation: Generation | null = null;

function showControls(): void {
  elements.generate.disabled = model === null || generation !== null;
  elements.stop.disabled = generation === null;
  elements.loading.hidden = loading === null;
  // what is read out waits for the end
  elements.result.ariaBusy = String(generation !== null);
}

function showError(error: unknown): void {
  const { message, hint } = errorWords(error);
  elements.errorMessage.textContent = message;
  elements.errorHint.textContent = hint;
  elements.error.hidden = false;
}

function hideError(): void {
  elements.error.hidden = true;
}

async function open(source: ModelSource, name: string): Promise<void> {
  loading?.abort();
  const controller = new AbortController();
  loading = controller;
  hideError();
  elements.progress.removeAttribute("value");
  elements.progressLabel.textContent = `Opening ${name}`;
  showControls();
  try {
    const loaded = await loadModel(source, {
      signal: controller.signal,
      onProgress(progress) {
        if (loading !== controller) return;
        elements.progressLabel.textContent = progressWords(name, progress);
        if (progress.phase === "weights") elements.progress.value = progress.loaded / progress.total;
      },
    });
    if (loading !== controller) return await loaded.dispose();
    await use(loaded, name);
  } catch (error) {
    if (loading === controller) showError(error);
  } finally {
    if (loading === controller) loading = null;
    showControls();
  }
}

async function use(loaded: Model, name: string): Promise<void> {
  const old = model;
  generation?.cancel();
  model = loaded;
  elements.modelName.textContent = loaded.info.name ?? name;
  elements.modelFacts.textContent = modelFacts(loaded);
  elements.maxTokens.max = String(loaded.info.nCtx);
  await old?.dispose();
}

async function generate(): Promise<void> {
  if (model === null || generation !== null) return;
  const { info } = model;
  const prompt = elements.prompt.value;
  hideError();
  elements.said.textContent = prompt;
  elements.text.textContent = "";
  elements.statistics.textContent = "Reading the beginning…";
  elements.result.hidden = false;
  try {
    const running = model.generate(prompt, {
      maxTokens: elements.maxTokens.valueAsNumber,
      temperature: elements.temperature.valueAsNumber,
      topK: TOP_K,
    });
    generation = running;
    showControls();
    await stream(running, (nTokens, tokensPerSecond) => {
      elements.statistics.textContent = liveWords(nTokens, tokensPerSecond, info);
    });
    elements.statistics.textContent = resultWords(await running.result, info);
  } catch (error) {
    elements.statistics.textContent = "";
    elements.result.hidden = elements.text.textContent === "";
    showError(error);
  } finally {
    generation = null;
    showControls();
  }
}

/** Shows pieces as they come. */
async function stream(running: Generation, onStatistics: (nTokens: number, tokensPerSecond: number) => void): Promise<void> {
  let nTokens = 0;
  let begin = 0;
  let shown = 0;
  for await (const { text, tokenId } of running) {
    const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 8;
    elements.text.append(text);
    // text that grows past the lower edge stays in view, unless the reader scrolled away
    if (isAtEnd) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    if (tokenId !== null) nTokens++;
    const now = performance.now();
    if (begin === 0) begin = now;
    if (now - shown < STATISTICS_MS) continue;
    shown = now;
    onStatistics(nTokens, nTokens > 1 ? (1000 * (nTokens - 1)) / (now - begin) : 0);
  }
}

function openFile(file: File | undefined): void {
  if (file !== undefined) void open(file, file.name);
}

elements.form.addEventListener("submit", (event) => {
  event.preventDefault();
  void generate();
});
elements.stop.addEventListener("click", () => generation?.cancel());
elements.temperature.addEventListener("input", () => {
  elements.temperatureValue.textContent = String(elements.temperature.valueAsNumber);
});
elements.file.addEventListener("change", () => {
  openFile(elements.file.files?.[0]);
  elements.file.value = ""; // the same file can be chosen again
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") generation?.cancel();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (!elements.generate.disabled) elements.form.requestSubmit();
  }
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.toggleAttribute("data-dragging", true);
});
addEventListener("dragleave", (event) => {
  // null: the pointer left the window
  if (event.relatedTarget === null) document.body.removeAttribute("data-dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.removeAttribute("data-dragging");
  openFile(event.dataTransfer?.files[0]);
});

void open(storiesUrl, "stories-4m");
