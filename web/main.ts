/**
 * The page: one model, one prompt, one result. Loads the bundled model at once, another one from a chosen or dropped file; the old
 * model goes only when the new one is there, so that a wrong file costs nothing.
 */
import storiesUrl from "../models/stories-4m-i2_s.gguf?url";
import { type Generation, loadModel, type Model, type ModelSource } from "../src/index.ts";
import { elements } from "./elements.ts";
import { TextView } from "./text-view.ts";
import { errorWords, liveWords, modelFacts, progressWords, resultWords } from "./words.ts";

/** Cuts off what hardly ever fits; small models need it. */
const TOP_K = 40;
/** The numbers change no faster than they can be read. */
const STATISTICS_MS = 250;

const textView = new TextView(elements.text, elements.statistics);
let model: Model | null = null;
let loading: AbortController | null = null;
let generation: Generation | null = null;

function showControls(): void {
  elements.generate.disabled = model === null || generation !== null;
  elements.stop.disabled = generation === null;
  elements.loading.hidden = loading === null;
  elements.modelFacts.hidden = loading !== null;
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

function showStatistics(words: string): void {
  textView.keepInView(() => {
    elements.statistics.textContent = words;
  });
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
  const running = generation;
  running?.cancel();
  model = loaded;
  elements.modelName.textContent = loaded.info.name ?? name;
  elements.modelFacts.textContent = modelFacts(loaded);
  elements.maxTokens.max = String(loaded.info.nCtx);
  // a failure is shown by whoever started it
  await running?.result.catch(() => {});
  await old?.dispose();
}

async function generate(): Promise<void> {
  if (model === null || generation !== null) return;
  const { info } = model;
  const prompt = elements.prompt.value;
  hideError();
  elements.said.textContent = prompt;
  elements.statistics.textContent = "Reading the prompt…";
  elements.result.hidden = false;
  textView.clear();
  try {
    const running = model.generate(prompt, {
      maxTokens: elements.maxTokens.valueAsNumber,
      temperature: elements.temperature.valueAsNumber,
      topK: TOP_K,
    });
    generation = running;
    showControls();
    await stream(running, (nTokens, tokensPerSecond) => showStatistics(liveWords(nTokens, tokensPerSecond, info)));
    textView.flush();
    showStatistics(resultWords(await running.result, info));
  } catch (error) {
    textView.flush();
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
    textView.append(text);
    if (tokenId !== null) nTokens++;
    const now = performance.now();
    if (begin === 0) begin = shown = now;
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
// text can still be dragged into the prompt
const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true;
addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.toggleAttribute("data-dragging", true);
});
addEventListener("dragleave", (event) => {
  // null: the pointer left the window
  if (event.relatedTarget === null) document.body.removeAttribute("data-dragging");
});
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.removeAttribute("data-dragging");
  openFile(event.dataTransfer?.files[0]);
});

void open(storiesUrl, "stories-4m");
