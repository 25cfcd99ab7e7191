-- wrk: POST /v1/calls/outbound, every request to a destination of its own. BENCH_RUN tells
-- runs apart, the thread's number threads; the eight digits that count are scattered. All
-- requests have one length, so that the client costs little beside what it measures.
local run = string.format("%04d", tonumber(os.getenv("BENCH_RUN") or "0"))
local threads = 0

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function init()
	local before = '{"projectId":"proj_bench","fromNumber":"+14155550199","toNumber":"+49'
	local after = '","dynamicVariables":{"customerName":"Jane Doe","appointment":"2026-11-20T10:30:00Z","reason":"follow-up"}}'
	local length = #before + 8 + #run + 1 + #after

	count = 0
	head = "POST /v1/calls/outbound HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " .. os.getenv("BENCH_KEY") ..
		"\r\nContent-Type: application/json\r\nContent-Length: " .. length .. "\r\n\r\n" .. before
	tail = run .. number .. after
end

function request()
	count = count + 1
	return head .. string.sub(100000000 + (count * 61803399) % 100000000, 2) .. tail
end
