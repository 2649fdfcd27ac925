// Words that people find a run by.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { putTags } from "../api/client";
import type { RunDetail } from "../api/types";

export function Tags({ run, done }: { run: RunDetail; done: () => void }): JSX.Element {
  const tags = run.tags ?? [];
  const editing = useSignal(false);
  const problem = useSignal("");

  async function keep(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const given = String(new FormData(event.currentTarget as HTMLFormElement).get("tags"));
    problem.value = "";
    try {
      await putTags(run.id, tagsOf(given));
      editing.value = false;
      done();
    } catch (error) {
      problem.value = (error as Error).message;
    }
  }

  return (
    <div class="tags">
      {tags.map((tag) => (
        <a key={tag} class="tag" href={`/?tag=${encodeURIComponent(tag)}`}>
          {tag}
        </a>
      ))}
      {!editing.value && (
        <button type="button" class="quiet tag-edit" onClick={() => (editing.value = true)}>
          {tags.length === 0 ? "Add tags" : "Change tags"}
        </button>
      )}
      {editing.value && (
        <form onSubmit={(event) => void keep(event)}>
          <label>
            <span class="sr">Tags, with spaces between</span>
            <input name="tags" placeholder="words, with spaces between" defaultValue={tags.join(" ")} />
          </label>
          <button type="submit">Keep</button>
          <button type="button" class="quiet" onClick={() => (editing.value = false)}>
            Leave
          </button>
        </form>
      )}
      <p role="alert" class="problem">
        {problem.value}
      </p>
    </div>
  );
}

/** The words of a text, each once. */
export function tagsOf(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))];
}
