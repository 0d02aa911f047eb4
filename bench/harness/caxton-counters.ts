/** The counters of bench/agents/counter on a server of ours with all cores, over REST. */
import { deployCounter, counterAddress } from "./counter.ts";
import type { CounterServer } from "./counter-server.ts";
import { HttpConnection, httpRequest } from "./http-connection.ts";
import { allCores } from "./pinning.ts";
import { ServerProcess } from "./server-process.ts";
import { Wire } from "./wire.ts";

const SETTINGS_SHOWN = ["workers.count", "partitions.count", "snapshots.intervalMs"];

interface AskAnswer {
  readonly reply: { readonly content: string };
}

interface StatusAnswer {
  readonly status: { readonly partitions: readonly { readonly turns: number }[] };
}

interface ConfigAnswer {
  readonly settings: readonly { readonly key: string; readonly value: string }[];
}

export async function withCaxtonCounters<T>(
  directory: string,
  work: (server: CounterServer) => Promise<T>,
): Promise<T> {
  const server = await ServerProcess.start(directory, [], allCores);
  const wire = new Wire(server.endpoint);
  try {
    await deployCounter(wire, "small");
    const connection = await HttpConnection.open(server.restEndpoint);
    const get = async (path: string): Promise<unknown> =>
      JSON.parse((await connection.request(httpRequest("GET", path))).toString());
    return await work({
      endpoint: server.restEndpoint,
      configuration: configurationOf((await get("/api/v1/node/config")) as ConfigAnswer),
      add: (counter) => ask(counter, "request"),
      read: (counter) => ask(counter, "query-ref"),
      start: ({ from, to, visits, counters }) =>
        message("/api/v1/messages", {
          receiver: counterAddress(`starter-${from}`),
          performative: "propagate",
          content: `${from} ${to} ${visits} ${counters}`,
        }),
      countIn: (answer) => Number((JSON.parse(answer.toString()) as AskAnswer).reply.content),
      handled: async () => {
        const { status } = (await get("/api/v1/node")) as StatusAnswer;
        return status.partitions.reduce((sum, { turns }) => sum + turns, 0);
      },
    });
  } finally {
    wire.close();
    await server.kill();
  }
}

function ask(counter: string, performative: string): Buffer {
  return message("/api/v1/messages:ask", { receiver: counterAddress(counter), performative });
}

function message(path: string, fields: Readonly<Record<string, string>>): Buffer {
  return httpRequest("POST", path, JSON.stringify(fields));
}

function configurationOf({ settings }: ConfigAnswer): string {
  const shown = settings.filter(({ key }) => SETTINGS_SHOWN.includes(key));
  return ["as shipped", ...shown.map(({ key, value }) => `${key}=${value}`)].join(", ");
}
