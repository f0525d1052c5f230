/**
 * Our own scan of a template's tags. The Jinja package gives no positions, so the line of a mistake is found here, after the
 * package has refused the template: unclosed tags and blocks by their structure, anything else by asking the package about one
 * tag at a time. Lines count from 1.
 */

/** One `{% … %}`, `{{ … }}` or `{# … #}`. */
export interface TemplateTag {
  readonly kind: "statement" | "expression" | "comment";
  /** What stands between the braces, without white-space control. */
  readonly text: string;
  readonly line: number;
}

/** Where and what a mistake is; `line` is null where it is not known. */
export interface TemplateFault {
  readonly line: number | null;
  /** The tag, cut to a readable length, or "template". */
  readonly construct: string;
  readonly reason: string;
}

/** Blocks and the tags that end or continue them. */
const ENDS: Readonly<Record<string, string>> = {
  if: "endif",
  for: "endfor",
  macro: "endmacro",
  call: "endcall",
  filter: "endfilter",
  set: "endset",
  generation: "endgeneration",
};
const OPENERS: ReadonlyMap<string, string> = new Map(Object.entries(ENDS).map(([open, end]) => [end, open]));
const BRANCHES: Readonly<Record<string, readonly string[]>> = { elif: ["if"], else: ["if", "for"] };
const SIMPLE: ReadonlySet<string> = new Set(["break", "continue"]);

const MAX_CONSTRUCT_CHARS = 80;

/** All tags in order; `fault` is the first that does not close. */
export function scanTags(template: string): { tags: TemplateTag[]; fault: TemplateFault | null } {
  const tags: TemplateTag[] = [];
  let line = 1;
  let counted = 0;
  const opening = /\{[%{#]/g;
  for (let match = opening.exec(template); match !== null; match = opening.exec(template)) {
    const start = match.index;
    line += countNewlines(template, counted, start);
    counted = start;
    const end = endOfTag(template, start);
    if (end < 0) {
      const reason = match[0] === "{#" ? "the comment is not closed" : "the tag is not closed";
      return { tags, fault: { line, construct: cut(template.slice(start)), reason } };
    }
    const kind = match[0] === "{%" ? "statement" : match[0] === "{{" ? "expression" : "comment";
    const text = template
      .slice(start + 2, end - 2)
      .replace(/^[-+]/, "")
      .replace(/-$/, "")
      .trim();
    tags.push({ kind, text, line });
    opening.lastIndex = end;
  }
  return { tags, fault: null };
}

/** The fault of a template that the package refused with `error`; `accepts` says whether it takes a piece of template. */
export function findFault(template: string, error: unknown, accepts: (piece: string) => string | null): TemplateFault {
  const { tags, fault } = scanTags(template);
  const found = fault ?? findBlockFault(tags);
  if (found !== null) return found;
  for (const tag of tags) {
    const piece = standalone(tag);
    const refusal = piece === null ? null : accepts(piece);
    if (refusal !== null) return { line: tag.line, construct: tagText(tag), reason: refusal };
  }
  return { line: null, construct: "template", reason: error instanceof Error ? error.message : String(error) };
}

/** The line of the only tag in which `pattern` occurs; null where there is none or more than one. */
export function lineOfOnly(template: string, pattern: RegExp): number | null {
  const lines = scanTags(template).tags.filter((tag) => tag.kind !== "comment" && pattern.test(tag.text));
  return lines.length === 1 ? lines[0]!.line : null;
}

/** Offset behind the tag that begins at `start`; −1 where it does not end. Strings and braces inside are stepped over. */
function endOfTag(template: string, start: number): number {
  const opener = template[start + 1]!;
  if (opener === "#") {
    const end = template.indexOf("#}", start + 2);
    return end < 0 ? -1 : end + 2;
  }
  let depth = 0;
  for (let i = start + 2; i < template.length; i++) {
    const char = template[i]!;
    if (char === '"' || char === "'") {
      for (i++; i < template.length && template[i] !== char; i++) if (template[i] === "\\") i++;
    } else if (
      opener === "%" ? char === "%" && template[i + 1] === "}" : depth === 0 && char === "}" && template[i + 1] === "}"
    ) {
      return i + 2;
    } else if (char === "{") {
      depth++;
    } else if (char === "}") {
      depth--;
    }
  }
  return -1;
}

/** First block that is not closed, closed by another's end, or unknown. */
function findBlockFault(tags: readonly TemplateTag[]): TemplateFault | null {
  const open: { tag: TemplateTag; name: string }[] = [];
  for (const tag of tags) {
    if (tag.kind !== "statement") continue;
    const name = statementName(tag);
    const fault = (reason: string) => ({ line: tag.line, construct: tagText(tag), reason });
    const inner = open.at(-1);
    if (BRANCHES[name] !== undefined) {
      if (inner === undefined || !BRANCHES[name].includes(inner.name))
        return fault(`'${name}' stands in no '${BRANCHES[name][0]}'`);
    } else if (OPENERS.has(name)) {
      if (inner === undefined) return fault(`'${name}' closes nothing`);
      if (ENDS[inner.name] !== name) return fault(`'${name}' cannot close '${inner.name}' of line ${inner.tag.line}`);
      open.pop();
    } else if (ENDS[name] !== undefined) {
      if (name !== "set" || !isAssignment(tag.text)) open.push({ tag, name });
    } else if (!SIMPLE.has(name)) {
      return fault(name === "" ? "the statement is empty" : `unknown statement '${name}'`);
    }
  }
  const unclosed = open.at(-1);
  if (unclosed === undefined) return null;
  const reason = `'${unclosed.name}' has no '${ENDS[unclosed.name]}'`;
  return { line: unclosed.tag.line, construct: tagText(unclosed.tag), reason };
}

/** A template that holds just this tag, for the package to judge; null for tags without content of their own. */
function standalone(tag: TemplateTag): string | null {
  if (tag.kind === "comment") return null;
  if (tag.kind === "expression") return `{{ ${tag.text} }}`;
  const name = statementName(tag);
  if (name === "elif") return `{% ${tag.text.replace("elif", "if")} %}{% endif %}`;
  if (name === "generation" || SIMPLE.has(name) || OPENERS.has(name) || BRANCHES[name] !== undefined) return null;
  return name === "set" && isAssignment(tag.text) ? `{% ${tag.text} %}` : `{% ${tag.text} %}{% ${ENDS[name]} %}`;
}

function statementName(tag: TemplateTag): string {
  return /^\w+/.exec(tag.text)?.[0] ?? "";
}

/** Whether a `set` tag has a value; without one it opens a block. */
function isAssignment(text: string): boolean {
  const withoutStrings = text.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/gs, "");
  return /[^=!<>]=(?!=)/.test(withoutStrings);
}

function tagText(tag: TemplateTag): string {
  return cut(tag.kind === "expression" ? `{{ ${tag.text} }}` : `{% ${tag.text} %}`);
}

function cut(text: string): string {
  const oneLine = text.slice(0, 4 * MAX_CONSTRUCT_CHARS).replace(/\s+/g, " ");
  return oneLine.length > MAX_CONSTRUCT_CHARS ? `${oneLine.slice(0, MAX_CONSTRUCT_CHARS)}…` : oneLine;
}

function countNewlines(text: string, from: number, to: number): number {
  let n = 0;
  for (let i = text.indexOf("\n", from); i >= 0 && i < to; i = text.indexOf("\n", i + 1)) n++;
  return n;
}
