// Asks one question with an official SDK as it is, and prints what came of it: {"text", "error"}.
// usage: node ask.cjs MODULES < '{"api", "url", "key", "model"}'      api: chat, responses, messages
"use strict";
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const load = createRequire(`${process.argv[2]}/`);
const question = JSON.parse(readFileSync(0, "utf8"));
const ask = { chat, responses, messages }[question.api];
const result = { text: "", error: null };

function openai() {
  const { OpenAI } = load("openai");
  return new OpenAI({ baseURL: `${question.url}/v1`, apiKey: question.key, maxRetries: 0, timeout: 60_000 });
}

async function chat() {
  const messages = [{ role: "user", content: "Hello" }];
  for await (const chunk of await openai().chat.completions.create({ model: question.model, messages, stream: true })) {
    result.text += chunk.choices[0]?.delta?.content ?? "";
  }
}

async function responses() {
  for await (const event of await openai().responses.create({ model: question.model, input: "Hello", stream: true })) {
    if (event.type === "response.output_text.delta") result.text += event.delta;
  }
}

async function messages() {
  const { Anthropic } = load("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL: question.url, apiKey: question.key, maxRetries: 0, timeout: 60_000 });
  const messages = [{ role: "user", content: "Hello" }];
  for await (const event of await client.messages.create({ model: question.model, max_tokens: 1000, messages, stream: true })) {
    if (event.type === "content_block_delta") result.text += event.delta.text;
  }
}

function told(error) {
  const body = error.error ?? {};
  return {
    class: error.constructor.name,
    status: error.status ?? null,
    code: error.code ?? body.error?.code ?? body.code ?? null,
    type: error.type ?? body.error?.type ?? null,
    message: error.message,
  };
}

ask()
  .catch((error) => {
    result.error = told(error);
  })
  .then(() => console.log(JSON.stringify(result)));
