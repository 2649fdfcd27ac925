// Bundles the pages into OUT (default: ../api/pages/built), or with --tests the unit tests into generated/tests.
// A file's name holds the hash of its content, so that browsers keep it for ever; beside each text lies its gzip.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const LARGEST_GZIP_BYTES = 100 * 1024;
const JSX = { jsx: "automatic", jsxImportSource: "preact" };
/** Pictures of the documents are files of their own, under names that esbuild gives them. */
const PICTURES = { assetNames: "[name].[hash]", loader: { ".png": "file" }, publicPath: "/assets" };

function hashed(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 16);
  return name.replace(".", `.${hash}.`);
}

async function bundlePages(out) {
  const made = await build({
    ...JSX,
    ...PICTURES,
    bundle: true,
    entryPoints: { app: "src/main.tsx", style: "src/style.css" },
    format: "esm",
    legalComments: "inline",
    minify: true,
    outdir: "out",
    target: "es2022",
    write: false,
  });
  const files = new Map();
  const names = {};
  for (const file of made.outputFiles) {
    const name = file.path.split("/").at(-1);
    names[name] = name.endsWith(".png") ? name : hashed(name, file.contents);
    files.set(names[name], Buffer.from(file.contents));
  }
  const icon = readFileSync("src/icon.svg");
  names["icon.svg"] = hashed("icon.svg", icon);
  files.set(names["icon.svg"], icon);
  const page = readFileSync("src/index.html", "utf-8").replace(/\{\{(.+?)\}\}/g, (_, name) => `/assets/${names[name]}`);
  files.set("index.html", Buffer.from(page));
  write(out, files);
}

function write(out, files) {
  const draft = `${out}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  let total = 0;
  for (const [name, content] of files) {
    if (name.endsWith(".png")) {
      writeFileSync(`${draft}/${name}`, content); // is packed as it is, and only asked for where it is seen
      continue;
    }
    const packed = gzipSync(content, { level: 9 });
    total += packed.length;
    writeFileSync(`${draft}/${name}`, content);
    writeFileSync(`${draft}/${name}.gz`, packed);
  }
  if (total > LARGEST_GZIP_BYTES)
    throw new Error(`the pages take ${total} bytes in gzip; at most ${LARGEST_GZIP_BYTES}`);
  rmSync(out, { recursive: true, force: true });
  renameSync(draft, out);
  console.log(`the pages: ${(total / 1024).toFixed(1)} KB in gzip, in ${out}`);
}

async function bundleTests() {
  const tests = readdirSync("tests").filter((name) => name.endsWith(".test.ts") || name.endsWith(".test.tsx"));
  await build({
    ...JSX,
    ...PICTURES,
    bundle: true,
    entryPoints: tests.map((name) => `tests/${name}`),
    format: "esm",
    outdir: "generated/tests",
    platform: "node",
    logLevel: "warning",
  });
}

await (process.argv.includes("--tests") ? bundleTests() : bundlePages(process.argv[2] ?? "../api/pages/built"));
