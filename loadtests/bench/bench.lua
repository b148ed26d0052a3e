-- For wrk: sends requests to the paths in a file in turn, starting at a random one, and prints figures
-- that a program can read.
--
--     wrk ... --script bench.lua URL -- METHOD FILE [RATE]
--
-- With RATE, that many requests are sent per second, as long as there are connections that are not
-- waiting for an answer. Without it, each connection sends its next request when it has its answer.

local ffi = require("ffi")
ffi.cdef[[
  struct timeval { long seconds; long microseconds; };
  int gettimeofday(struct timeval *, void *);
]]

local paths, place, method = {}, 0, "GET"
local body = '{"quantity": 1, "user_id": "406c1d05-bbb2-4e94-b183-7d208c2692e1"}'
local headers = {["Content-Type"] = "application/json"}
local time = ffi.new("struct timeval")

local function now_ms()
  ffi.C.gettimeofday(time, nil)
  return tonumber(time.seconds) * 1e3 + tonumber(time.microseconds) / 1e3
end

function init(args)
  method = args[1]
  for line in io.lines(args[2]) do
    paths[#paths + 1] = wrk.format(method, line, headers, method == "POST" and body or nil)
  end
  math.randomseed(os.time())
  place = math.random(#paths)
  if args[3] then
    local interval_ms, next_ms = 1e3 / tonumber(args[3]), now_ms()
    -- Whichever connection is free takes the next slot.
    function delay()
      local now = now_ms()
      -- After all connections were waiting it may catch up, but not by much.
      next_ms = math.max(next_ms + interval_ms, now - 50)
      return math.max(next_ms - now, 0)
    end
  end
end

function request()
  place = place % #paths + 1
  return paths[place]
end

function done(summary, latency, requests)
  print(string.format(
    '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "refused": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.errors.status))
end
