-- wrk: POST /v1/calls/outbound, every request to a destination of its own. BENCH_RUN tells
-- runs apart, the thread's number threads; the eight digits that count are scattered.
local run = tonumber(os.getenv("BENCH_RUN") or "0")
local key = os.getenv("BENCH_KEY")
local threads = 0
local body = '{"projectId":"proj_bench","fromNumber":"+14155550199","toNumber":"+49%08d%04d%d",' ..
	'"dynamicVariables":{"customerName":"Jane Doe","appointment":"2026-11-20T10:30:00Z","reason":"follow-up"}}'
local headers = { ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json" }

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function init()
	count = 0
end

function request()
	count = count + 1
	return wrk.format("POST", "/v1/calls/outbound", headers,
		string.format(body, (count * 61803399) % 100000000, run, number))
end
