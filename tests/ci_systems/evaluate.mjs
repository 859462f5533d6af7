// Evaluates places of a workflow file as GitHub does: by its own parser of workflows and evaluator of expressions.
// Reads {file, text, asked: [{place, contexts, status}]} and writes {mistakes, found}; `status` is the job's so far.
import { readFileSync } from "node:fs";
import { register } from "node:module";
import { data, Evaluator, Lexer, Parser } from "@actions/expressions";

// The parser's package imports JSON in the way of bundlers, which node refuses without an attribute.
const load = `export const load = (url, context, next) =>
  next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);`;
register(`data:text/javascript,${encodeURIComponent(load)}`);
const { NoOperationTraceWriter, parseWorkflow } = await import("@actions/workflow-parser");

const { file, text, asked } = JSON.parse(readFileSync(0, "utf8"));
const { value, context } = parseWorkflow({ name: file, content: text }, new NoOperationTraceWriter());
const mistakes = context.errors.getErrors().map((error) => error.message);

function at(token, [key, ...rest]) {
  if (key === undefined) return token;
  for (let n = 0; n < token.count; n++) {
    const pair = token.get(n);
    if (pair.key.toString() === key) return at(pair.value, rest);
  }
  throw new Error(`${file} has no ${key}`);
}

// These are known to the server alone, so the package leaves them out.
const when = {
  always: () => true,
  success: (now) => now === "success",
  failure: (now) => now === "failure",
  cancelled: (now) => now === "cancelled",
};

function functions(status) {
  return Object.entries(when).map(([name, holds]) => ({
    name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(holds(status)),
  }));
}

// A condition is an expression with or without ${{ }}; one that asks for no status asks for success.
function condition(text) {
  const bare = text.trim().replace(/^\$\{\{([^]*)\}\}$/, "$1");
  return /\b(always|success|failure|cancelled)\(\)/.test(bare) ? bare : `success() && (${bare})`;
}

function evaluated({ place, contexts, status }) {
  const token = at(value, place);
  const expression = place.at(-1) === "if" ? condition(token.toString()) : token.expression;
  if (expression === undefined) return token.toString();
  const known = JSON.parse(JSON.stringify(contexts), data.reviver);
  const more = functions(status);
  const parsed = new Parser(new Lexer(expression).lex().tokens, Object.keys(contexts), more).parse();
  return new Evaluator(parsed, known, new Map(more.map((each) => [each.name, each]))).evaluate().coerceString();
}

console.log(JSON.stringify({ mistakes, found: mistakes.length ? [] : asked.map(evaluated) }));
