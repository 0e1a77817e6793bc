// A program as others write it: types made from the bundle, a typed fetch, and a sandbox that runs.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const baseUrl = process.env["SANDBOX_URL"] ?? "";
const version = { "Api-Version": "4.4" } as const;

async function login(): Promise<string> {
  const answer = await fetch(baseUrl + (process.env["LOGIN_PATH"] ?? ""), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ apiKey: process.env["SANDBOX_KEY"] }),
  });
  const body = (await answer.json()) as { token: string };
  return body.token;
}

const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${await login()}` } });

const jan: components["schemas"]["ProfileInput"] = { customId: "c-1", firstName: "Jan", sex: "MALE" };
for (const body of [jan, { customId: "c-2" }]) {
  const upserted = await client.POST("/v4/clients", { params: { header: version }, body });
  assert.equal(upserted.response.status, 202);
}

const batch = await client.POST("/v4/clients/batch", {
  params: { header: version },
  body: [{ customId: "c-3" }, { customId: "c-4", birthDate: "2999-01-01" }],
});
assert.equal(batch.response.status, 207);
assert.equal(batch.data?.[0]?.field?.includes("birthDate"), true);

const event = await client.POST("/v4/events/custom", {
  params: { header: version },
  body: { action: "shelf.visited", label: "Visited", client: { customId: "c-1" }, time: "2024-01-02T03:04:05Z", params: {} },
});
assert.equal(event.response.status, 202);

const merged = await client.POST(
  "/v4/clients/merge/from/custom-ids/{sourceCustomIDs}/to/custom-id/{targetCustomID}",
  { params: { header: version, path: { sourceCustomIDs: ["c-2"], targetCustomID: "c-1" } } },
);
assert.equal(merged.response.status, 200);
assert.equal(merged.data?.customId, "c-1");

const missing = await client.GET("/v4/clients/{identifierType}/{identifierValue}", {
  params: { header: version, path: { identifierType: "by-custom-id", identifierValue: "nobody" } },
});
assert.equal(missing.response.status, 404);
assert.equal(missing.error?.status, 404);

console.log("login, upsert, 207, event, merge and a refusal: as the types say");
