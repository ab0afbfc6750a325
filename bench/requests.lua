-- What wrk asks for: lines "host path" of the file BENCH_REQUESTS, one of them at random each time, or with BENCH_ONCE
-- (and one thread) each of them once, in order. BENCH_HEADERS: "Name: value" lines, separated by "|".
local requests, n, at, once = {}, 0, 0, false

function init(args)
   local more = ""
   for header in os.getenv("BENCH_HEADERS"):gmatch("[^|]+") do
      more = more .. header .. "\r\n"
   end
   for line in io.lines(os.getenv("BENCH_REQUESTS")) do
      local host, path = line:match("^(%S+) (%S+)$")
      n = n + 1
      requests[n] = "GET " .. path .. " HTTP/1.1\r\nHost: " .. host .. "\r\nUser-Agent: wrk\r\nAccept: */*\r\n" .. more .. "\r\n"
   end
   once = os.getenv("BENCH_ONCE") ~= ""
   math.randomseed(tonumber(os.getenv("BENCH_SEED")))
end

function request()
   if not once then
      return requests[math.random(n)]
   end
   at = at + 1
   if at > n + 64 then -- those on their way are answered by now
      wrk.thread:stop()
   end
   return requests[(at - 1) % n + 1]
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format("RESULT n=%d us=%d bytes=%d p50=%d p99=%d errors=%d connect=%d read=%d write=%d status=%d timeout=%d\n",
      summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
      e.connect + e.read + e.write + e.status + e.timeout, e.connect, e.read, e.write, e.status, e.timeout))
end
