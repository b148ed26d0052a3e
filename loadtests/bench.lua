-- For wrk: requests to the paths of a file, taken by turns from a random place, and figures that a
-- program can read.
--
--     wrk ... --script bench.lua URL -- METHOD FILE

local paths, place, method = {}, 0, "GET"
local body = '{"quantity": 1, "user_id": "406c1d05-bbb2-4e94-b183-7d208c2692e1"}'
local headers = {["Content-Type"] = "application/json"}

function init(args)
  method = args[1]
  for line in io.lines(args[2]) do
    paths[#paths + 1] = wrk.format(method, line, headers, method == "POST" and body or nil)
  end
  math.randomseed(os.time())
  place = math.random(#paths)
end

function request()
  place = place % #paths + 1
  return paths[place]
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
