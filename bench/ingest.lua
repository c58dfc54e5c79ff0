-- SPDX-License-Identifier: Apache-2.0
-- wrk: adds of MF_MESSAGES messages of 30 words each, spread over the sessions of the
-- file MF_SESSIONS (one id a line) at random. Requests are made before the run.
local ids, requests = {}, {}

local function message(i)
  local words = {}
  for w = 1, 30 do
    words[w] = string.format("%s%d", ({"river", "garden", "train", "letter"})[w % 4 + 1],
                             (i * 7919 + w * 104729) % 997)
  end
  return string.format('{"role":"%s","content":"%s"}', i % 2 == 0 and "user" or "assistant",
                       table.concat(words, " "))
end

function init()
  local n = tonumber(os.getenv("MF_MESSAGES"))
  local at = 0
  math.randomseed(os.time())
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for id in io.lines(os.getenv("MF_SESSIONS")) do
    local messages = {}
    for i = 1, n do
      messages[i] = message(at)
      at = at + 1
    end
    wrk.body = '{"messages":[' .. table.concat(messages, ",") .. "]}"
    requests[#requests + 1] = wrk.format("POST", "/api/v1/sessions/" .. id .. "/messages")
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
