-- SPDX-License-Identifier: Apache-2.0
-- wrk: posts the lines of the file MF_BODIES to MF_PATH, one after the other. All requests
-- are made before the run.
local requests, at = {}, 0

function init()
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for body in io.lines(os.getenv("MF_BODIES")) do
    wrk.body = body
    requests[#requests + 1] = wrk.format("POST", os.getenv("MF_PATH"))
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
