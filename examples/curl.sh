#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The verbs of memfuse with curl and sed alone: curl.sh [http://127.0.0.1:8765]
set -eu
api=${1:-http://127.0.0.1:8765}/api/v1

# call METHOD PATH [JSON]: prints the answer; a status of 400 or more ends the script.
call() {
  curl -sS --fail-with-body -X "$1" "$api/$2" -H 'Content-Type: application/json' \
    ${3:+-d "$3"}
  echo
}

# The id of the one thing in an answer, and the first id of a list of ids.
id() { sed 's/.*"id":"\([^"]*\)".*/\1/'; }
first_id() { sed 's/.*"message_ids":\["\([^"]*\)".*/\1/'; }

say() { echo "== $*" >&2; }

now=$(date +%s)-$$
say "a user, an agent, a session of both"
user=$(call POST users "{\"name\": \"ada-$now\", \"description\": \"likes bicycles\"}" | id)
agent=$(call POST agents "{\"name\": \"guide-$now\"}" | id)
session=$(call POST sessions "{\"user_id\": \"$user\", \"agent_id\": \"$agent\"}" | id)

say "two messages; on disk and searchable when this returns"
added=$(call POST "sessions/$session/messages" '{"messages": [
  {"role": "user", "content": "My bicycle is green and stands behind the library."},
  {"role": "assistant", "content": "Good, I will remember that."}]}')
echo "$added"
message=$(echo "$added" | first_id)

say "the session, oldest first"
call GET "sessions/$session/messages?order=asc"

say "a question"
call POST "users/$user/query" '{"query": "Where is my bicycle?", "top_k": 1}'

say "the first message changes, and so does the answer"
call PUT "sessions/$session/messages" "{\"message_ids\": [\"$message\"], \"new_messages\": [
  {\"role\": \"user\", \"content\": \"My bicycle is green and stands at home.\"}]}"
call POST "users/$user/query" '{"query": "Where is my bicycle?", "top_k": 1}'

say "the user goes, with all messages"
call DELETE "users/$user"
