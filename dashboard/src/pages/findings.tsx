// What each finding means, with a run that has it.
import type { JSX } from "preact";
import { useTitle } from "../address";
import { listOf } from "../findings/address";
import { MEANINGS } from "../findings/meanings";
import { LABEL_FINDINGS } from "../names";
import { ToneIcon } from "../parts/icons";
import { capital } from "../words";

export function FindingsPage(): JSX.Element {
  useTitle("Findings");
  return (
    <main id="main" class="findings" tabIndex={-1}>
      <h1>Findings</h1>
      <p class="lead-in muted">
        What the diagnosis tells apart. Each picture is a run that was trained and judged: its losses over all steps and
        over the last 300, its last samples, and the bins that they fall into.
      </p>
      <nav class="jump" aria-label="Findings">
        {LABEL_FINDINGS.map((name) => (
          <a key={name} href={`#${idOf(name)}`}>
            {short(name)}
          </a>
        ))}
      </nav>
      <ul class="meanings">
        {LABEL_FINDINGS.map((name) => {
          const meaning = MEANINGS[name];
          return (
            <li key={name} id={idOf(name)} class="card">
              <div class="meaning-words">
                <h2>
                  {name === "healthy" && <ToneIcon tone="healthy" size={18} />} {capital(name)}
                </h2>
                <p>{meaning.says}</p>
                <p>
                  <strong>Helps:</strong> {meaning.helps}
                </p>
                {listOf(name) !== null && (
                  <p>
                    <a href={listOf(name) ?? ""}>Runs with this verdict</a>
                  </p>
                )}
              </div>
              <a class="meaning-picture" href={meaning.picture} target="_blank" rel="noreferrer">
                <img
                  src={meaning.picture}
                  loading="lazy"
                  alt={`A run with ${name}: losses, samples and bins. Opens in a new window.`}
                />
              </a>
            </li>
          );
        })}
      </ul>
    </main>
  );
}

function short(name: string): string {
  return capital(name.replace("convergence failure: ", ""));
}

export function idOf(name: string): string {
  return name.replaceAll(/[^a-z]+/g, "-");
}
