// One comment on a pull request, made the first time and written anew from then on.
import { readFileSync } from "node:fs";

const MARK = "<!-- tagstream: diff -->";

/** Puts the text of a file on the pull request that the event is about; `github` and `context` as actions/github-script has them. */
export async function comment(github, context, file) {
  const { owner, repo } = context.repo;
  const issue_number = context.payload.pull_request.number;
  const body = `${MARK}\n${readFileSync(file, "utf8")}`;
  const { listComments, createComment, updateComment } = github.rest.issues;
  const all = await github.paginate(listComments, { owner, repo, issue_number, per_page: 100 });
  // Anybody may write the mark into a comment, and only one's own can be written anew.
  const own = all.find((one) => one.user?.type === "Bot" && one.body?.startsWith(MARK));
  if (own) await updateComment({ owner, repo, comment_id: own.id, body });
  else await createComment({ owner, repo, issue_number, body });
}
