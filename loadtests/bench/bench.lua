-- For wrk: sends the requests in a file in turn, starting at a random one, and prints figures that a
-- program can read. Each line is a method, a path and perhaps a JSON body.
--
--     wrk ... --script bench.lua URL -- FILE [RATE]
--
-- With RATE, that many requests are sent per second, as long as there are connections that are not
-- waiting for an answer. Without it, each connection sends its next request when it has its answer.

local ffi = require("ffi")
ffi.cdef[[
  struct timeval { long seconds; long microseconds; };
  int gettimeofday(struct timeval *, void *);
]]

local requests, place = {}, 0
local headers = {["Content-Type"] = "application/json"}
local time = ffi.new("struct timeval")

local function now_ms()
  ffi.C.gettimeofday(time, nil)
  return tonumber(time.seconds) * 1e3 + tonumber(time.microseconds) / 1e3
end

function init(args)
  for line in io.lines(args[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
  end
  math.randomseed(os.time())
  place = math.random(#requests)
  if args[2] then
    local interval_ms, next_ms = 1e3 / tonumber(args[2]), now_ms()
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
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  print(string.format(
    '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "refused": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.errors.status))
end
