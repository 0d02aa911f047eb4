/** Collects pages up to a number of rows, and says when there are more. */
import { note } from "./output.ts";

const PAGE_SIZE_MAX = 1000;

export async function collectPages<T>(
  limit: number,
  fetchPage: (
    pageSize: number,
    pageToken: string,
  ) => Promise<{ items: T[]; nextPageToken: string }>,
): Promise<T[]> {
  const collected: T[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(PAGE_SIZE_MAX, limit - collected.length);
    const page = await fetchPage(pageSize, pageToken);
    collected.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && collected.length < limit);
  if (pageToken !== "") note(`There are more than ${limit}; raise --limit to see them.`);
  return collected;
}
