/** `bitnet inspect`: what is in a file and what it would take to run it; reads no weights. */
import { type Inspection, inspect as inspectModel } from "../../index.ts";
import { toggle } from "../args.ts";
import { defineCommand } from "../command.ts";
import { JSON_FLAG, LOAD_FLAGS, loadOptions } from "../flags.ts";
import { bytes, counted, grouped, interruptSignal, oneLine, printJson } from "../output.ts";

export const inspect = defineCommand({
  name: "inspect",
  description: "Shows what is in a model file, and the memory it takes",
  notes: `Reads the header of the file only. -c N shows the memory for N tokens of context.

  bitnet inspect model.gguf -c 2048`,
  flags: {
    metadata: toggle({ long: "metadata", description: "Lists every key of the file as well (JSON always has them)" }),
    tensors: toggle({ long: "tensors", description: "Lists every tensor as well (JSON always has them)" }),
    ...LOAD_FLAGS,
    json: JSON_FLAG,
  },
  async run({ values, source, terminal }) {
    const { signal, stop } = interruptSignal(terminal);
    try {
      const inspection = await inspectModel(source, await loadOptions(values, source, signal));
      if (values.json) printJson(terminal, inspection);
      else terminal.stdout.write(`${describe(inspection, values).map(oneLine).join("\n")}\n`);
      return 0;
    } finally {
      stop();
    }
  },
});

function describe(inspection: Inspection, show: { readonly metadata: boolean; readonly tensors: boolean }): string[] {
  const { architecture, name, metadata, tensors, warnings } = inspection;
  const trained = metadata[`${architecture}.context_length`];
  return [
    row("name", name ?? "(none)"),
    row("architecture", architecture ?? "(none)"),
    row("parameters", `${grouped(inspection.parameters)} in ${counted(tensors.length, "tensor")}`),
    row("quantization", inspection.quantization),
    row("context", typeof trained === "number" ? `${grouped(trained)} tokens` : "(not stated)"),
    row("file", `GGUF version ${inspection.ggufVersion}, ${bytes(inspection.fileBytes)}`),
    ...tokenizerRows(inspection),
    ...planRows(inspection),
    ...typeRows(inspection),
    ...(show.tensors
      ? [
          "",
          "tensors",
          ...tensors.map((t) => `  ${t.name}  ${t.type} [${t.shape.join(", ")}]  ${bytes(t.bytes)} at byte ${t.offset}`),
        ]
      : []),
    ...(show.metadata ? ["", "metadata", ...Object.entries(metadata).map(([key, value]) => `  ${key} = ${shown(value)}`)] : []),
    ...(warnings.length > 0 ? ["", "warnings", ...warnings.map((warning) => `  ${warning}`)] : []),
  ];
}

function row(label: string, value: string): string {
  return `${label.padEnd(14)}${value}`;
}

function tokenizerRows({ tokenizer }: Inspection): string[] {
  if (tokenizer === null) return [row("tokenizer", "none that can be used")];
  const { model, pre, nVocab, bosId, eosId, eogIds, addBos } = tokenizer;
  const bos = bosId === null ? "no BOS" : `BOS ${bosId}${addBos ? " put first" : " not put first"}`;
  const eog = eogIds.filter((id) => id !== eosId);
  const ends = `EOS ${eosId ?? "none"}${eog.length > 0 ? `, also ends at ${eog.join(", ")}` : ""}`;
  return [row("tokenizer", `${model}${pre === null ? "" : ` (${pre})`}, ${grouped(nVocab)} tokens, ${bos}, ${ends}`)];
}

function planRows({ plan }: Inspection): string[] {
  if (plan === null) return [row("memory", "no plan: this model cannot be run, see the warnings")];
  const total = plan.weightsBytes + plan.kvBytes + plan.scratchBytes;
  return [
    row("memory", `${mib(total)} for a context of ${grouped(plan.nCtx)} tokens`),
    row("  weights", mib(plan.weightsBytes)),
    row("  KV cache", `${mib(plan.kvBytes)} (${grouped(plan.kvBytes / plan.nCtx)} bytes a token)`),
    row("  scratch", mib(plan.scratchBytes)),
  ];
}

/** Formats, the largest share first. */
function typeRows({ tensors }: Inspection): string[] {
  const byType = new Map<string, { nTensors: number; nBytes: number }>();
  for (const tensor of tensors) {
    const sum = byType.get(tensor.type) ?? { nTensors: 0, nBytes: 0 };
    byType.set(tensor.type, { nTensors: sum.nTensors + 1, nBytes: sum.nBytes + tensor.bytes });
  }
  const sorted = [...byType].sort((a, b) => b[1].nBytes - a[1].nBytes);
  return sorted.map(([type, { nTensors, nBytes }], i) =>
    row(i === 0 ? "types" : "", `${type.padEnd(8)}${bytes(nBytes)} in ${counted(nTensors, "tensor")}`),
  );
}

function mib(value: number): string {
  return `${(value / 2 ** 20).toFixed(1)} MiB`;
}

function shown(value: unknown): string {
  const json = JSON.stringify(value);
  return json.length > 120 ? `${json.slice(0, 119)}…` : json;
}
