// The API's own types, generated from its OpenAPI document: where that changes, these pages no longer compile.
import type { components, operations, paths } from "../../generated/api";

type Schemas = components["schemas"];
export type Run = Schemas["RunView"];
export type RunDetail = Schemas["RunDetail"];
export type RunPage = Schemas["RunPage"];
export type Attempt = Schemas["AttemptView"];
export type Glance = Schemas["GlanceView"];
export type Diagnosis = Schemas["DiagnosisView"];
export type Finding = Schemas["FindingView"];
export type Evidence = Schemas["EvidenceView"];
export type Episode = Schemas["EpisodeView"];
export type Remedy = Schemas["RemedyView"];
export type Evaluation = Schemas["EvaluationView"];
export type Null = Schemas["NullView"];
export type Bin = Schemas["BinView"];
export type Series = Schemas["SeriesView"];
export type Column = Schemas["ColumnView"];
export type Sample = Schemas["SampleView"];
export type Label = Schemas["LabelView"];
export type Member = Schemas["MemberView"];
export type Waiting = Schemas["WaitingView"];
export type Compared = Schemas["ComparedRuns"];
export type ResultRow = Schemas["ResultRow"];
export type JudgedEpochs = Schemas["JudgedEpochs"];
export type Gpu = Schemas["GpuView"];
export type Share = Schemas["ShareView"];
export type Batch = Schemas["BatchView"];
export type BatchResults = Schemas["BatchResults"];
export type Worker = Schemas["WorkerView"];
export type Caller = Schemas["CallerView"];
export type Problem = Schemas["Problem"];
export type Status = Run["status"];
export type EventKind = Schemas["EventView"]["kind"];
export type Verdict = NonNullable<Run["verdict"]>;
export type Severity = NonNullable<Run["severity"]>;
export type FindingName = Finding["name"];

export type RunQuery = NonNullable<operations["list_runs"]["parameters"]["query"]>;

type Method = "get" | "post" | "put" | "delete";
type PathsWith<M extends Method> = { [P in keyof paths]: paths[P][M] extends object ? P : never }[keyof paths];
export type GetPath = PathsWith<"get">;
export type PostPath = PathsWith<"post">;
export type PutPath = PathsWith<"put">;
export type Answer<O> = O extends { responses: infer R }
  ? {
      [S in keyof R]: S extends 200 | 201 | 202
        ? R[S] extends { content: { "application/json": infer T } }
          ? T
          : never
        : never;
    }[keyof R]
  : never;
export type Got<P extends GetPath> = Answer<paths[P]["get"]>;
export type Posted<P extends PostPath> = Answer<paths[P]["post"]>;
export type QueryOf<P extends GetPath> = paths[P]["get"] extends { parameters: { query?: infer Q } } ? Q : never;
export type BodyOf<P extends PostPath> = paths[P]["post"] extends {
  requestBody?: { content: { "application/json": infer B } };
}
  ? B
  : undefined;
